package storage

import "time"

// KeptAnswer is the answer to a request with an Idempotency-Key. The client gets it
// again if it repeats the request.
type KeptAnswer struct {
	ID        string // digest of the client and of its key
	Request   []byte // digest of the request; empty: no request gets the answer any more
	Answer    Sealed
	CreatedAt time.Time
	ExpiresAt time.Time
}
