package otp_test

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/otp"
	"latchkey/otp/limit"
	"latchkey/storage"
)

func limits() otp.Limits {
	return otp.Limits{
		Recipient: [2]limit.Limit{{Burst: 5, Per: 10 * time.Minute}, {Burst: 30, Per: 24 * time.Hour}},
		Client:    limit.Limit{Burst: 600, Per: time.Minute},
		Address:   limit.Limit{Burst: 30, Per: time.Minute},
	}
}

// charged returns the keys of a request's charges by budget.
func (w *fixture) charged(t *testing.T, r otp.Request) map[string][]string {
	t.Helper()
	w.ask(t, r)
	keys := map[string][]string{}
	for _, c := range w.charges[len(w.charges)-1] {
		keys[c.Budget] = append(keys[c.Budget], c.Key)
	}
	return keys
}

func TestChargesOfRecipients(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	w.limits = limits()
	w.service = w.newService(t)
	recipients := func(r otp.Request) []string { return w.charged(t, r)["recipient"] }

	bob := recipients(otp.Request{Username: "bob"})
	if len(bob) != 1 || len(bob[0]) != 32 {
		t.Fatalf("got the keys %q, want one digest", bob)
	}
	for name, same := range map[string]otp.Request{
		"another spelling":       {Username: " BOB "},
		"the same as an address": {Email: "bob"},
		"both the same":          {Username: "bob", Email: "Bob"},
	} {
		if got := recipients(same); !slices.Equal(got, bob) {
			t.Errorf("%s: got %q, want %q", name, got, bob)
		}
	}
	if both := recipients(otp.Request{Username: "bob", Email: "bob@example.com"}); len(both) != 2 || !slices.Contains(both, bob[0]) {
		t.Errorf("username and address: got %q, want two with %q", both, bob)
	}
	if nobody := recipients(otp.Request{Username: "nobody"}); len(nobody) != 1 || nobody[0] == bob[0] {
		t.Errorf("an unknown name: got %q, want another key", nobody)
	}
}

func TestChargesOfAddresses(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	w.limits = limits()
	w.service = w.newService(t)
	key := func(address string) string {
		keys := w.charged(t, otp.Request{Username: "bob", Address: netip.MustParseAddr(address)})["address"]
		if len(keys) != 1 {
			t.Fatalf("%s: got the keys %q, want one", address, keys)
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
			t.Errorf("%s and %s: want the same key: %v", pair.a, pair.b, pair.same)
		}
	}
	if keys := w.charged(t, otp.Request{Username: "bob"}); len(keys["address"]) != 0 || len(keys["client"]) != 1 {
		t.Errorf("without an address: got %v", keys)
	}
}

func TestNoLimitsNoCharges(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	if keys := w.charged(t, otp.Request{Username: "bob", Address: netip.MustParseAddr("192.0.2.1")}); len(keys) != 0 {
		t.Errorf("got the charges %v, want none", keys)
	}
}

func TestLimitedRequest(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	w.limit = &storage.LimitError{Budget: "recipient", Until: time.Now()}
	err := w.service.Request(t.Context(), w.client, otp.Request{Username: "bob"})
	if !errors.Is(err, w.limit) {
		t.Errorf("got %v, want %v", err, w.limit)
	}
	if lines := w.recorded.lines(); !slices.Equal(lines, []string{"code.limited recipient"}) {
		t.Errorf("got the events %q", lines)
	}
}

// TestMessagesAreChargedToLoginAndMailbox tests the charges for messages, which follow the
// look-up of the users.
func TestMessagesAreChargedToLoginAndMailbox(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newFixture(t)
		w.limits = limits()
		w.service = w.newService(t)
		w.logins[0].User.Email, w.logins[1].User.Email = "Bob@B\u00fccher.example.", "bob@xn--bcher-kva.example"
		w.logins[2].User.Email, w.logins[2].User.EmailKey = "", ""
		w.ask(t, otp.Request{Email: "bob@example.com"}) // this is the address of bob and bobby
		w.ask(t, otp.Request{Username: "ann", Type: storage.MessageForgottenPassword})
		w.change(func(m *memoryStore) { m.charges = nil })
		w.resolve(t)
		budgets := map[string]map[string]int{"login": {}, "mailbox": {}}
		for _, charges := range w.charges {
			for _, c := range charges {
				budgets[c.Budget][c.Key]++
				if c.Burst != 5 || c.Gap != 2*time.Minute || c.LongBurst != 30 || c.LongGap != 48*time.Minute {
					t.Errorf("got the charge %+v", c)
				}
			}
		}
		if len(budgets["login"]) != 3 || len(budgets["mailbox"]) != 1 {
			t.Errorf("got the charges %v, want three logins and one mailbox", budgets)
		}
		for _, times := range budgets["mailbox"] {
			if times != 2 {
				t.Errorf("got %d charges of the mailbox, want 2", times)
			}
		}
	})
}

