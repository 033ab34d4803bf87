package storage

import "time"

// LoginKey identifies a login by the presented username, and the source of the
// attempt. The login need not exist.
type LoginKey struct {
	ProfileID   string
	UsernameKey string // otp.NormalizeUsername of the presented username
	Source      string // network address that the attempt comes from; empty: none in particular
}

// Source is a network address from which a login has signed in before. Its failed
// attempts are counted separately: a lock because of guesses from other addresses
// does not apply to it. A login has at most MaxSources; a new one replaces the one
// that was not used for the longest time.
type Source struct {
	ID      string // in tokens and token families; empty: an unknown address
	Address string // LoginKey.Source
	SeenAt  time.Time
}

// SourceState is a known source with its own failed attempts.
type SourceState struct {
	Source  Source
	Counter Counter
}

// LoginLockout is the lock state of a login for all addresses.
type LoginLockout struct {
	Login   Login
	Policy  LockoutPolicy // of the password profile, tightened by the user's security profiles
	Sources []SourceState // known addresses, the latest first
}

// Locked reports whether any lock of the login is in force at the time now: the lock for
// passwords or for codes from unknown addresses, or the lock of a known address.
func (l *LoginLockout) Locked(now time.Time) bool {
	for i := range l.Sources {
		if l.Sources[i].Counter.Locked(now) {
			return true
		}
	}
	return l.Login.Lockout.Locked(now) || l.Login.Lockout.Codes.Locked(now)
}

// MaxSources is the highest number of known sources of a login.
const MaxSources = 5

// Principal is a login with its user, account, roles and policies, read in one
// statement for a decision about the user. XP, Version, CreatedAt and UpdatedAt of
// its records are not read.
type Principal struct {
	Key     LoginKey
	Known   bool   // false: the login does not exist; then only Key, Lockout and Policy are set
	Source  Source // the known source: LoginKey.Source, or the source of a token or family; zero: unknown
	Lockout Lockout
	Policy  LockoutPolicy // of the password profile, tightened by the user's security profiles
	Rules   PasswordRules // for a new permanent password, tightened likewise

	Login   Login
	User    User
	Account Account  // zero for admin users
	Roles   []string // from security profiles and the account membership

	// RoleSource names the records that Roles comes from, in a form that only the store
	// understands. Users with the same RoleSource have the same Roles.
	RoleSource string
}
