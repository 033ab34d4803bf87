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
	wrong := func(minute int, source string) lockout.Past {
		return lockout.Past{At: at(minute), Login: "a", Source: source, Ending: lockout.Wrong}
	}
	right := func(minute int, source string, otp bool) lockout.Past {
		return lockout.Past{At: at(minute), Login: "a", Source: source, Ending: lockout.Right, OTP: otp}
	}
	live := func(minute int) lockout.Past {
		return lockout.Past{At: at(minute), Login: "a", Source: "evil", Ending: lockout.Wrong, OTP: true}
	}
	barred := lockout.Past{At: at(30), Login: "a", Source: "evil", Ending: lockout.Barred}
	lock := lockout.Lock{At: at(2), Until: at(12)}
	tests := []struct {
		name string
		past []lockout.Past
		want lockout.Fate
	}{
		{"a few mistakes", []lockout.Past{wrong(0, "home"), wrong(1, "home"), right(2, "home", false)}, lockout.Fate{Guesses: 2}},
		{
			"a stranger who goes on, and the user who is not known",
			[]lockout.Past{wrong(0, "evil"), wrong(1, "evil"), wrong(2, "evil"), wrong(3, "evil"), wrong(4, "evil"), right(5, "home", false)},
			lockout.Fate{Locks: []lockout.Lock{lock}, Guesses: 5, Stopped: 2, Refused: []time.Time{at(5)}},
		},
		{
			"a code passes the lock of passwords, and makes the source known",
			[]lockout.Past{wrong(0, "evil"), wrong(1, "evil"), wrong(2, "evil"), right(3, "home", true), right(4, "home", false), right(5, "cafe", false)},
			lockout.Fate{Locks: []lockout.Lock{lock}, Guesses: 3, Refused: []time.Time{at(5)}},
		},
		{
			"guesses at a live code lock codes",
			[]lockout.Past{live(0), live(1), live(2), live(3), right(4, "home", true), right(13, "home", true)},
			lockout.Fate{
				Locks:   []lockout.Lock{lock, {At: at(2), Until: at(12), Codes: true}},
				Guesses: 4, Stopped: 1, Refused: []time.Time{at(4)},
			},
		},
		{
			"a known source locks itself alone at last",
			[]lockout.Past{right(0, "home", false), wrong(0, "home"), wrong(1, "home"), wrong(2, "home"), right(3, "home", false)},
			lockout.Fate{Locks: []lockout.Lock{lock, {At: at(2), Until: at(12), Source: "home"}}, Guesses: 3, Refused: []time.Time{at(3)}},
		},
		{
			"an administrator unlocks",
			[]lockout.Past{wrong(0, "x"), wrong(1, "x"), wrong(2, "x"), {At: at(3), Login: "a", Ending: lockout.Cleared}, right(4, "home", false)},
			lockout.Fate{Locks: []lockout.Lock{lock}, Guesses: 3},
		},
		{
			"an unlock leaves what is known",
			[]lockout.Past{
				right(0, "home", false), wrong(1, "evil"), wrong(1, "evil"), wrong(2, "evil"),
				{At: at(3), Login: "a", Ending: lockout.Cleared},
				wrong(4, "evil"), wrong(4, "evil"), wrong(5, "evil"), right(6, "home", false),
			},
			lockout.Fate{Locks: []lockout.Lock{lock, {At: at(5), Until: at(15)}}, Guesses: 6},
		},
		{"what the policy in force refused would have passed", []lockout.Past{barred}, lockout.Fate{Guesses: 1, Passed: 1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := lockout.NewReplay(policy)
			for _, e := range test.past {
				r.See(e)
			}
			test.want.Login = "a"
			if diff := cmp.Diff([]lockout.Fate{test.want}, r.Fates()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A stricter threshold never lets more guesses through, and one login's events
// never touch another's.
func TestReplayOfStricterPolicies(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		waits := rapid.SliceOfN(rapid.Int64Range(0, int64(time.Hour)), 1, 60).Draw(t, "waits")
		policy := policies().Draw(t, "policy")
		stopped := func(threshold int) int {
			policy.Threshold = threshold
			r, now := lockout.NewReplay(policy), start()
			for i, wait := range waits {
				now = now.Add(time.Duration(wait))
				r.See(lockout.Past{At: now, Login: fmt.Sprint(i % 2), Source: "s", Ending: lockout.Wrong, OTP: true})
			}
			n := 0
			for _, fate := range r.Fates() {
				n += fate.Stopped
			}
			return n
		}
		if strict, lax := stopped(1), stopped(1000); lax != 0 || strict < lax {
			t.Fatalf("threshold 1 stopped %d, threshold 1000 %d", strict, lax)
		}
	})
}
