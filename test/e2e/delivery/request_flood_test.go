package delivery

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"latchkey/oauth/server"
	"latchkey/oauth/server/audit"
	"latchkey/storage"
	"latchkey/test/e2e/kit"
)

// askFrom requests a one-time password from an address that a trusted proxy forwards.
func askFrom(n *kit.Server, from, username, email string) kit.Response {
	return n.Do(http.MethodPost, "/v1/password/onetimepassword", "application/json",
		fmt.Sprintf(`{"ClientID":"shop","Username":%q,"Email":%q}`, username, email), "X-Forwarded-For", from)
}

// defaultsOf returns the default limits of a server as settings.
func defaultsOf(names ...string) []string {
	settings := []string{kit.BehindProxy, kit.LongRequestTimeout}
	for _, name := range names {
		settings = append(settings, "LATCHKEY_OTP_LIMIT_"+name+"=")
	}
	return settings
}

// TestDefaultLimitOfAnAddress requests codes for many usernames from each of several addresses,
// on two servers. Public addresses are limited at each endpoint that stores requests. Addresses
// that many callers may share are not limited.
func TestDefaultLimitOfAnAddress(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		nodes := []*kit.Server{w.Serve(defaultsOf("ADDRESS")...), w.Serve(defaultsOf("ADDRESS")...)}
		w.Clock.Stop() // the limit allows one more a second
		const requests = 80
		ask := func(from func(i int) string) (passed int) {
			answers := kit.Concurrently(requests, func(i int) kit.Response {
				n, name := nodes[i%2], "nobody"+strconv.Itoa(i)
				switch i % 3 {
				case 1:
					return n.Do(http.MethodPost, "/v1/password/reset", "application/json",
						`{"ClientID":"shop","Username":"`+name+`"}`, "X-Forwarded-For", from(i))
				case 2:
					return n.Do(http.MethodPost, "/v1/username/retrieve?clientID=shop&email="+name+"@example.com", "", "", "X-Forwarded-For", from(i))
				}
				return askFrom(n, from(i), name, "")
			})
			for _, a := range answers {
				switch a.Status {
				case http.StatusNoContent:
					passed++
				case http.StatusTooManyRequests:
					checkTooMany(t, a)
				default:
					t.Errorf("got %d %s", a.Status, a.Body)
				}
			}
			return passed
		}
		for what, from := range map[string]func(i int) string{
			"IPv4":     func(int) string { return "203.0.113.7" },
			"IPv6 /64": func(i int) string { return "2001:db8::" + strconv.Itoa(i) },
		} {
			if passed := ask(from); passed != 60 {
				t.Errorf("%s: got %d of %d accepted requests, want 60", what, passed, requests)
			}
		}
		for what, from := range map[string]func(i int) string{
			"many networks": func(i int) string { return fmt.Sprintf("2001:db8:%x::1", i+1) },
			"private":       func(int) string { return "10.1.2.3" },
			"the proxy":     func(int) string { return "127.0.0.1" },
		} {
			if passed := ask(from); passed != requests {
				t.Errorf("%s: got %d of %d accepted requests, want all", what, passed, requests)
			}
		}
	})
}

// waiting counts the requests that no worker has claimed.
func waiting(w *kit.Fixture) (count int) {
	w.T.Helper()
	w.WithApp(func(ctx context.Context, a *server.App) error {
		waiting, err := a.Store.WaitingRequests(ctx, w.Clock.Now(), time.Time{})
		for _, x := range waiting {
			count += x.Count
		}
		return err
	})
	return count
}

