package lockout

import (
	"time"

	"latchkey/storage"
)

// DefaultPolicy returns the policy of a profile that sets none. Ten failures lock
// for two minutes (OrderCloud, custom-password-configuration). Each further
// failure doubles the lock, up to 24 hours. A day without failure and without lock
// forgets all failures.
func DefaultPolicy() storage.LockoutPolicy {
	return storage.NewPasswordProfile("", "").Lockout
}

// Fail returns the counter after one more failure at the time now.
//
// From the Threshold-th failure on, each failure locks: for Duration, then for
// twice that, and so on up to MaxDuration. Failures survive the end of a lock, so
// only a single guess is possible after it. They are forgotten after ForgetsAfter
// without lock and without failure. A failure under the lock does not count and
// does not move the end of the lock. It only renews LastFailureAt.
//
// Invalid fields are read in the safe direction: a Threshold below 1 as 1, a
// MaxDuration of 0 as 24 hours, a ForgetsAfter of 0 as never. A Duration of 0
// locks until an administrator unlocks.
func Fail(p storage.LockoutPolicy, c storage.Counter, now time.Time) storage.Counter {
	next := c
	next.LastFailureAt = now
	if c.Locked(now) {
		return next
	}
	next.Failures = failuresThatCount(p, c, now) + 1
	if beyond := next.Failures - threshold(p); beyond >= 0 {
		next.LockedUntil = lockedUntil(p, beyond, now)
	}
	return next
}

// Remaining returns how many guesses are left before the next lock. It is 0 while
// the counter is locked, otherwise at least 1.
func Remaining(p storage.LockoutPolicy, c storage.Counter, now time.Time) int {
	if c.Locked(now) {
		return 0
	}
	return max(1, threshold(p)-failuresThatCount(p, c, now))
}

func threshold(p storage.LockoutPolicy) int { return max(1, p.Threshold) }

// failuresThatCount returns the failures that are not forgotten at the time now.
// ForgetsAfter starts at the end of a lock. Otherwise the end of a lock as long as
// ForgetsAfter would forget all failures.
func failuresThatCount(p storage.LockoutPolicy, c storage.Counter, now time.Time) int {
	quietSince := c.LastFailureAt
	if c.LockedUntil.After(quietSince) {
		quietSince = c.LockedUntil
	}
	if p.ForgetsAfter > 0 && now.Sub(quietSince) >= p.ForgetsAfter {
		return 0
	}
	return c.Failures
}
