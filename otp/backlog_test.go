package otp_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/otp"
	"latchkey/storage"
)

// TestAcceptedRequestsAreResolvedInTime floods a service that resolves eight requests a
// second. Accepted requests must be resolved before half of the code's lifetime has
// passed. The others must be refused with a time to try again.
func TestAcceptedRequestsAreResolvedInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newFixture(t)
		w.profile.CodeTTL = 40 * time.Second
		w.beforeIssue = func() { time.Sleep(time.Second) } // eight requests at a time
		stop := w.run(t, w.service)
		time.Sleep(10 * time.Millisecond)
		ask := func(from string) error {
			return w.service.Request(t.Context(), w.client, otp.Request{Username: "bob", Address: netip.MustParseAddr(from)})
		}
		accepted, refused := 0, 0
		for range 60 * 40 { // forty requests a second for a minute
			err := ask("198.51.100.1")
			var limit *storage.LimitError
			switch {
			case err == nil:
				accepted++
			case errors.As(err, &limit) && limit.Budget == "backlog" && limit.Until.After(time.Now()):
				refused++
			default:
				t.Fatal(err)
			}
			time.Sleep(25 * time.Millisecond)
		}
		if err := ask("198.51.100.2"); err != nil {
			t.Errorf("another address: got %v, want no error", err)
		}
		if waiting, oldest := w.service.Backlog(); waiting == 0 || oldest < 5*time.Second || oldest > 40*time.Second {
			t.Errorf("got a backlog of %d, the oldest waits for %v; want 5s to 40s", waiting, oldest)
		}
		time.Sleep(time.Minute)
		stop()
		lines := w.recorded.lines()
		count := func(of string) int {
			return len(slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return !strings.HasPrefix(l, of) }))
		}
		issued, expired := count("code.issued"), count("code.not_sent expired")
		if refused < accepted || accepted < 200 || issued != accepted+1 || expired != 0 {
			t.Errorf("got %d accepted, %d refused, %d issued, %d expired", accepted, refused, issued, expired)
		}
		if waiting, oldest := w.service.Backlog(); waiting != 0 || oldest != 0 {
			t.Errorf("at the end: got a backlog of %d, the oldest waits for %v; want none", waiting, oldest)
		}
	})
}

// TestStalledWorkersRefuse tests that requests are refused while the workers resolve nothing,
// and accepted again afterwards.
func TestStalledWorkersRefuse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newFixture(t)
		w.profile.CodeTTL = 30 * time.Second
		release := make(chan struct{})
		w.beforeIssue = func() { <-release }
		stop := w.run(t, w.service)
		ask := func(i int) error {
			return w.service.Request(t.Context(), w.client, otp.Request{Username: "bob", Address: netip.MustParseAddr(fmt.Sprintf("198.51.100.%d", i))})
		}
		for i := range 12 {
			if err := ask(i); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(15 * time.Second)
		if err := ask(100); !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("a request that no worker resolves: got %v, want storage.ErrUnavailable", err)
		}
		close(release)
		time.Sleep(30 * time.Second)
		if err := ask(101); err != nil {
			t.Errorf("after the stall: got %v, want no error", err)
		}
		synctest.Wait()
		stop()
	})
}

// TestUnknownNamesEndInBatches resolves requests for a thousand unknown usernames, and
// then one for a known username.
func TestUnknownNamesEndInBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newFixture(t)
		for i := range 1000 {
			w.ask(t, otp.Request{Username: fmt.Sprint("nobody", i)})
		}
		w.ask(t, otp.Request{Email: "ann@example.com"})
		w.change(func(m *memoryStore) { m.requests[500].ExpiresAt = time.Now() })
		stop := w.run(t, w.service)
		synctest.Wait()
		stop()
		if w.ended() != 1001 || len(w.messages) != 1 || w.statements > 24 || w.lookups > 9 {
			t.Errorf("got %d ended requests with %d messages, in %d statements for many and %d for one",
				w.ended(), len(w.messages), w.statements, w.lookups)
		}
		lines := w.recorded.lines()
		unknown := slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return l != "code.not_sent no_such_login" })
		if len(unknown) != 999 || !slices.Contains(lines, "code.not_sent expired") || !slices.Contains(lines, "code.issued success ann") {
			t.Errorf("got %d unknown in %d events", len(unknown), len(lines))
		}
		for _, e := range w.recorded.events {
			if e.Action == "code.not_sent" && e.Source != "" {
				t.Fatalf("a request without an address: got the source %q", e.Source)
			}
		}
	})
}

// TestStopResolvesWhatWasClaimed tests that a stopped service resolves the batch of known names
// that it has claimed.
func TestStopResolvesWhatWasClaimed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newFixture(t)
		for range 50 {
			w.ask(t, otp.Request{Username: "bob"})
		}
		w.beforeIssue = func() { time.Sleep(100 * time.Millisecond) }
		stop := w.run(t, w.service)
		time.Sleep(150 * time.Millisecond) // eight are resolved, and the others are claimed
		stop()
		if w.ended() != 50 {
			t.Errorf("got %d of 50 requests ended, want all", w.ended())
		}
	})
}
