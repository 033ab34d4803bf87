package otp_test

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"latchkey/otp"
	"latchkey/storage"
)

func limits() otp.Limits {
	return otp.Limits{
		Recipient: otp.Limit{Burst: 5, Per: 10 * time.Minute},
		Client:    otp.Limit{Burst: 600, Per: time.Minute},
		Address:   otp.Limit{Burst: 30, Per: time.Minute},
	}
}

// charged gives the keys of a request's charges by budget.
func (w *world) charged(t *testing.T, r otp.Request) map[string][]string {
	t.Helper()
	w.ask(t, r)
	keys := map[string][]string{}
	for _, c := range w.charges[len(w.charges)-1] {
		keys[c.Budget] = append(keys[c.Budget], c.Key)
	}
	return keys
}

func TestChargesGoByWhatWasAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.limits = limits()
	w.service = w.newService(t)
	recipients := func(r otp.Request) []string { return w.charged(t, r)["recipient"] }

	bob := recipients(otp.Request{Username: "bob"})
	if len(bob) != 1 || len(bob[0]) != 32 {
		t.Fatalf("keys %q, want one digest", bob)
	}
	for name, same := range map[string]otp.Request{
		"another spelling":       {Username: " BOB "},
		"the same as an address": {Email: "bob"},
		"both the same":          {Username: "bob", Email: "Bob"},
	} {
		if got := recipients(same); !slices.Equal(got, bob) {
			t.Errorf("%s: %q, want %q", name, got, bob)
		}
	}
	if both := recipients(otp.Request{Username: "bob", Email: "bob@example.com"}); len(both) != 2 || !slices.Contains(both, bob[0]) {
		t.Errorf("username and address: %q, want two with %q", both, bob)
	}
	if nobody := recipients(otp.Request{Username: "nobody"}); len(nobody) != 1 || nobody[0] == bob[0] {
		t.Errorf("a name that nobody has: %q", nobody)
	}
}

func TestChargesOfAddresses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.limits = limits()
	w.service = w.newService(t)
	key := func(address string) string {
		keys := w.charged(t, otp.Request{Username: "bob", Address: netip.MustParseAddr(address)})["address"]
		if len(keys) != 1 {
			t.Fatalf("%s: keys %q", address, keys)
		}
		return keys[0]
	}
	for _, pair := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"2001:db8::1", "2001:db8::ffff:0:0:1", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"fe80::1%eth0", "fe80::2%eth1", true},
	} {
		if (key(pair.a) == key(pair.b)) != pair.same {
			t.Errorf("%s and %s: same is not %v", pair.a, pair.b, pair.same)
		}
	}
	if keys := w.charged(t, otp.Request{Username: "bob"}); len(keys["address"]) != 0 || len(keys["client"]) != 1 {
		t.Errorf("without an address: %v", keys)
	}
}

func TestNoLimitsNoCharges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if keys := w.charged(t, otp.Request{Username: "bob", Address: netip.MustParseAddr("192.0.2.1")}); len(keys) != 0 {
		t.Errorf("charged %v", keys)
	}
}

func TestLimitedRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.limit = &storage.LimitError{Budget: "recipient", Until: time.Now()}
	err := w.service.Request(t.Context(), w.client, otp.Request{Username: "bob"})
	if !errors.Is(err, w.limit) {
		t.Errorf("got %v", err)
	}
	if lines := w.diary.lines(); !slices.Equal(lines, []string{"code.limited recipient"}) {
		t.Errorf("events %q", lines)
	}
}
