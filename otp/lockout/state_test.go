package lockout_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"latchkey/otp/lockout"
	"latchkey/storage"
)

// TestApply applies random outcomes to a state, and checks for each what must be true.
func TestApply(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		policy, s, now := policies().Draw(t, "policy"), lockout.State{}, start()
		for range rapid.IntRange(1, 40).Draw(t, "outcomes") {
			now = now.Add(time.Duration(rapid.IntRange(0, 600).Draw(t, "seconds")) * time.Second)
			address := rapid.SampledFrom([]string{"", "a", "b", "c", "d", "e", "f", "g"}).Draw(t, "address")
			s = applyOne(t, policy, s, address, now)
		}
	})
}

func applyOne(t *rapid.T, policy storage.LockoutPolicy, s lockout.State, address string, now time.Time) lockout.State {
	before := roundTrip(t, s)
	source, seen := s.From(address)
	o := lockout.Outcome{
		Kind: rapid.SampledFrom([]lockout.Kind{lockout.Failed, lockout.Failed, lockout.RefusedByLock, lockout.Succeeded, lockout.Cleared}).Draw(t, "kind"),
		Code: rapid.Bool().Draw(t, "code"), SourceID: source.ID, Guess: lockout.Guess{Password: true, Code: true, CodeLive: true},
	}
	if address != "" && o.Kind == lockout.Succeeded {
		o.Remember = &storage.Source{ID: "src_" + address, Address: address, SeenAt: now}
	}
	next, accepted := lockout.Apply(policy, s, o, now)
	if diff := cmp.Diff(before, s); diff != "" {
		t.Fatalf("Apply changed its argument: %s", diff)
	}
	p := storage.Principal{Policy: policy, Source: source, Lockout: seen}
	after, got := next.From(address)
	switch o.Kind {
	case lockout.Failed, lockout.RefusedByLock:
		want := lockout.Next(&p, o.Guess, now)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("a failure (-want +got):\n%s", diff)
		}
	case lockout.Succeeded:
		if locked := o.Code && p.CodesLocked(now) || !o.Code && p.Locked(now); locked == accepted {
			t.Fatalf("a success under a lock %v: got accepted %v", locked, accepted)
		}
		if accepted && address != "" && (after.Address != address || got.Source.Failures > 0) {
			t.Fatalf("after a success: got the source %+v and its counter %+v", after, got.Source)
		}
	case lockout.Cleared:
		if got.Failures+got.Codes.Failures+got.Source.Failures > 0 || after.ID != source.ID {
			t.Fatalf("after an unlock: got %+v", got)
		}
	}
	if len(next.Sources) > storage.MaxSources {
		t.Fatalf("got %d known sources", len(next.Sources))
	}
	return roundTrip(t, next)
}

// roundTrip returns the state as a store would return it.
func roundTrip(t *rapid.T, s lockout.State) (decoded lockout.State) {
	text, err := json.Marshal(s)
	if err == nil {
		err = json.Unmarshal(text, &decoded)
	}
	if err != nil {
		t.Fatal(err)
	}
	return decoded
}
