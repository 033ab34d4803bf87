package keys

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/storage"
)

// at returns the time that many minutes after the start of 2030. For 0 it returns the zero
// time.
func at(minutes int) time.Time {
	if minutes == 0 {
		return time.Time{}
	}
	return time.Date(2030, 1, 1, 0, minutes, 0, 0, time.UTC)
}

func record(kid string, created, activates, retires, gone, revoked int) storage.SigningKey {
	return storage.SigningKey{
		KID: kid, Alg: ES256, CreatedAt: at(created), ActivatesAt: at(activates),
		RetiresAt: at(retires), GoneAt: at(gone), RevokedAt: at(revoked),
	}
}

func TestStateAt(t *testing.T) {
	t.Parallel()
	rotation := []storage.SigningKey{record("a", 10, 10, 80, 200, 0), record("b", 20, 80, 0, 0, 0)}
	foreign := record("z", 1, 1, 0, 0, 0)
	foreign.Alg = RS256
	for _, c := range []struct {
		name string
		keys []storage.SigningKey
		now  int
		want []State
	}{
		{"a successor is announced", rotation, 20, []State{StateActive, StateAnnounced}},
		{"just before the successor takes over", rotation, 79, []State{StateActive, StateAnnounced}},
		{"the successor takes over", rotation, 80, []State{StateRetired, StateActive}},
		{"last moment in which the retired key is published", rotation, 199, []State{StateRetired, StateActive}},
		{"the retired key is gone", rotation, 200, []State{StateGone, StateActive}},
		{
			"other algorithms do not matter",
			append([]storage.SigningKey{foreign}, rotation...), 20,
			[]State{StateActive, StateActive, StateAnnounced},
		},
		{
			"two first keys: the older one signs",
			[]storage.SigningKey{record("a", 12, 12, 0, 0, 0), record("b", 11, 11, 0, 0, 0)},
			30,
			[]State{StateAnnounced, StateActive},
		},
		{
			"two keys of the same age: the smaller kid signs",
			[]storage.SigningKey{record("b", 10, 10, 0, 0, 0), record("a", 10, 10, 0, 0, 0)},
			30,
			[]State{StateAnnounced, StateActive},
		},
		{
			"a rotation interrupted after the insert",
			[]storage.SigningKey{record("a", 10, 10, 0, 0, 0), record("b", 20, 80, 0, 0, 0)},
			300,
			[]State{StateActive, StateAnnounced},
		},
		{
			"a key that replaced a revoked one during a rotation",
			[]storage.SigningKey{record("a", 10, 70, 0, 0, 0), record("b", 20, 20, 0, 0, 0)},
			100,
			[]State{StateAnnounced, StateActive},
		},
		{
			"no retirement if the successor is revoked",
			[]storage.SigningKey{record("a", 10, 10, 80, 200, 0), record("b", 20, 80, 0, 0, 90)},
			300,
			[]State{StateActive, StateRevoked},
		},
		{
			"two overdue keys: the one with the latest retirement signs",
			[]storage.SigningKey{record("a", 10, 10, 80, 200, 0), record("b", 20, 80, 90, 210, 0)},
			100,
			[]State{StateRetired, StateActive},
		},
		{
			"a slow clock",
			[]storage.SigningKey{record("a", 50, 50, 0, 0, 0), record("b", 60, 60, 0, 0, 0)},
			40,
			[]State{StateActive, StateAnnounced},
		},
		{
			"a revocation with a time in the future takes effect",
			[]storage.SigningKey{record("a", 10, 10, 0, 0, 500), record("b", 20, 20, 0, 0, 0)},
			100,
			[]State{StateRevoked, StateActive},
		},
		{
			"a retired key without GoneAt stays published",
			[]storage.SigningKey{record("a", 10, 10, 80, 0, 0), record("b", 20, 80, 0, 0, 0)},
			10_000,
			[]State{StateRetired, StateActive},
		},
	} {
		var got []State
		for _, k := range c.keys {
			got = append(got, StateAt(k, c.keys, at(c.now)))
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestPublishedStates(t *testing.T) {
	t.Parallel()
	want := map[State]bool{
		StateAnnounced: true, StateActive: true, StateRetired: true,
		StateGone: false, StateRevoked: false, "": false,
	}
	for state, published := range want {
		if state.Published() != published {
			t.Errorf("%q: got published %v, want the opposite", state, !published)
		}
	}
}

func TestSuccessorAt(t *testing.T) {
	t.Parallel()
	all := []storage.SigningKey{
		record("signer", 10, 10, 80, 200, 0),
		record("later", 21, 81, 0, 0, 0),
		record("successor", 20, 80, 0, 0, 0),
		record("skipped", 15, 75, 75, 195, 0),
		record("revoked", 14, 74, 0, 0, 30),
	}
	if i := successorAt(all, ES256, at(40)); i < 0 || all[i].KID != "successor" {
		t.Errorf("successorAt: got %d, want the key that activates first", i)
	}
	if i := successorAt(all, ES256, at(80)); i < 0 || all[i].KID != "later" {
		t.Errorf("successorAt after the succession = %d, want the later one", i)
	}
	if i := successorAt(all, RS256, at(40)); i >= 0 {
		t.Errorf("successorAt of another algorithm: got %d", i)
	}
}

func TestRetirements(t *testing.T) {
	t.Parallel()
	successor := record("successor", 20, 80, 0, 0, 0)
	all := []storage.SigningKey{
		successor,
		record("signer", 10, 10, 0, 0, 0),
		record("rival successor", 21, 81, 0, 0, 0),
		record("retired", 1, 1, 10, 130, 0),
		record("revoked", 2, 2, 0, 0, 5),
	}
	want := []storage.SigningKey{
		record("signer", 10, 10, 80, 200, 0),
		record("rival successor", 21, 81, 80, 200, 0),
	}
	if diff := cmp.Diff(want, retirements(all, successor, "signer", 120*time.Minute)); diff != "" {
		t.Errorf("retirements (-want +got):\n%s", diff)
	}
	// An overdue key that still signs gets new times. A second call changes nothing.
	overdue := []storage.SigningKey{successor, record("old", 1, 1, 10, 130, 0)}
	want = []storage.SigningKey{record("old", 1, 1, 80, 200, 0)}
	if diff := cmp.Diff(want, retirements(overdue, successor, "old", 120*time.Minute)); diff != "" {
		t.Errorf("overdue signer (-want +got):\n%s", diff)
	}
	if again := retirements(append(want, successor), successor, "old", 120*time.Minute); again != nil {
		t.Errorf("a second call: got %v, want nil", again)
	}
}
