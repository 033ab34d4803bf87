package storage

import "time"

// SigningKey is a key that signs tokens. Its state follows from its times
// alone: announced until ActivatesAt, active until RetiresAt, retired but
// still published until GoneAt.
type SigningKey struct {
	KID         string // RFC 7638 thumbprint
	Alg         string // JWS algorithm
	Public      []byte // JWK
	Private     Sealed // PKCS #8
	CreatedAt   time.Time
	ActivatesAt time.Time
	RetiresAt   time.Time // zero: when its successor activates
	GoneAt      time.Time // zero: not decided yet
	RevokedAt   time.Time
}

// Pepper is a secret that keys digests.
type Pepper struct {
	ID        string
	Secret    Sealed // 32 bytes
	CreatedAt time.Time
}
