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
		// Ten guesses are possible at once, then one after 2, 6, 14, 30, 62, 126, 254, 510 and
		// 1022 minutes. In the long run it is best to pause after the fifteenth guess, for 126
		// minutes and a day.
		{"default", lockout.DefaultPolicy(), lockout.Allowance{FirstHour: 14, FirstDay: 19, LongRun: 15 * 1440.0 / 1566}},
		{"an hour after three", storage.LockoutPolicy{Threshold: 3, Duration: time.Hour, MaxDuration: day, ForgetsAfter: day}, lockout.Allowance{FirstHour: 3, FirstDay: 7, LongRun: 5 * 24.0 / 31}},
		{"locks until an unlock", storage.LockoutPolicy{Threshold: 3, ForgetsAfter: day}, lockout.Allowance{FirstHour: 2 + 1, FirstDay: 3, LongRun: 2}},
		{"the first failure locks until an unlock", storage.LockoutPolicy{Threshold: 1, ForgetsAfter: time.Hour}, lockout.Allowance{FirstHour: 1, FirstDay: 1}},
		{"failures are never forgotten", storage.LockoutPolicy{Threshold: 2, Duration: time.Hour, MaxDuration: 2 * time.Hour}, lockout.Allowance{FirstHour: 2, FirstDay: 2 + 1 + 11, LongRun: 12}},
		{"locks do not grow", storage.LockoutPolicy{Threshold: 1, Duration: time.Minute, MaxDuration: time.Minute, ForgetsAfter: day}, lockout.Allowance{FirstHour: 60, FirstDay: 1440, LongRun: 1440}},
		// Four guesses every ten minutes without a lock are more than one guess an hour.
		{"failures are forgotten sooner than a lock ends", storage.LockoutPolicy{Threshold: 5, Duration: time.Hour, MaxDuration: day, ForgetsAfter: 10 * time.Minute}, lockout.Allowance{FirstHour: 5*4 + 5, FirstDay: 143*4 + 5, LongRun: 576}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := lockout.AllowanceOf(test.policy); got != test.want {
				t.Errorf("AllowanceOf(%+v): got %+v, want %+v", test.policy, got, test.want)
			}
		})
	}
}

// TestAllowanceIsWhatTheBestAttackerGets tries every sequence of guesses within an hour, with
// at most one guess a minute. The best sequence has exactly as many guesses as AllowanceOf
// returns.
func TestAllowanceIsWhatTheBestAttackerGets(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		minutes := func(least, most int, label string) time.Duration {
			return time.Duration(rapid.IntRange(least, most).Draw(t, label)) * time.Minute
		}
		policy := storage.LockoutPolicy{
			Threshold: rapid.IntRange(1, 4).Draw(t, "threshold"), Duration: minutes(0, 15, "duration"),
			MaxDuration: minutes(1, 40, "ceiling"), ForgetsAfter: minutes(1, 40, "memory"),
		}
		a := attacker{policy, map[searchState]int{}}
		if got, want := lockout.AllowanceOf(policy).FirstHour, a.most(storage.Counter{}, 60); got != want {
			t.Fatalf("%+v: got %d guesses within an hour, want %d", policy, got, want)
		}
	})
}

// attacker searches for the best sequence of guesses.
type attacker struct {
	policy  storage.LockoutPolicy
	results map[searchState]int // results of most
}

// searchState is the state of a counter relative to the current minute.
type searchState struct {
	minutesLeft, failures   int
	sinceFailure, lockedFor time.Duration
}

// most returns the largest number of guesses that are possible in the remaining minutes,
// starting with the counter c.
func (a attacker) most(c storage.Counter, left int) int {
	if left == 0 {
		return 0
	}
	now := start().Add(-time.Duration(left) * time.Minute)
	s := searchState{left, c.Failures, now.Sub(c.LastFailureAt), c.LockedUntil.Sub(now)}
	if n, ok := a.results[s]; ok {
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
	a.results[s] = n
	return n
}

// TestLaterDaysAreNoBetter tests that no later day allows more guesses than the first one.
func TestLaterDaysAreNoBetter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		policy := policies().Draw(t, "policy")
		a := lockout.AllowanceOf(policy)
		if a.FirstHour > a.FirstDay || a.LongRun > float64(a.FirstDay) {
			t.Fatalf("%+v: got %+v", policy, a)
		}
	})
}

// TestCheck tests that the default policy is below the limit, and that a change of any field is
// refused if it allows more than 100 guesses in any 24 hours.
func TestCheck(t *testing.T) {
	t.Parallel()
	usual := lockout.DefaultPolicy()
	with := func(change func(*storage.LockoutPolicy)) storage.LockoutPolicy {
		p := usual
		change(&p)
		return p
	}
	tests := []struct {
		name    string
		policy  storage.LockoutPolicy
		tooMany bool
	}{
		{"default", usual, false},
		{"zero policy, which locks at the first failure until an unlock", storage.LockoutPolicy{}, false},
		{"91 guesses at once, nine more that day", with(func(p *storage.LockoutPolicy) { p.Threshold = 91 }), false},
		{"92 guesses at once", with(func(p *storage.LockoutPolicy) { p.Threshold = 92 }), true},
		{"100 guesses, then a lock of a day", with(func(p *storage.LockoutPolicy) { p.Threshold, p.Duration = 100, 24*time.Hour }), false},
		{"100 guesses, then a lock of a second", with(func(p *storage.LockoutPolicy) { p.Threshold, p.Duration, p.MaxDuration = 100, time.Second, time.Second }), true},
		{"locks of at most a quarter of an hour", with(func(p *storage.LockoutPolicy) { p.MaxDuration = 15 * time.Minute }), true},
		{"failures are forgotten after two hours", with(func(p *storage.LockoutPolicy) { p.ForgetsAfter = 2 * time.Hour }), true},
		{"failures are never forgotten, with the default locks", with(func(p *storage.LockoutPolicy) { p.ForgetsAfter = 0 }), false},
	}
	for _, test := range tests {
		if err := lockout.Check(test.policy); errors.Is(err, lockout.ErrTooManyGuesses) != test.tooMany || !test.tooMany && err != nil {
			t.Errorf("%s: got %v, want too many guesses: %v", test.name, err, test.tooMany)
		}
	}
}
