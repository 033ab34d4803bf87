package lockout

import (
	"time"

	"latchkey/storage"
)

// Guess describes which secrets a failed attempt could have hit.
type Guess struct {
	Password bool // the permanent password
	Code     bool // a one-time password
	CodeLive bool // the login had a live code
}

// Next returns the lockout state of a login after a failed guess at the time now.
// It works the same for an unknown username.
//
// The guess counts for the login. It also counts for the login's codes if it could have hit
// one, and for the source address if that is known. Fail is applied to each counter
// separately. A guess that a lock refused, see Refused, does not count. A guess at a
// password and a code of which a lock refused only one counts for the counters that are not
// locked.
//
// The version rises in any case, because every attempt must cost the same write.
func Next(p *storage.Principal, g Guess, now time.Time) storage.Lockout {
	next := p.Lockout
	next.Version++
	if Refused(p, g, now) {
		return next
	}
	setLoginCounter(&next, Fail(p.Policy, loginCounter(next), now))
	if g.Code && g.CodeLive {
		next.Codes = Fail(p.Policy, next.Codes, now)
	}
	if p.Source.ID != "" {
		next.Source = Fail(p.Policy, next.Source, now)
	}
	return next
}

// Refused reports whether a lock refuses the guess at the time now, whatever
// secret it presents.
func Refused(p *storage.Principal, g Guess, now time.Time) bool {
	return (!g.Password || p.Locked(now)) && (!g.Code || p.CodesLocked(now))
}

// Locks reports whether a lock starts or is extended between before and after.
func Locks(before, after storage.Lockout) bool {
	return after.LockedUntil.After(before.LockedUntil) ||
		after.Codes.LockedUntil.After(before.Codes.LockedUntil) ||
		after.Source.LockedUntil.After(before.Source.LockedUntil)
}

// Counts reports whether any counter counts another failure between before and
// after. Comparing the numbers of failures is not enough: the first failure after
// older ones were forgotten may leave the same number.
func Counts(before, after storage.Lockout) bool {
	return counterCounts(loginCounter(before), loginCounter(after)) ||
		counterCounts(before.Codes, after.Codes) || counterCounts(before.Source, after.Source)
}

// counterCounts is Counts for one counter. A failure under a lock only renews
// LastFailureAt, so it does not count.
func counterCounts(before, after storage.Counter) bool {
	onlyRenewed := after.LastFailureAt.Equal(before.LastFailureAt) || before.Locked(after.LastFailureAt)
	return after.Failures != before.Failures || !onlyRenewed
}

// MaxConcurrent returns how many attempts at a login may run at the same time, at
// least 1. For a known source it is what remains of the source's own counter.
// Otherwise it is the least that remains of the counters that are not locked. If
// every counter is locked, no attempt can succeed, so it is the whole threshold.
func MaxConcurrent(p *storage.Principal, now time.Time) int {
	counters := []storage.Counter{loginCounter(p.Lockout), p.Lockout.Codes}
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

// loginCounter returns the counter of all guesses at the login.
func loginCounter(l storage.Lockout) storage.Counter {
	return storage.Counter{Failures: l.Failures, LastFailureAt: l.LastFailureAt, LockedUntil: l.LockedUntil}
}

func setLoginCounter(l *storage.Lockout, c storage.Counter) {
	l.Failures, l.LastFailureAt, l.LockedUntil = c.Failures, c.LastFailureAt, c.LockedUntil
}
