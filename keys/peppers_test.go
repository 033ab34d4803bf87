package keys_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"latchkey/keys"
	"latchkey/storage"
)

func loadPeppers(t testing.TB, store *fakeStore) *keys.Peppers {
	t.Helper()
	p, err := keys.LoadPeppers(context.Background(), store, newSealer(t), nil, newClock().Now())
	if err != nil {
		t.Fatalf("LoadPeppers: %v", err)
	}
	return p
}

func TestDigestMatches(t *testing.T) {
	t.Parallel()
	p := loadPeppers(t, &fakeStore{})
	d := p.Digest("code", "login-1", "ABC123")
	if !p.Matches(d, "code", "login-1", "ABC123") {
		t.Error("a digest does not match its own input")
	}
	if d.PepperID != p.CurrentID() || len(d.Sum) != 32 {
		t.Errorf("got a digest under %q with %d bytes", d.PepperID, len(d.Sum))
	}
	short := storage.Digest{PepperID: d.PepperID, Sum: d.Sum[:31]}
	for name, ok := range map[string]bool{
		"other purpose":    p.Matches(d, "client_secret", "login-1", "ABC123"),
		"other value":      p.Matches(d, "code", "login-1", "ABC124"),
		"shifted boundary": p.Matches(d, "code", "login-1A", "BC123"),
		"joined parts":     p.Matches(d, "code", "login-1ABC123"),
		"further part":     p.Matches(d, "code", "login-1", "ABC123", ""),
		"purpose as part":  p.Matches(d, "", "code", "login-1", "ABC123"),
		"unknown pepper":   p.Matches(storage.Digest{PepperID: "pep_x", Sum: d.Sum}, "code", "login-1", "ABC123"),
		"no pepper":        p.Matches(storage.Digest{Sum: d.Sum}, "code", "login-1", "ABC123"),
		"truncated":        p.Matches(short, "code", "login-1", "ABC123"),
		"zero digest":      p.Matches(storage.Digest{}, "code", "login-1", "ABC123"),
	} {
		if ok {
			t.Errorf("%s: got a match, want none", name)
		}
	}
}

func TestDigestSeparatesInputs(t *testing.T) {
	t.Parallel()
	p := loadPeppers(t, &fakeStore{})
	inputs := rapid.SliceOfN(rapid.StringOfN(rapid.RuneFrom([]rune("ab\x00")), 0, 4, -1), 1, 4)
	rapid.Check(t, func(t *rapid.T) {
		a, b := inputs.Draw(t, "a"), inputs.Draw(t, "b")
		same := cmp.Equal(a, b)
		if got := p.Matches(p.Digest(a[0], a[1:]...), b[0], b[1:]...); got != same {
			t.Fatalf("%q and %q: matches = %v, want %v", a, b, got, same)
		}
	})
}

func TestMAC(t *testing.T) {
	t.Parallel()
	p := loadPeppers(t, &fakeStore{})
	mac, ok := p.MAC(p.CurrentID(), "refresh", []byte("data"))
	if !ok || len(mac) != 32 {
		t.Fatalf("MAC: got %x, %v", mac, ok)
	}
	if again, _ := p.MAC(p.CurrentID(), "refresh", []byte("data")); !bytes.Equal(mac, again) {
		t.Error("MAC differs for the same data")
	}
	if other, _ := p.MAC(p.CurrentID(), "code", []byte("data")); bytes.Equal(mac, other) {
		t.Error("MAC does not separate purposes")
	}
	if bytes.Equal(mac, p.Digest("refresh", "data").Sum) {
		t.Error("MAC and Digest share a domain")
	}
	if _, ok := p.MAC("pep_x", "refresh", []byte("data")); ok {
		t.Error("MAC under an unknown pepper")
	}
}

