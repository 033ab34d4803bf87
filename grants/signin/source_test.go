package signin

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"latchkey/storage"
)

func TestLoginKeySource(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"203.0.113.7": "203.0.113.7", "::ffff:203.0.113.7": "203.0.113.7", "127.0.0.1": "127.0.0.1",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "2001:db8:1:2::": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64", "::1": "::/64",
	} {
		if got := LoginKey("main", "bob", netip.MustParseAddr(address)).Source; got != want {
			t.Errorf("%s: got source %q, want %q", address, got, want)
		}
	}
	if got := LoginKey("main", "bob", netip.Addr{}).Source; got != "" {
		t.Errorf("the unknown address: got source %q, want none", got)
	}
}

// TestSourceIsRemembered tests that a sign-in stores its source if the source is new, has
// failures, or was last stored more than a day ago.
func TestSourceIsRemembered(t *testing.T) {
	t.Parallel()
	store, client := newStore(t)
	a := store.authenticator(t)
	remembered := func(address string) bool {
		t.Helper()
		s, err := a.Verify(t.Context(), client, from(attempt(rightPassword), address))
		if err != nil {
			t.Fatal(err)
		}
		x := a.settlement(s, nil)
		if x.SourceID != s.Principal.Source.ID {
			t.Errorf("got a settlement with source %q, want %q as it was read", x.SourceID, s.Principal.Source.ID)
		}
		if err := a.Settle(t.Context(), s, nil); err != nil {
			t.Fatal(err)
		}
		if x.Remember != nil {
			want := storage.Source{ID: s.SourceID(), Address: address, SeenAt: store.Now}
			if *x.Remember != want || s.SourceID() == "" {
				t.Errorf("got remembered %+v, want %+v", *x.Remember, want)
			}
		}
		return x.Remember != nil
	}
	if !remembered(home) || remembered(home) {
		t.Error("a new source was not stored exactly once")
	}
	first := store.mustSignIn(t, a, client, rightPassword, home).SourceID()
	store.Now = store.Now.Add(24 * time.Hour)
	if remembered(home) {
		t.Error("the source was stored again within a day")
	}
	store.Now = store.Now.Add(1)
	if !remembered(home) || remembered(home) {
		t.Error("the source was not stored exactly once after more than a day")
	}
	if _, err := a.Verify(t.Context(), client, from(attempt("wrong"), home)); !errors.Is(err, ErrCredentials) {
		t.Fatal(err)
	}
	if !remembered(home) || remembered(home) {
		t.Error("the failures of the source were not cleared exactly once")
	}
	if again := store.mustSignIn(t, a, client, rightPassword, home).SourceID(); again != first {
		t.Errorf("the source was %q, and is now %q; want no change", first, again)
	}
	s, err := a.Verify(t.Context(), client, attempt(rightPassword))
	if err != nil || a.settlement(s, nil).Remember != nil || s.SourceID() != "" {
		t.Errorf("an attempt from an unknown address: got %+v, error %v", s, err)
	}
}
