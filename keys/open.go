package keys

import (
	"context"
	"crypto/rand"
	"time"
)

// Store keeps signing keys and peppers; *gormstore.Store and *statestore.Store implement
// it.
type Store interface {
	KeyStore
	PepperStore
}

// Open returns the signing keys and the peppers of a store, with the default settings of
// each. It creates the first ones if the store has none. master seals them in the store: it
// has MasterKeySize secret random bytes from outside of the store, and is the same on all
// replicas. Errors: those of NewSealer, NewRing and LoadPeppers.
func Open(ctx context.Context, store Store, master []byte) (*Ring, *Peppers, error) {
	sealer, err := NewSealer(master)
	if err != nil {
		return nil, nil, err
	}
	ring, err := NewRing(ctx, RingConfig{Store: store, Sealer: sealer})
	if err != nil {
		return nil, nil, err
	}
	peppers, err := LoadPeppers(ctx, store, sealer, rand.Reader, time.Now())
	return ring, peppers, err
}