// backlog stores requests from one address. Resolving them takes some time, because they name
// an administrator whom no message sender serves.
func backlog(w *kit.Fixture, n int, source string) {
	w.T.Helper()
	w.WithApp(func(ctx context.Context, a *server.App) error {
		return a.Store.InTx(ctx, func(ctx context.Context) error {
			now := a.Now().UTC()
			for i := range n {
				if err := a.Store.AddCodeRequest(ctx, storage.CodeRequest{
					ID: fmt.Sprintf("otr_%s_%d", source, i), Type: storage.MessageOneTimePassword, ClientID: "shop",
					ProfileID: storage.DefaultProfileID, Username: "ada", Purpose: storage.PurposeSignIn, Source: source,
					CreatedAt: now, ExpiresAt: now.Add(10 * time.Minute),
				}); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// TestBacklogOfOneAddressDelaysNobodyElse stores thousands of requests of one address. The code
// of a request from another address must arrive while most of them still wait.
func TestBacklogOfOneAddressDelaysNobodyElse(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		backlog(w, 6000, "198.51.100.1")
		n := w.Serve(kit.BehindProxy)
		began := time.Now()
		if a := askFrom(n, "203.0.113.9", "jane", ""); a.Status != http.StatusNoContent {
			t.Fatalf("got %d %s, want 204", a.Status, a.Body)
		}
		w.Inbox.Next(t)
		took, left := time.Since(began), waiting(w)
		t.Logf("the code came after %v, while %d requests waited", took, left)
		if left < 1000 {
			t.Errorf("got the code after %v, when %d of 6000 requests of another address waited", took, left)
		}
		waiting, oldest := gauge(n, "latchkey_otp_requests_waiting"), gauge(n, "latchkey_otp_oldest_request_seconds")
		if waiting < 1000 || oldest <= 0 {
			t.Errorf("got metrics of %v waiting requests, the oldest for %v s", waiting, oldest)
		}
	})
}

// gauge returns a metric as a number.
func gauge(n *kit.Server, name string) float64 {
	n.T.Helper()
	value, err := strconv.ParseFloat(metric(n, name), 64)
	if err != nil {
		n.T.Fatal(name, err)
	}
	return value
}

// TestFloodOfUnknownNames tests that a thousand requests for unknown usernames leave few
// records in the database.
func TestFloodOfUnknownNames(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		n := w.Serve(kit.BehindProxy)
		const names = 1000
		for asked := 0; asked < names; asked += 100 { // all at once would reach the time limit on a busy machine
			answers := kit.Concurrently(100, func(i int) kit.Response { return askFrom(n, "203.0.113.7", "nobody"+strconv.Itoa(asked+i), "") })
			for _, a := range answers {
				if a.Status != http.StatusNoContent {
					t.Fatalf("got %d %s, want 204", a.Status, a.Body)
				}
			}
			// A slow machine would otherwise refuse the address because of its backlog.
			kit.Eventually(t, "all requests are resolved", func() bool { return waiting(w) == 0 })
		}
		time.Sleep(100 * time.Millisecond) // wait until the last batch has ended
		n.Stop()                           // writes the events that are still being counted
		counts, total := audited(w, t)
		for action, of := range map[string]int64{"code.requested": names, "code.not_sent": names} {
			if counts[action] > 2*(audit.SeparateEvents+1) || total[action] != of {
				t.Errorf("got %d events %s for %d requests, want a few for %d", counts[action], action, total[action], of)
			}
		}
		if text := w.Log.String(); strings.Count(text, `"audit":"code.`) > 100 {
			t.Errorf("got %d lines in the log", strings.Count(text, `"audit":"code.`))
		}
	})
}

// audited returns the numbers of audit events by action, and the numbers of requests that they
// represent.
func audited(w *kit.Fixture, t *testing.T) (events map[string]int, stand map[string]int64) {
	t.Helper()
	events, stand = map[string]int{}, map[string]int64{}
	w.WithApp(func(ctx context.Context, a *server.App) error {
		return a.Store.EachAuditEvent(ctx, storage.AuditFilter{}, func(r storage.AuditRecord) error {
			events[r.Action]++
			stand[r.Action] += max(r.Count, 1)
			if r.Action == "code.not_sent" && r.Source != "203.0.113.7" {
				t.Errorf("got %s from %q", r.Action, r.Source)
			}
			return nil
		})
	})
	return events, stand
}
