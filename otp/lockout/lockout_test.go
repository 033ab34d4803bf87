package lockout_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"latchkey/otp/lockout"
	"latchkey/storage"
)

func start() time.Time { return time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC) }

func TestFail(t *testing.T) {
	t.Parallel()
	now := start()
	forever := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	usual := lockout.DefaultPolicy()
	tests := []struct {
		name   string
		policy storage.LockoutPolicy
		state  storage.Counter
		want   storage.Counter
	}{
		{
			"first failure", usual,
			storage.Counter{},
			storage.Counter{Failures: 1, LastFailureAt: now},
		},
		{
			"one before the threshold", usual,
			storage.Counter{Failures: 8, LastFailureAt: now.Add(-time.Hour)},
			storage.Counter{Failures: 9, LastFailureAt: now},
		},
		{
			"the threshold locks", usual,
			storage.Counter{Failures: 9, LastFailureAt: now.Add(-time.Hour)},
			storage.Counter{Failures: 10, LastFailureAt: now, LockedUntil: now.Add(2 * time.Minute)},
		},
		{
			"a failure after a lock doubles the lock", usual,
			storage.Counter{Failures: 10, LastFailureAt: now.Add(-time.Hour), LockedUntil: now},
			storage.Counter{Failures: 11, LastFailureAt: now, LockedUntil: now.Add(4 * time.Minute)},
		},
		{
			"doubling ends at the ceiling", usual,
			storage.Counter{Failures: 5000, LastFailureAt: now.Add(-time.Hour)},
			storage.Counter{Failures: 5001, LastFailureAt: now, LockedUntil: now.Add(24 * time.Hour)},
		},
		{
			"a failure under the lock only renews LastFailureAt", usual,
			storage.Counter{Failures: 12, LastFailureAt: now.Add(-time.Minute), LockedUntil: now.Add(time.Second)},
			storage.Counter{Failures: 12, LastFailureAt: now, LockedUntil: now.Add(time.Second)},
		},
		{
			"a day without failure forgets", usual,
			storage.Counter{Failures: 15, LastFailureAt: now.Add(-26 * time.Hour), LockedUntil: now.Add(-24 * time.Hour)},
			storage.Counter{Failures: 1, LastFailureAt: now, LockedUntil: now.Add(-24 * time.Hour)},
		},
		{
			"a day under lock does not forget", usual,
			storage.Counter{Failures: 19, LastFailureAt: now.Add(-24 * time.Hour), LockedUntil: now},
			storage.Counter{Failures: 20, LastFailureAt: now, LockedUntil: now.Add(24 * time.Hour)},
		},
		{
			"almost a day does not forget", usual,
			storage.Counter{Failures: 15, LastFailureAt: now.Add(-24*time.Hour + 1)},
			storage.Counter{Failures: 16, LastFailureAt: now, LockedUntil: now.Add(128 * time.Minute)},
		},
		{
			"duration 0 locks until an unlock",
			storage.LockoutPolicy{Threshold: 1},
			storage.Counter{},
			storage.Counter{Failures: 1, LastFailureAt: now, LockedUntil: forever},
		},
		{
			"without a threshold the first failure locks",
			storage.LockoutPolicy{Duration: time.Minute},
			storage.Counter{},
			storage.Counter{Failures: 1, LastFailureAt: now, LockedUntil: now.Add(time.Minute)},
		},
		{
			"without a ceiling locks grow to a day",
			storage.LockoutPolicy{Threshold: 1, Duration: 13 * time.Hour},
			storage.Counter{Failures: 3, LastFailureAt: now.Add(-time.Hour)},
			storage.Counter{Failures: 4, LastFailureAt: now, LockedUntil: now.Add(24 * time.Hour)},
		},
		{
			"a duration above the ceiling is not shortened",
			storage.LockoutPolicy{Threshold: 1, Duration: time.Hour, MaxDuration: time.Minute},
			storage.Counter{Failures: 3, LastFailureAt: now.Add(-time.Hour)},
			storage.Counter{Failures: 4, LastFailureAt: now, LockedUntil: now.Add(time.Hour)},
		},
		{
			"doubling does not overflow",
			storage.LockoutPolicy{Threshold: 1, Duration: 1 << 61, MaxDuration: math.MaxInt64},
			storage.Counter{Failures: 3, LastFailureAt: now},
			storage.Counter{Failures: 4, LastFailureAt: now, LockedUntil: now.Add(math.MaxInt64)},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, lockout.Fail(test.policy, test.state, now)); diff != "" {
				t.Errorf("Fail (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRemaining(t *testing.T) {
	t.Parallel()
	now := start()
	tests := []struct {
		name  string
		state storage.Counter
		want  int
	}{
		{"no failure", storage.Counter{}, 10},
		{"some failures", storage.Counter{Failures: 4, LastFailureAt: now.Add(-time.Hour)}, 6},
		{"locked", storage.Counter{Failures: 10, LastFailureAt: now, LockedUntil: now.Add(1)}, 0},
		{"lock ended", storage.Counter{Failures: 10, LastFailureAt: now.Add(-time.Hour), LockedUntil: now}, 1},
		{"far beyond the threshold", storage.Counter{Failures: 40, LastFailureAt: now.Add(-time.Hour)}, 1},
		{"forgotten", storage.Counter{Failures: 40, LastFailureAt: now.Add(-24 * time.Hour)}, 10},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := lockout.Remaining(lockout.DefaultPolicy(), test.state, now); got != test.want {
				t.Errorf("Remaining: got %d, want %d", got, test.want)
			}
		})
	}
}

func policies() *rapid.Generator[storage.LockoutPolicy] {
	return rapid.Custom(func(t *rapid.T) storage.LockoutPolicy {
		return storage.LockoutPolicy{
			Threshold:    rapid.IntRange(1, 20).Draw(t, "threshold"),
			Duration:     time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "duration")),
			MaxDuration:  time.Duration(rapid.Int64Range(1, int64(48*time.Hour)).Draw(t, "ceiling")),
			ForgetsAfter: time.Duration(rapid.Int64Range(int64(24*time.Hour), int64(72*time.Hour)).Draw(t, "memory")),
		}
	})
}

