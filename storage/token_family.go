package storage

import (
	"slices"
	"time"
)

// TokenFamily stands for all refresh tokens that descend from one sign-in. The
// tokens are not stored: each is a MAC over the family, its seed and its generation
// (see grants.RefreshTokens).
type TokenFamily struct {
	ID         string
	ClientID   string
	UserUID    string
	LoginID    string
	AccountUID string // the account that its tokens are scoped to; empty: none
	SourceID   string // the known source that the sign-in came from; empty: unknown
	SessionID  string // the session of the browser that the sign-in belongs to; empty: none
	Scope      []string
	Resources  []string // the audience of its access tokens (RFC 8707); empty: the server's default
	JKT        string   // JWK thumbprint of the key that its tokens are bound to (RFC 9449); empty: none
	AMR        []string // RFC 8176: "otp" or "pwd"
	Purpose    Purpose  // of the one-time password that was used to sign in; empty: none, or PurposeSignIn
	AuthTime   time.Time

	SeedDigest []byte // SHA-256 of the 128-bit seed in the token
	Generation int64  // of the current token
	RotatedAt  time.Time
	Rotations  []Rotation // the rotations before the last one, oldest first; see FamilyAdvance
	ExpiresAt  time.Time  // never changes
	IdleUntil  time.Time  // zero: no idle limit
	RevokedAt  time.Time
	CreatedAt  time.Time
}

// Rotation says when a refresh token was replaced.
type Rotation struct {
	Generation int64 // of the replaced token
	At         time.Time
}

// maxRotations limits TokenFamily.Rotations.
const maxRotations = 8

// ReplacedAt returns when the token of a generation was replaced, or the zero time if
// it is the current one. If the rotation is not kept any more, ReplacedAt returns the
// time of the next one that is, so it is never too early.
func (f *TokenFamily) ReplacedAt(generation int64) time.Time {
	if generation >= f.Generation {
		return time.Time{}
	}
	for _, r := range f.Rotations {
		if generation <= r.Generation {
			return r.At
		}
	}
	return f.RotatedAt
}

// FamilyAdvance moves a family from one generation to the next.
type FamilyAdvance struct {
	From      int64 // the current generation
	Now       time.Time
	IdleUntil time.Time // zero: no idle limit
	Rotations []Rotation
}

// Advance returns the change that moves the family to the next generation at the time now.
// idleUntil is its new idle limit (zero: none). grace is how long a replaced refresh token
// still works. It keeps the rotations of the last grace period, and the last one before it.
// If there are more than maxRotations, it drops the one with the closest neighbours in
// time: the tokens up to it count as replaced at the next one.
func (f *TokenFamily) Advance(now, idleUntil time.Time, grace time.Duration) FamilyAdvance {
	rotations := slices.Clone(f.Rotations)
	if f.Generation > 1 {
		rotations = append(rotations, Rotation{f.Generation - 1, f.RotatedAt})
	}
	for len(rotations) > 1 && !now.Before(rotations[1].At.Add(grace)) {
		rotations = rotations[1:]
	}
	for len(rotations) > maxRotations {
		closest := 1
		between := func(i int) time.Duration { return rotations[i+1].At.Sub(rotations[i-1].At) }
		for i := 2; i < len(rotations)-1; i++ {
			if between(i) < between(closest) {
				closest = i
			}
		}
		rotations = slices.Delete(rotations, closest, closest+1)
	}
	return FamilyAdvance{From: f.Generation, Now: now, IdleUntil: idleUntil, Rotations: rotations}
}

// FamilyState is a token family with the current state of its user.
type FamilyState struct {
	Family    TokenFamily
	Principal Principal
	Member    *Member // membership in the family's account; nil: no account, or not a member any more
}

// TokenRef holds the identifiers in a token. Empty ones are not looked up.
type TokenRef struct {
	JTI        string
	FamilyID   string
	UserUID    string
	LoginID    string
	AccountUID string // the account that it is scoped to
	SourceID   string // the known source that its sign-in came from
}

// TokenStatus is the state of the records that can end a token before it expires.
type TokenStatus struct {
	Revoked       bool      // the token itself was revoked
	FamilyRevoked bool      // its token family was revoked or does not exist any more
	FamilyBegan   time.Time // when its token family began; zero: it has none
	Principal     Principal
	Member        *Member // membership in its account; nil: no account, or not a member any more
}
