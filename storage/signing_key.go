package storage

import "time"

// SigningKey is a key that signs tokens. Only its times define its state: it is
// announced until ActivatesAt, active until RetiresAt, and retired but still
// published until GoneAt.
type SigningKey struct {
	KID         string // RFC 7638 thumbprint
	Alg         string // JWS algorithm
	Public      []byte // JWK
	Private     Sealed // PKCS #8
	Predecessor string // KID of the key that it replaces; empty: the first key of its algorithm
	CreatedAt   time.Time
	ActivatesAt time.Time
	RetiresAt   time.Time // zero: when its successor activates
	GoneAt      time.Time // zero: not known yet
	RevokedAt   time.Time
}

// SigningKeyChange is a change of several signing keys in one transaction.
type SigningKeyChange struct {
	// Add are new keys.
	Add []SigningKey
	// Update are keys whose times are overwritten, except for CreatedAt and for a
	// RevokedAt that is already set.
	Update []SigningKey
	// Remove are the KIDs of keys to delete. Unknown KIDs are ignored.
	Remove []string
}

// Pepper is a secret key for digests; see Digest.
type Pepper struct {
	ID        string
	Secret    Sealed // 32 bytes
	CreatedAt time.Time
}