// resolve runs the service until all requests have ended.
func (w *fixture) resolve(t *testing.T) {
	t.Helper()
	stop := w.run(t, w.service)
	synctest.Wait()
	stop()
}

// TestUsedUpBudgetOfARecipient tests that nothing is sent while a budget is used up, and that
// only the types of waitsForBudget are sent later.
func TestUsedUpBudgetOfARecipient(t *testing.T) {
	t.Parallel()
	for kind, postponed := range map[storage.MessageType]bool{
		storage.MessageOneTimePassword: false, storage.MessageForgottenPassword: false, storage.MessageForgottenUsername: false,
		storage.MessageNewUserInvitation: true, storage.MessageAccountLocked: true,
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newFixture(t)
			w.limits = limits()
			w.service = w.newService(t)
			w.issueLimit = &storage.LimitError{Budget: "mailbox", Until: time.Now().Add(time.Hour)}
			if err := w.AddCodeRequest(t.Context(), storage.CodeRequest{
				ID: "r", Type: kind, ProfileID: "default", Email: "bob@example.com", UserUID: uidOf(kind),
				CreatedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour),
			}); err != nil {
				t.Fatal(err)
			}
			w.resolve(t)
			lines := w.recorded.lines()
			if len(w.messages) != 0 || len(lines) == 0 || w.requests[0].postponed != postponed || w.wakes.Load() != 0 {
				t.Errorf("%s: got %d messages, postponed %v, events %q", kind, len(w.messages), w.requests[0].postponed, lines)
			}
			for _, line := range lines {
				if !strings.Contains(line, ".not_sent mailbox_limit bob") {
					t.Errorf("%s: got the event %q", kind, line)
				}
			}
		})
	}
}

// uidOf returns the user UID for a request of an invitation, and otherwise "".
func uidOf(kind storage.MessageType) string {
	if kind == storage.MessageNewUserInvitation {
		return "usr_bob"
	}
	return ""
}

// TestSharedAddressesAreSpared tests that addresses that many callers may share are not
// charged.
func TestSharedAddressesAreSpared(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	w.limits = limits()
	w.limits.SpareShared, w.limits.Proxies = true, []netip.Prefix{netip.MustParsePrefix("203.0.113.0/28")}
	w.service = w.newService(t)
	for address, charged := range map[string]int{"127.0.0.1": 0, "10.0.0.1": 0, "203.0.113.5": 0, "100.64.0.1": 0, "198.51.100.1": 1, "2001:db8::1": 1} {
		keys := w.charged(t, otp.Request{Username: "bob", Address: netip.MustParseAddr(address)})
		if len(keys["address"]) != charged {
			t.Errorf("%s: got the charges %v", address, keys)
		}
	}
}

func TestMailbox(t *testing.T) {
	t.Parallel()
	for _, same := range [][]string{
		{"bob@example.com", " BOB@Example.COM ", "bob@example.com.", "\uff42ob@example.com"},
		{"bob@b\u00fccher.example", "bob@xn--bcher-kva.example", "Bob@B\u00dcCHER.example."},
		{"a@b@example.com", "A@B@EXAMPLE.com"},
		{"bob", "BOB"},
		{""},
	} {
		for _, one := range same {
			if got, want := otp.Mailbox(one), otp.Mailbox(same[0]); got != want {
				t.Errorf("%q: got %q, want %q", one, got, want)
			}
		}
	}
	if otp.Mailbox("bob@example.com") == otp.Mailbox("rob@example.com") || otp.Mailbox("bob@example.com") == otp.Mailbox("bob@example.org") {
		t.Error("got the same mailbox for two addresses, want two")
	}
}