// TestGuessesAreBoundedByElapsedLocks tests that, while failures are not forgotten, the number
// of guesses is at most the threshold plus one for each lock that ended.
func TestGuessesAreBoundedByElapsedLocks(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		policy := policies().Draw(t, "policy")
		now := start()
		var state storage.Counter
		guesses, locks := 0, 0
		for _, wait := range rapid.SliceOfN(rapid.Int64Range(0, int64(3*time.Hour)), 1, 200).Draw(t, "waits") {
			now = now.Add(time.Duration(wait))
			before := state
			left := lockout.Remaining(policy, before, now)
			state = lockout.Fail(policy, before, now)
			if !state.LastFailureAt.Equal(now) {
				t.Fatalf("the failure did not set LastFailureAt: got %+v after %+v", state, before)
			}
			if before.Locked(now) {
				if left != 0 {
					t.Fatalf("got %d remaining guesses while locked, want 0", left)
				}
				if state.Failures != before.Failures || !state.LockedUntil.Equal(before.LockedUntil) {
					t.Fatalf("a failure while locked changed %+v into %+v", before, state)
				}
				continue
			}
			guesses++
			if guesses > policy.Threshold+locks {
				t.Fatalf("got guess %d after %d elapsed locks with threshold %d", guesses, locks, policy.Threshold)
			}
			if state.Locked(now) != (left == 1) {
				t.Fatalf("got %d remaining guesses, and locked after one: %v", left, state.Locked(now))
			}
			if state.Locked(now) {
				locks++ // the lock must end before the next guess
			}
		}
	})
}

// TestLocksGrow tests that no lock is shorter than the one before.
func TestLocksGrow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		policy := policies().Draw(t, "policy")
		now := start()
		var state storage.Counter
		var last time.Duration
		for range policy.Threshold + 15 {
			state = lockout.Fail(policy, state, now)
			if !state.Locked(now) {
				continue
			}
			d := state.LockedUntil.Sub(now)
			if d < last || d > max(policy.Duration, policy.MaxDuration) {
				t.Fatalf("got a lock of %v after one of %v, policy %+v", d, last, policy)
			}
			last = d
			now = state.LockedUntil
		}
	})
}

// TestMostPatientAttacker tests that at most 25 guesses fit into any 24 hours, however an
// attacker spreads them over a week.
func TestMostPatientAttacker(t *testing.T) {
	t.Parallel()
	policy := lockout.DefaultPolicy()
	tests := []struct {
		name string
		next func(storage.Counter, time.Time) time.Time // returns the time of the next guess
	}{
		{"guesses as soon as a lock ends", func(l storage.Counter, now time.Time) time.Time {
			return now.Add(max(time.Second, l.LockedUntil.Sub(now)))
		}},
		{"pauses before the lock until failures are forgotten", func(l storage.Counter, now time.Time) time.Time {
			if lockout.Remaining(policy, l, now) == 1 {
				return now.Add(policy.ForgetsAfter)
			}
			return now.Add(time.Second)
		}},
		{"pauses after every lock until failures are forgotten", func(l storage.Counter, now time.Time) time.Time {
			if l.Locked(now) {
				return l.LockedUntil.Add(policy.ForgetsAfter)
			}
			return now.Add(time.Second)
		}},
		{"pauses after the longest lock that fits into a day", func(l storage.Counter, now time.Time) time.Time {
			if l.LockedUntil.Sub(now) > 12*time.Hour {
				return l.LockedUntil.Add(policy.ForgetsAfter)
			}
			return now.Add(max(time.Second, l.LockedUntil.Sub(now)))
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var state storage.Counter
			var guesses []time.Time
			for now := start(); now.Before(start().Add(7 * 24 * time.Hour)); now = test.next(state, now) {
				if !state.Locked(now) {
					guesses = append(guesses, now)
				}
				state = lockout.Fail(policy, state, now)
			}
			if most := busiestDay(guesses); most < policy.Threshold-1 || most > 25 {
				t.Errorf("got %d guesses within 24 hours, want at most 25", most)
			}
		})
	}
}

// busiestDay returns the largest number of guesses in any 24 hours.
func busiestDay(guesses []time.Time) int {
	most := 0
	for i, first := range guesses {
		n := 0
		for _, g := range guesses[i:] {
			if g.Sub(first) <= 24*time.Hour {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}
