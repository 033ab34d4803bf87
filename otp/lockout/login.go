package lockout

import (
	"time"

	"latchkey/storage"
)

// Guess says what somebody who failed was trying.
type Guess struct {
	Password bool // at the permanent password
	Code     bool // at a code that is sent to the user's mailbox
	Live     bool // and there was one to hit
}

// Next returns the state of a login, or of a name that nobody has, after a
// failed guess at the time now.
//
// The guess counts to the login, to its codes if one could have been hit, and to
// the source that it came from if that is known; each counter follows the policy
// by itself, see Fail. What a lock refused whatever was presented does not count
// at all. A guess at a password and a code in one that only one of the two locks
// refused counts, but to no counter that is locked.
//
// The version rises in any case, for every attempt costs the same write.
func Next(p *storage.Principal, g Guess, now time.Time) storage.Lockout {
	next := p.Lockout
	next.Version++
	if Refused(p, g, now) {
		return next
	}
	setAll(&next, Fail(p.Policy, all(next), now))
	if g.Code && g.Live {
		next.Codes = Fail(p.Policy, next.Codes, now)
	}
	if p.Source.ID != "" {
		next.Source = Fail(p.Policy, next.Source, now)
	}
	return next
}

// Refused tells whether a lock keeps the guess from any success at the time now.
func Refused(p *storage.Principal, g Guess, now time.Time) bool {
	return (!g.Password || p.Locked(now)) && (!g.Code || p.CodesLocked(now))
}

// Locks tells whether a lock came into force, or was prolonged, between the two
// states.
func Locks(before, after storage.Lockout) bool {
	return after.LockedUntil.After(before.LockedUntil) ||
		after.Codes.LockedUntil.After(before.Codes.LockedUntil) ||
		after.Source.LockedUntil.After(before.Source.LockedUntil)
}

// Counts tells whether a failure counts somewhere in the second state that does
// not in the first. The numbers alone do not say: the first failure after the
// older ones were forgotten may leave as many as there were.
func Counts(before, after storage.Lockout) bool {
	return counts(all(before), all(after)) || counts(before.Codes, after.Codes) || counts(before.Source, after.Source)
}

// counts leaves out what is only noted under a lock.
func counts(before, after storage.Counter) bool {
	noted := after.LastFailureAt.Equal(before.LastFailureAt) || before.Locked(after.LastFailureAt)
	return after.Failures != before.Failures || !noted
}

// AtOnce returns how many guesses at a login may be under way at a time, at
// least one, for whoever the principal was read for: from a known source what is
// left of its own counter, else the least of what is left of those that are not
// locked. While nothing can win it is as many as after an unlock.
func AtOnce(p *storage.Principal, now time.Time) int {
	counters := []storage.Counter{all(p.Lockout), p.Lockout.Codes}
	if p.Source.ID != "" {
		counters = []storage.Counter{p.Lockout.Source}
	}
	least := threshold(p.Policy)
	for _, c := range counters {
		if !c.Locked(now) {
			least = min(least, Remaining(p.Policy, c, now))
		}
	}
	return least
}

// all is the counter of all guesses.
func all(l storage.Lockout) storage.Counter {
	return storage.Counter{Failures: l.Failures, LastFailureAt: l.LastFailureAt, LockedUntil: l.LockedUntil}
}

func setAll(l *storage.Lockout, c storage.Counter) {
	l.Failures, l.LastFailureAt, l.LockedUntil = c.Failures, c.LastFailureAt, c.LockedUntil
}
