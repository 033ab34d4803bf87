package lockout

import (
	"time"

	"latchkey/storage"
)

// lockedUntil returns the end of a lock that starts at the time now. beyond is the
// number of failures above the threshold; each of them doubles the lock, up to
// p.MaxDuration. A p.MaxDuration of 0 or less counts as 24 hours. With a p.Duration of 0 or
// less only an administrator ends the lock.
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

// endOfTime returns the end of a lock that only an administrator ends. It is the
// last second that RFC 3339 can express.
func endOfTime() time.Time {
	return time.Date(9999, time.December, 31, 23, 59, 59, 0, time.UTC)
}
