package storage

import "time"

// TokenFamily is the lineage of refresh tokens that one sign-in began. Its
// tokens are not stored: each is a MAC over the family, its seed and its
// generation (see grants.RefreshTokens).
type TokenFamily struct {
	ID         string
	ClientID   string
	UserUID    string
	LoginID    string
	AccountUID string // the account its tokens are scoped to; empty: none
	SourceID   string // where the sign-in came from; empty: not known
	Scope      []string
	Resources  []string // the audience of its access tokens (RFC 8707); empty: the server's default
	JKT        string   // thumbprint of the key that its tokens are bound to (RFC 9449); empty: none
	AMR        []string // RFC 8176: "otp" or "pwd"
	Purpose    Purpose  // of the one-time password that its sign-in used; empty: none, or to sign in
	AuthTime   time.Time

	SeedDigest []byte // SHA-256 of the 128-bit seed in the token
	Generation int64  // of the current token
	RotatedAt  time.Time
	ExpiresAt  time.Time // absolute end; never moves
	IdleUntil  time.Time // zero: no idle limit
	RevokedAt  time.Time
	CreatedAt  time.Time
}

// FamilyState is a family with the user it belongs to, as they are now.
type FamilyState struct {
	Family    TokenFamily
	Principal Principal
	Member    *Member // of the family's account; nil: none, or a member no longer
}

// TokenRef is what a token says about itself; empty fields are not looked up.
type TokenRef struct {
	JTI        string
	FamilyID   string
	UserUID    string
	LoginID    string
	AccountUID string // the account it is scoped to
	SourceID   string // where its sign-in came from
}

// TokenStanding is what can end a token before its time.
type TokenStanding struct {
	Revoked       bool      // the token itself was revoked
	FamilyRevoked bool      // its refresh family was, or is gone
	FamilyBegan   time.Time // when the refresh family began; zero: it has none
	Principal     Principal
	Member        *Member // of the account it is scoped to; nil: none, or a member no longer
}