func TestDigestIsStable(t *testing.T) {
	t.Parallel()
	// Stored digests and issued refresh tokens depend on these bytes.
	const id = "pep_0123456789abcdefghjkmnpqrs"
	sealed, err := newSealer(t).Seal(bytes.Repeat([]byte{7}, 32), "pepper:"+id)
	if err != nil {
		t.Fatal(err)
	}
	p := loadPeppers(t, &fakeStore{peppers: []storage.Pepper{{ID: id, Secret: sealed}}})
	mac, _ := p.MAC(id, "p", []byte("x"))
	got := []string{hex.EncodeToString(p.Digest("p", "x").Sum), hex.EncodeToString(mac)}
	want := []string{
		"dc72cf628e0438f7b456af561e34d61df33d9781f1a82b459bcf2d87a3f596bc",
		"961d2043b9654e6dbd0feeb7a7968e1693a4dfc23e43ba68c83bdeca9088099b",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("digest and MAC of a known pepper (-want +got):\n%s", diff)
	}
}

func TestNewestPepperIsUsed(t *testing.T) {
	t.Parallel()
	store := &fakeStore{}
	before := loadPeppers(t, store)
	old := before.Digest("code", "x")

	second := &fakeStore{}
	loadPeppers(t, second)
	store.peppers = append(store.peppers, second.peppers...)
	after := loadPeppers(t, store)
	if after.CurrentID() != second.peppers[0].ID {
		t.Errorf("current pepper = %s, want the newest", after.CurrentID())
	}
	if !after.Matches(old, "code", "x") {
		t.Error("a digest under the older pepper no longer matches")
	}
	if cmp.Equal(after.Digest("code", "x"), old) {
		t.Error("the newest pepper is not used")
	}
}

func TestConcurrentFirstPeppersAgree(t *testing.T) {
	t.Parallel()
	const replicas = 2
	store := &fakeStore{afterGet: waitForEachOther(replicas)} // all replicas read an empty store
	loaded := make([]*keys.Peppers, replicas)
	var all sync.WaitGroup
	for i := range loaded {
		all.Go(func() { loaded[i] = loadPeppers(t, store) })
	}
	all.Wait()
	if len(store.peppers) != 1 {
		t.Fatalf("got %d stored peppers, want 1", len(store.peppers))
	}
	if !loaded[1].Matches(loaded[0].Digest("code", "x"), "code", "x") {
		t.Error("the replicas do not use the same pepper")
	}
}

func TestLoadPeppersFailures(t *testing.T) {
	t.Parallel()
	filled := &fakeStore{}
	loadPeppers(t, filled)
	swapped := filled.peppers[0]
	swapped.ID = "pep_other"
	short, err := newSealer(t).Seal([]byte("too short"), "pepper:s")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		store  *fakeStore
		sealer *keys.Sealer
		random string
		want   error
	}{
		{"store down", &fakeStore{fail: storage.ErrUnavailable}, newSealer(t), "", storage.ErrUnavailable},
		{"insert fails", &fakeStore{fail: storage.ErrUnavailable, failOn: "add"}, newSealer(t), "", storage.ErrUnavailable},
		{"other master key", filled, newSealer(t, masterKey(9)), "", keys.ErrUnknownMasterKey},
		{"secret of another pepper", &fakeStore{peppers: []storage.Pepper{swapped}}, newSealer(t), "", keys.ErrTampered},
		{"secret too short", &fakeStore{peppers: []storage.Pepper{{ID: "s", Secret: short}}}, newSealer(t), "", nil},
		{"randomness runs out", &fakeStore{}, newSealer(t), "20 bytes, not enough", nil},
	} {
		var random io.Reader // nil means the standard source
		if c.random != "" {
			random = strings.NewReader(c.random)
		}
		p, err := keys.LoadPeppers(context.Background(), c.store, c.sealer, random, time.Time{})
		if err == nil || p != nil || (c.want != nil && !errors.Is(err, c.want)) {
			t.Errorf("%s: LoadPeppers: got %v, %v; want error %v", c.name, p, err, c.want)
		}
	}
}
