package wire

import (
	"time"

	"latchkey/keys"
	"latchkey/keys/jose"
	"latchkey/oauth/surface"
)

// SigningKey is a key that signs tokens, without its secret. The resource is
// Latchkey's own.
type SigningKey struct {
	ID          string // kid
	Alg         string // JWS algorithm
	State       string // announced, active, retired, gone or revoked
	CreatedAt   time.Time
	ActivatesAt time.Time
	RetiresAt   *time.Time // null: no successor is announced
	GoneAt      *time.Time // null: no successor is announced
	RevokedAt   *time.Time
}

// KeyRotation asks for a successor of a signing key.
type KeyRotation struct {
	Alg *string // JWS algorithm; default the server's
}

// SigningKeyFromInfo returns the key as it is shown to administrators.
func SigningKeyFromInfo(k keys.KeyInfo) SigningKey {
	return SigningKey{
		ID: k.KID, Alg: k.Alg, State: string(k.State), CreatedAt: k.CreatedAt, ActivatesAt: k.ActivatesAt,
		RetiresAt: surface.Optional(k.RetiresAt), GoneAt: surface.Optional(k.GoneAt), RevokedAt: surface.Optional(k.RevokedAt),
	}
}

// Validate returns the faults of the rotation, as found at path.
func (r KeyRotation) Validate(path string) Faults {
	c := check{path: path}
	if r.Alg != nil {
		c.oneOf("Alg", *r.Alg, jose.SigningAlgorithms()...)
	}
	return c.faults
}
