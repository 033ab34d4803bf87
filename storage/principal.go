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
