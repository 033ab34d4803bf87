package lockout_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"latchkey/otp/lockout"
	"latchkey/storage"
)

func TestReplay(t *testing.T) {
	t.Parallel()
	policy := storage.LockoutPolicy{Threshold: 3, Duration: 10 * time.Minute, MaxDuration: time.Hour, ForgetsAfter: 24 * time.Hour}
	at := func(minutes int) time.Time { return start().Add(time.Duration(minutes) * time.Minute) }
	wrong := func(minute int, source string) lockout.Event {
		return lockout.Event{At: at(minute), Login: "a", Source: source, Kind: lockout.Failed}
	}
	right := func(minute int, source string, otp bool) lockout.Event {
		return lockout.Event{At: at(minute), Login: "a", Source: source, Kind: lockout.Succeeded, OTP: otp}
	}
	live := func(minute int) lockout.Event {
		return lockout.Event{At: at(minute), Login: "a", Source: "attacker", Kind: lockout.Failed, OTP: true}
	}
	refused := lockout.Event{At: at(30), Login: "a", Source: "attacker", Kind: lockout.RefusedByLock}
	lock := lockout.Lock{At: at(2), Until: at(12)}
	tests := []struct {
		name   string
		events []lockout.Event
		want   lockout.Result
	}{
		{"failures below the threshold", []lockout.Event{wrong(0, "home"), wrong(1, "home"), right(2, "home", false)}, lockout.Result{Guesses: 2}},
		{
			"an attacker goes on under the lock, and the user signs in from an unknown source",
			[]lockout.Event{wrong(0, "attacker"), wrong(1, "attacker"), wrong(2, "attacker"), wrong(3, "attacker"), wrong(4, "attacker"), right(5, "home", false)},
			lockout.Result{Locks: []lockout.Lock{lock}, Guesses: 5, NewlyRefused: 2, RefusedSignIns: []time.Time{at(5)}},
		},
		{
			"a code is accepted while passwords are locked, and makes the source known",
			[]lockout.Event{wrong(0, "attacker"), wrong(1, "attacker"), wrong(2, "attacker"), right(3, "home", true), right(4, "home", false), right(5, "cafe", false)},
			lockout.Result{Locks: []lockout.Lock{lock}, Guesses: 3, RefusedSignIns: []time.Time{at(5)}},
		},
		{
			"guesses at a live code lock codes",
			[]lockout.Event{live(0), live(1), live(2), live(3), right(4, "home", true), right(13, "home", true)},
			lockout.Result{
				Locks:   []lockout.Lock{lock, {At: at(2), Until: at(12), Codes: true}},
				Guesses: 4, NewlyRefused: 1, RefusedSignIns: []time.Time{at(4)},
			},
		},
		{
			"failures from a known source lock that source as well",
			[]lockout.Event{right(0, "home", false), wrong(0, "home"), wrong(1, "home"), wrong(2, "home"), right(3, "home", false)},
			lockout.Result{Locks: []lockout.Lock{lock, {At: at(2), Until: at(12), Source: "home"}}, Guesses: 3, RefusedSignIns: []time.Time{at(3)}},
		},
		{
			"an administrator unlocks",
			[]lockout.Event{wrong(0, "x"), wrong(1, "x"), wrong(2, "x"), {At: at(3), Login: "a", Kind: lockout.Cleared}, right(4, "home", false)},
			lockout.Result{Locks: []lockout.Lock{lock}, Guesses: 3},
		},
		{
			"a known source stays known after an unlock",
			[]lockout.Event{
				right(0, "home", false), wrong(1, "attacker"), wrong(1, "attacker"), wrong(2, "attacker"),
				{At: at(3), Login: "a", Kind: lockout.Cleared},
				wrong(4, "attacker"), wrong(4, "attacker"), wrong(5, "attacker"), right(6, "home", false),
			},
			lockout.Result{Locks: []lockout.Lock{lock, {At: at(5), Until: at(15)}}, Guesses: 6},
		},
		{"an attempt that a lock refused would have been compared", []lockout.Event{refused}, lockout.Result{Guesses: 1, NewlyCompared: 1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := lockout.NewReplay(policy)
			for _, e := range test.events {
				r.Add(e)
			}
			test.want.Login = "a"
			if diff := cmp.Diff([]lockout.Result{test.want}, r.Results()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestReplayOfStricterPolicies tests that a lower threshold never refuses fewer guesses.
func TestReplayOfStricterPolicies(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		waits := rapid.SliceOfN(rapid.Int64Range(0, int64(time.Hour)), 1, 60).Draw(t, "waits")
		policy := policies().Draw(t, "policy")
		newlyRefused := func(threshold int) int {
			policy.Threshold = threshold
			r, now := lockout.NewReplay(policy), start()
			for i, wait := range waits {
				now = now.Add(time.Duration(wait))
				r.Add(lockout.Event{At: now, Login: fmt.Sprint(i % 2), Source: "s", Kind: lockout.Failed, OTP: true})
			}
			n := 0
			for _, result := range r.Results() {
				n += result.NewlyRefused
			}
			return n
		}
		if strict, lax := newlyRefused(1), newlyRefused(1000); lax != 0 || strict < lax {
			t.Fatalf("got %d newly refused guesses with threshold 1, and %d with threshold 1000", strict, lax)
		}
	})
}
