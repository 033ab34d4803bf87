package limit

import "time"

// Limit limits events: Burst at once, and Burst in each Per in the long run. The
// zero value is no limit.
type Limit struct {
	Burst int
	Per   time.Duration
}

// leastGap is the precision of stored budgets.
const leastGap = time.Microsecond

// None reports whether there is no limit.
func (l Limit) None() bool { return l.Burst <= 0 || l.Per <= 0 }

// Gap returns the time until one more event is allowed.
func (l Limit) Gap() time.Duration { return max(l.Per/time.Duration(l.Burst), leastGap) }

// The state of a budget is the time at which it is full again, which GCRA calls the
// theoretical arrival time. A budget without a state, or with one in the past, is
// full.

// room returns the time from which a budget has room for one more event.
func (l Limit) room(full time.Time) time.Time {
	return full.Add(-time.Duration(l.Burst-1) * l.Gap())
}

// count returns the state of a budget after one more event.
func (l Limit) count(full, now time.Time) time.Time {
	if full.Before(now) {
		full = now
	}
	return full.Add(l.Gap())
}

// fullAfter returns the state of a budget that has no room until the time.
func (l Limit) fullAfter(until time.Time) time.Time {
	return until.Add(time.Duration(l.Burst-1) * l.Gap())
}
