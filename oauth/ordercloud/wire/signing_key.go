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
	External    bool `json:",omitempty"` // configured at the server, which cannot change it
}

// KeyRotation asks for a successor of a signing key.
type KeyRotation struct {
	Alg *string // JWS algorithm; default the server's
}

// KeyPlan is what a rotation or a revocation would do now.
type KeyPlan struct {
	Alg       *string      // null: nothing would change
	IsNew     bool         // the successor does not exist yet, and has no ID
	Successor *SigningKey  // that would sign, in its state after the change
	Changed   []SigningKey // other keys that would change, likewise
}

// KeyPlanFromPlan returns the plan as it is shown to administrators.
func KeyPlanFromPlan(p keys.Plan) KeyPlan {
	w := KeyPlan{Changed: []SigningKey{}}
	if p.Alg == "" {
		return w
	}
	successor := SigningKeyFromInfo(p.Successor)
	w.Alg, w.IsNew, w.Successor = &p.Alg, p.IsNew, &successor
	for _, k := range p.Changed {
		w.Changed = append(w.Changed, SigningKeyFromInfo(k))
	}
	return w
}

// SigningKeyFromInfo returns the key as it is shown to administrators.
func SigningKeyFromInfo(k keys.KeyInfo) SigningKey {
	return SigningKey{
		ID: k.KID, Alg: k.Alg, State: string(k.State), CreatedAt: k.CreatedAt, ActivatesAt: k.ActivatesAt,
		RetiresAt: surface.Optional(k.RetiresAt), GoneAt: surface.Optional(k.GoneAt), RevokedAt: surface.Optional(k.RevokedAt), External: k.External,
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
