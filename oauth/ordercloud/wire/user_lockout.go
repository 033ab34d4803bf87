package wire

import (
	"time"

	"latchkey/oauth/surface"
	"latchkey/storage"
)

// UserLockout says what is locked for a user. The resource is Latchkey's own.
type UserLockout struct {
	Locked bool // some sign-in of the user would be refused
	Logins []LoginLockout
}

// LoginLockout has the failed attempts of a login, which are counted separately for each
// kind of address.
type LoginLockout struct {
	Username          string
	PasswordProfileID string
	Threshold         int // from this number of failed attempts on, each one locks

	// Passwords counts all failed attempts. It locks passwords from addresses that are
	// not known for the login.
	Passwords AttemptCounter
	// Codes counts the failed attempts that could have hit a one-time password. It locks
	// one-time passwords from such addresses.
	Codes   AttemptCounter
	Sources []SourceLockout // known addresses, the latest first
}

// AttemptCounter counts failed attempts.
type AttemptCounter struct {
	FailedAttempts int
	LastFailedAt   *time.Time // null: there was none
	LockedUntil    *time.Time // null: not locked; the year 9999: until an administrator unlocks
}

// SourceLockout has the failed attempts from an address from which the user has signed in.
// It locks attempts from this address only.
type SourceLockout struct {
	Address        string
	LastSignedInAt time.Time
	FailedAttempts int
	LastFailedAt   *time.Time
	LockedUntil    *time.Time
}

// UserLockoutFromRecords returns the lock states of a user at the time now.
func UserLockoutFromRecords(all []storage.LoginLockout, now time.Time) UserLockout {
	w := UserLockout{Logins: []LoginLockout{}}
	for i := range all {
		l := &all[i]
		w.Locked = w.Locked || l.Locked(now)
		state := l.Login.Lockout
		one := LoginLockout{
			Username: l.Login.Username, PasswordProfileID: l.Login.ProfileID, Threshold: max(l.Policy.Threshold, 1), Sources: []SourceLockout{},
			Passwords: attemptCounter(storage.Counter{Failures: state.Failures, LastFailureAt: state.LastFailureAt, LockedUntil: state.LockedUntil}, now),
			Codes:     attemptCounter(state.Codes, now),
		}
		for _, s := range l.Sources {
			c := attemptCounter(s.Counter, now)
			one.Sources = append(one.Sources, SourceLockout{
				Address: s.Source.Address, LastSignedInAt: s.Source.SeenAt,
				FailedAttempts: c.FailedAttempts, LastFailedAt: c.LastFailedAt, LockedUntil: c.LockedUntil,
			})
		}
		w.Logins = append(w.Logins, one)
	}
	return w
}

func attemptCounter(c storage.Counter, now time.Time) AttemptCounter {
	w := AttemptCounter{FailedAttempts: c.Failures, LastFailedAt: surface.Optional(c.LastFailureAt)}
	if c.Locked(now) {
		w.LockedUntil = &c.LockedUntil
	}
	return w
}
