package storage

import "time"

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
	Scope      []string
	Resources  []string // the audience of its access tokens (RFC 8707); empty: the server's default
	JKT        string   // JWK thumbprint of the key that its tokens are bound to (RFC 9449); empty: none
	AMR        []string // RFC 8176: "otp" or "pwd"
	Purpose    Purpose  // of the one-time password that was used to sign in; empty: none, or PurposeSignIn
	AuthTime   time.Time

	SeedDigest []byte // SHA-256 of the 128-bit seed in the token
	Generation int64  // of the current token
	RotatedAt  time.Time
	ExpiresAt  time.Time // never changes
	IdleUntil  time.Time // zero: no idle limit
	RevokedAt  time.Time
	CreatedAt  time.Time
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
