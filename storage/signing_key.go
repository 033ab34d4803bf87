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
	Predecessor string // KID of the key that it was made to succeed; empty: the first of its algorithm
	CreatedAt   time.Time
	ActivatesAt time.Time
	RetiresAt   time.Time // zero: when its successor activates
	GoneAt      time.Time // zero: not decided yet
	RevokedAt   time.Time
}

// SigningKeyChange is a change of the signing keys, of which everything takes
// effect or nothing.
type SigningKeyChange struct {
	// Add are new keys.
	Add []SigningKey
	// Update are keys whose times are overwritten, except when they were created
	// and, if they were, revoked.
	Update []SigningKey
	// Remove are the KIDs of keys to delete; unknown ones do not matter.
	Remove []string
}

// Pepper is a secret that keys digests.
type Pepper struct {
	ID        string
	Secret    Sealed // 32 bytes
	CreatedAt time.Time
}
