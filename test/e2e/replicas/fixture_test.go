package replicas

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey/test/e2e/kit"
)

// slowMachine multiplies the times that are guaranteed to operators, because tests also run on
// busy machines.
const slowMachine = 4

// within calls holds until it returns true, and fails the test if that takes too long.
func within(t *testing.T, promised time.Duration, what string, holds func() bool) {
	t.Helper()
	began := time.Now()
	for !holds() {
		if time.Since(began) > slowMachine*promised {
			t.Fatalf("not within %s: %s", slowMachine*promised, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Logf("after %s: %s", time.Since(began).Round(time.Millisecond), what)
}

// ops returns the status and the body of a path of the ops listener.
func ops(t *testing.T, n *kit.Server, path string) (status int, body string) {
	t.Helper()
	answer, err := http.Get(n.OpsURL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close() //nolint:errcheck // it was read
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, strings.TrimSpace(string(text))
}

// token requests a token of a client, and returns the status.
func token(n *kit.Server, c kit.Client) int {
	return n.Form("/oauth/token", "grant_type", "client_credentials", "client_id", c.ID, "client_secret", c.Secret).Status
}

// createClient creates a client with the program.
func createClient(t *testing.T, w *kit.Fixture, name string) kit.Client {
	t.Helper()
	return w.CreateClient(t, "--name", name, "--grant", "client_credentials", "--role", "MeAdmin")
}

// each reports whether the condition is true for all servers. It checks them at the same time.
func each(servers []*kit.Server, holds func(*kit.Server) bool) bool {
	return !slices.Contains(kit.Concurrently(len(servers), func(i int) bool { return holds(servers[i]) }), false)
}

// journeys signs users in through both servers at once, with a one-time password and with a
// password. Sign-ins that are too late with the one-time password must not lock the login.
func journeys(t *testing.T, w *kit.Fixture, servers []*kit.Server) {
	t.Helper()
	if got := servers[0].RequestCode("jane", ""); got.Status != http.StatusNoContent {
		t.Fatalf("request for a code: got %d %s, want 204", got.Status, got.Body)
	}
	code := w.Inbox.Next(t).EventBody.OneTimePassword
	redeemed := 0
	for _, got := range kit.Concurrently(4, func(i int) kit.Response { return servers[i%len(servers)].SignIn("jane", code) }) {
		switch got.Status {
		case http.StatusOK:
			redeemed++
		case http.StatusBadRequest:
		default:
			t.Errorf("sign-in: got %d %s", got.Status, got.Body)
		}
	}
	if redeemed != 1 {
		t.Errorf("got %d redemptions of one code, want 1", redeemed)
	}
	for _, got := range kit.Concurrently(8, func(i int) kit.Response { return servers[i%len(servers)].SignIn("john", kit.Password) }) {
		if got.Status != http.StatusOK {
			t.Errorf("sign-in by password: got %d %s, want 200", got.Status, got.Body)
		}
	}
}
