package storage

import "time"

// LoginKey names a login by what a caller presents, whether or not it exists,
// and where the caller is.
type LoginKey struct {
	ProfileID   string
	UsernameKey string // otp.NormalizeUsername of what was typed
	Source      string // network address of whoever tries; empty: none in particular
}

// Source is a network address from which a login has signed in. It has failures
// of its own: a login that is locked because of guesses made elsewhere is not
// locked for it. A login has at most MaxSources; the one that was quiet longest
// makes room.
type Source struct {
	ID      string // in tokens and families; empty: an address that is not known
	Address string // LoginKey.Source
	SeenAt  time.Time
}

// MaxSources is how many addresses are known of one login.
const MaxSources = 5

// Principal is all that a decision about a user needs, read in one statement:
// the login, whose it is, where the user belongs and what it may do. Of the
// records in it the XP, the Version and the times of creation and change are
// not read.
type Principal struct {
	Key     LoginKey
	Known   bool   // false: no such login; then only Key, Lockout and Policy are set
	Source  Source // known for the login: LoginKey.Source, or what a token or family says; zero: unknown
	Lockout Lockout
	Policy  LockoutPolicy // the profile's, tightened by the user's security profiles
	Rules   PasswordRules // for a new permanent password; likewise

	Login   Login
	User    User
	Account Account  // zero for admin users
	Roles   []string // granted by security profiles and the account membership
}

// Code is one one-time password of a login. A login has at most one; issuing
// another replaces it.
type Code struct {
	ID        string
	RequestID string
	ClientID  string // the client it was issued for; empty: any of the profile
	Purpose   Purpose
	Digest    Digest
	IssuedAt  time.Time
	ExpiresAt time.Time
	UsedAt    time.Time
}

// Live tells whether the code can still be redeemed at the time now.
func (c *Code) Live(now time.Time) bool {
	return c.ID != "" && c.UsedAt.IsZero() && now.Before(c.ExpiresAt)
}

// Purpose is what a code was asked for.
type Purpose string

// The purposes of a code.
const (
	PurposeSignIn        Purpose = "sign_in"
	PurposeResetPassword Purpose = "reset_password"
)

// Settlement is a successful attempt that is to take effect. It does so only
// if, at that moment, the login is active and not locked and what was presented
// is still worth something: the code is live, or the password unchanged; then the
// code is used, the failures are cleared, the better hash is stored, the source
// is known and the family begins, all or nothing.
//
// Which lock counts: of an attempt from a known source the source's own, else
// for a code the one that guesses at codes made, and for a password the login's.
// A lock that did not count stays, with its failures.
type Settlement struct {
	LoginID  string
	SourceID string  // of the known source that the attempt came from; empty: unknown
	Remember *Source // is known from now on, without failures; nil: nothing is written of sources
	CodeID   string  // empty: the permanent password was presented
	NewHash  string  // empty: keep the stored hash
	OldHash  string  // what NewHash replaces

	// PasswordSetAt is the login's, as it was when the permanent password was
	// verified. Without CodeID the settlement is refused if the password was
	// changed since.
	PasswordSetAt time.Time

	// Resumed says that nothing was verified anew, but that a sign-in which
	// took effect before goes on: then the failures since stay counted.
	Resumed bool

	BeginFamily *TokenFamily // nil: no refresh token
	Now         time.Time
}

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

// VerificationCode lets a login set a new permanent password (OrderCloud:
// password renewal). A login has at most one; issuing another replaces it. It
// is no one-time password: nobody signs in with it.
type VerificationCode struct {
	ID        string
	LoginID   string
	RequestID string
	ClientID  string // the client it was asked for through; empty: any of the profile
	Digest    Digest
	IssuedAt  time.Time
	ExpiresAt time.Time
	UsedAt    time.Time
}

// Live tells whether the code can still be used at the time now.
func (c *VerificationCode) Live(now time.Time) bool {
	return c.ID != "" && c.UsedAt.IsZero() && now.Before(c.ExpiresAt)
}

// PasswordChange is a new permanent password that is to take effect. It does
// so only if the login is active and, with Code, not locked and the code live;
// then older refresh families and access tokens of the login are dead except
// those of KeepSession, its one-time password and its verification code are used
// up, and its failures are cleared, all or nothing.
type PasswordChange struct {
	LoginID string
	Hash    string
	Keep    int    // former hashes to remember, the replaced one included
	CodeID  string // the verification code that allows it; empty: somebody else did
	Now     time.Time

	// SourceID is of the known source that the code was presented from, whose own
	// lock counts then (see Settlement); empty: unknown.
	SourceID string

	// KeepSession is the session of the user that sets its own password, the only
	// one that goes on; empty: all sessions end.
	KeepSession string
}
