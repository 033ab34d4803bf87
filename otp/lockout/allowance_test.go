package lockout_test

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"latchkey/otp/lockout"
	"latchkey/storage"
)

func TestAllowanceOf(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	tests := []struct {
		name   string
		policy storage.LockoutPolicy
		want   lockout.Allowance
	}{
		// Ten at once, then after 2, 6, 14 and 30 minutes, then 62, 126, 254, 510 and 1022.
		// In the long run it is best to rest after the fifteenth: 126 minutes and a day.
		{"default", lockout.DefaultPolicy(), lockout.Allowance{FirstHour: 14, FirstDay: 19, LongRun: 15 * 1440.0 / 1566}},
		{"an hour after three", storage.LockoutPolicy{Threshold: 3, Duration: time.Hour, MaxDuration: day, ForgetsAfter: day}, lockout.Allowance{FirstHour: 3, FirstDay: 7, LongRun: 5 * 24.0 / 31}},
		{"until somebody unlocks", storage.LockoutPolicy{Threshold: 3, ForgetsAfter: day}, lockout.Allowance{FirstHour: 2 + 1, FirstDay: 3, LongRun: 2}},
		{"until somebody unlocks, the first time", storage.LockoutPolicy{Threshold: 1, ForgetsAfter: time.Hour}, lockout.Allowance{FirstHour: 1, FirstDay: 1}},
		{"never forgets", storage.LockoutPolicy{Threshold: 2, Duration: time.Hour, MaxDuration: 2 * time.Hour}, lockout.Allowance{FirstHour: 2, FirstDay: 2 + 1 + 11, LongRun: 12}},
		{"the same lock each time", storage.LockoutPolicy{Threshold: 1, Duration: time.Minute, MaxDuration: time.Minute, ForgetsAfter: day}, lockout.Allowance{FirstHour: 60, FirstDay: 1440, LongRun: 1440}},
		// Four free guesses every ten minutes are better than waiting out an hour.
		{"forgets sooner than it unlocks", storage.LockoutPolicy{Threshold: 5, Duration: time.Hour, MaxDuration: day, ForgetsAfter: 10 * time.Minute}, lockout.Allowance{FirstHour: 5*4 + 5, FirstDay: 143*4 + 5, LongRun: 576}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := lockout.AllowanceOf(test.policy); got != test.want {
				t.Errorf("AllowanceOf(%+v) = %+v, want %+v", test.policy, got, test.want)
			}
		})
	}
}

// In a small world, where a policy is counted in minutes, every way to guess is
// tried out: none gets more guesses than AllowanceOf says, and one as many.
func TestAllowanceIsWhatTheBestAttackerGets(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		minutes := func(least, most int, what string) time.Duration {
			return time.Duration(rapid.IntRange(least, most).Draw(t, what)) * time.Minute
		}
		policy := storage.LockoutPolicy{
			Threshold: rapid.IntRange(1, 4).Draw(t, "threshold"), Duration: minutes(0, 15, "duration"),
			MaxDuration: minutes(1, 40, "ceiling"), ForgetsAfter: minutes(1, 40, "memory"),
		}
		a := attacker{policy, map[situation]int{}}
		if got, want := lockout.AllowanceOf(policy).FirstHour, a.most(storage.Counter{}, 60); got != want {
			t.Fatalf("%+v: %d guesses within an hour, want %d", policy, got, want)
		}
	})
}

// attacker tries every way to guess once a minute or not.
type attacker struct {
	policy storage.LockoutPolicy
	known  map[situation]int
}

type situation struct {
	left, failures int
	quiet, locked  time.Duration
}

// most returns the most guesses in so many minutes that are left.
func (a attacker) most(c storage.Counter, left int) int {
	if left == 0 {
		return 0
	}
	now := start().Add(-time.Duration(left) * time.Minute)
	s := situation{left, c.Failures, now.Sub(c.LastFailureAt), c.LockedUntil.Sub(now)}
	if n, ok := a.known[s]; ok {
		return n
	}
	n := a.most(c, left-1)
	if !c.Locked(now) {
		next := lockout.Fail(a.policy, c, now)
		if next.Locked(now) {
			n = max(n, 1+a.most(next, left-1))
		} else {
			n = max(n, 1+a.most(next, left))
		}
	}
	a.known[s] = n
	return n
}

// A longer window never holds more than its parts would allow: what the first
// day gives, no later one exceeds.
func TestLaterDaysAreNoBetter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		policy := policies().Draw(t, "policy")
		a := lockout.AllowanceOf(policy)
		if a.FirstHour > a.FirstDay || a.LongRun > float64(a.FirstDay) {
			t.Fatalf("%+v: %+v", policy, a)
		}
	})
}

// TestCheck: the default is well below the ceiling, and each way to loosen it is
// refused where it exceeds a hundred guesses in some 24 hours.
func TestCheck(t *testing.T) {
	t.Parallel()
	usual := lockout.DefaultPolicy()
	with := func(change func(*storage.LockoutPolicy)) storage.LockoutPolicy {
		p := usual
		change(&p)
		return p
	}
	tests := []struct {
		name   string
		policy storage.LockoutPolicy
		lax    bool
	}{
		{"default", usual, false},
		{"nothing set, which locks at once until somebody unlocks", storage.LockoutPolicy{}, false},
		{"91 at once, nine more that day", with(func(p *storage.LockoutPolicy) { p.Threshold = 91 }), false},
		{"92 at once", with(func(p *storage.LockoutPolicy) { p.Threshold = 92 }), true},
		{"100, then a day", with(func(p *storage.LockoutPolicy) { p.Threshold, p.Duration = 100, 24*time.Hour }), false},
		{"100, then a second", with(func(p *storage.LockoutPolicy) { p.Threshold, p.Duration, p.MaxDuration = 100, time.Second, time.Second }), true},
		{"a quarter of an hour each", with(func(p *storage.LockoutPolicy) { p.MaxDuration = 15 * time.Minute }), true},
		{"forgotten after two hours", with(func(p *storage.LockoutPolicy) { p.ForgetsAfter = 2 * time.Hour }), true},
		{"never forgotten", with(func(p *storage.LockoutPolicy) { p.ForgetsAfter = 0 }), false},
	}
	for _, test := range tests {
		if err := lockout.Check(test.policy); errors.Is(err, lockout.ErrLax) != test.lax || !test.lax && err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
