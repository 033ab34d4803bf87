package lockout

import (
	"time"

	"latchkey/storage"
)

// DefaultPolicy returns the policy of a profile that sets none: ten failures,
// then two minutes (OrderCloud, custom-password-configuration), doubling up to
// 24 hours with each further failure, forgotten after a quiet day.
func DefaultPolicy() storage.LockoutPolicy {
	return storage.LockoutPolicy{
		Threshold:    10,
		Duration:     2 * time.Minute,
		MaxDuration:  24 * time.Hour,
		ForgetsAfter: 24 * time.Hour,
	}
}

// Fail returns the counter after one more failure at the time now.
//
// From the Threshold-th failure on, each locks: for Duration, then twice that,
// and so on up to MaxDuration. Failures survive the end of a lock, so whoever
// waits it out gets a single guess; they are forgotten only after ForgetsAfter
// without lock and without failure. A failure under the lock never counts and
// never moves its end, it only renews LastFailureAt.
//
// Fields that make no sense are read to the safe side: a Threshold below 1 as
// 1, a MaxDuration of 0 as 24 hours, a ForgetsAfter of 0 as never. A Duration
// of 0 locks until somebody unlocks.
func Fail(p storage.LockoutPolicy, c storage.Counter, now time.Time) storage.Counter {
	next := c
	next.LastFailureAt = now
	if c.Locked(now) {
		return next
	}
	next.Failures = counted(p, c, now) + 1
	if beyond := next.Failures - threshold(p); beyond >= 0 {
		next.LockedUntil = lockedUntil(p, beyond, now)
	}
	return next
}

// Remaining returns how many guesses are left before the next lock: none under
// it, otherwise at least one.
func Remaining(p storage.LockoutPolicy, c storage.Counter, now time.Time) int {
	if c.Locked(now) {
		return 0
	}
	return max(1, threshold(p)-counted(p, c, now))
}

func threshold(p storage.LockoutPolicy) int { return max(1, p.Threshold) }

// counted returns the failures that still count at the time now. The time of a
// lock is no quiet time: else the end of a long one would wipe them out.
func counted(p storage.LockoutPolicy, c storage.Counter, now time.Time) int {
	quietSince := c.LastFailureAt
	if c.LockedUntil.After(quietSince) {
		quietSince = c.LockedUntil
	}
	if p.ForgetsAfter > 0 && now.Sub(quietSince) >= p.ForgetsAfter {
		return 0
	}
	return c.Failures
}

// lockedUntil returns the end of the lock after the failure that lies beyond
// the threshold by so many.
func lockedUntil(p storage.LockoutPolicy, beyond int, now time.Time) time.Time {
	if p.Duration <= 0 {
		return endOfTime()
	}
	longest := p.MaxDuration
	if longest <= 0 {
		longest = 24 * time.Hour
	}
	d := p.Duration
	for ; beyond > 0 && d < longest; beyond-- {
		d += min(d, longest-d)
	}
	return now.Add(d)
}

// endOfTime is a lock that only an administrator ends. It is the last second
// that RFC 3339 can write.
func endOfTime() time.Time {
	return time.Date(9999, time.December, 31, 23, 59, 59, 0, time.UTC)
}
