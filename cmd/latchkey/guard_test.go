package main

import (
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestClientSecretGuesses is D13: guesses at a client's secret are throttled,
// and keep nobody out who is elsewhere.
func TestClientSecretGuesses(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		settings := []string{wireIssuer, "LATCHKEY_TRUSTED_PROXIES=127.0.0.0/8", "LATCHKEY_CLIENT_SECRET_LIMIT=5/24h"}
		g := &guardTest{world: w, first: w.serve(settings...), second: w.serve(settings...)}
		g.client = w.adminClient(t, "--name", "guarded", "--id", "guarded", "--grant", "client_credentials", "--role", "Reader")
		g.oneAddress(t)
		g.alike(t)
		g.parallel(t)
		g.public(t)
		g.assertions(t)
		g.everywhere(t)
	})
}

// guardTest is two replicas behind a proxy that says where requests come from.
type guardTest struct {
	*world
	first, second *node
	client        createdClient
}

var wireTooManyGuesses = wireRefusal("temporarily_unavailable", "TooManyRequests", "Too many failed client authentications. Try again later.")

// from sends a client's id and secret from an address, for a token.
func (n *node) from(address, id, secret string) answer {
	return n.do(http.MethodPost, "/oauth/token", formMedia,
		encode("grant_type", "client_credentials", "client_id", id, "client_secret", secret), "X-Forwarded-For", address)
}

func (g *guardTest) mustLimit(t *testing.T, a answer) {
	t.Helper()
	if diff := cmp.Diff(wireTooManyGuesses, a.wireBody(t)); a.status != http.StatusTooManyRequests || diff != "" {
		t.Errorf("%d %s, want 429", a.status, a.body)
	}
	seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
	if err != nil || seconds < 1 || seconds > 24*3600 || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("429 with %v", a.header)
	}
}

// oneAddress uses up the budget of one address, which another one does not feel.
func (g *guardTest) oneAddress(t *testing.T) {
	const here, elsewhere = "192.0.2.1", "192.0.2.2"
	for range 5 {
		g.first.from(here, "guarded", "wrong").mustRefuse(t, 400, wireInvalidClient)
	}
	g.mustLimit(t, g.first.from(here, "guarded", "wrong"))
	g.mustLimit(t, g.first.from(here, "GUARDED", g.client.Secret))
	basic := g.first.do(http.MethodPost, "/oauth/introspect", formMedia, encode("token", "x"),
		append(wireBasic("guarded", g.client.Secret), "X-Forwarded-For", here)...)
	g.mustLimit(t, basic)
	if got := g.first.do(http.MethodPost, "/oauth/access_token", formMedia,
		encode("grant_type", "client_credentials", "client_id", "guarded", "client_secret", g.client.Secret), "X-Forwarded-For", here); got.status != http.StatusTooManyRequests {
		t.Errorf("in the other dialect: %d %s", got.status, got.body)
	}

	g.mustLimit(t, g.second.from(here, "guarded", "wrong")) // the budget is shared
	g.mustLimit(t, g.second.from(here, "guarded", g.client.Secret))

	for _, n := range []*node{g.first, g.second} {
		n.from(elsewhere, "guarded", g.client.Secret).mustIssue(t)
	}
	g.first.from(here, "shop", "wrong").mustRefuse(t, 400, wireInvalidClient) // another client's budget is whole

	g.clock.advance(5 * time.Hour) // one place is free again
	g.first.from(here, "guarded", g.client.Secret).mustIssue(t)
}

// alike: a name that nobody has is limited like any other.
func (g *guardTest) alike(t *testing.T) {
	for i := range 8 {
		known, unknown := g.first.from("192.0.2.10", "guarded", "wrong"), g.first.from("192.0.2.10", "nobody", "wrong")
		if known.status != unknown.status || known.body != unknown.body {
			t.Errorf("guess %d: %d %s for a client, %d %s for none", i, known.status, known.body, unknown.status, unknown.body)
		}
	}
}

// parallel: guesses sent at once, to two replicas, get no more answers.
func (g *guardTest) parallel(t *testing.T) {
	var mu sync.Mutex
	var group sync.WaitGroup
	counts := map[int]int{}
	for i := range 60 {
		group.Go(func() {
			a := []*node{g.first, g.second}[i%2].from("2001:db8::"+strconv.Itoa(i), "guarded", "wrong")
			mu.Lock()
			defer mu.Unlock()
			counts[a.status]++
		})
	}
	group.Wait()
	if counts[http.StatusBadRequest] != 5 || counts[http.StatusTooManyRequests] != 55 {
		t.Errorf("answers %v, want 5 times 400 and 55 times 429", counts)
	}
}

// public: nobody guesses at the secret of a client that has none, so those who
// share its users' address cannot keep them out.
func (g *guardTest) public(t *testing.T) {
	const here = "192.0.2.20"
	for range 5 {
		g.first.from(here, "codes-only", "wrong").mustRefuse(t, 400, wireInvalidClient)
	}
	g.mustLimit(t, g.first.from(here, "codes-only", "wrong"))
	sent := g.first.do(http.MethodPost, "/oauth/token", formMedia,
		encode("grant_type", "password", "client_id", "codes-only", "username", "jane", "password", "WRONGONE"), "X-Forwarded-For", here)
	if sent.field("error") != "invalid_grant" {
		t.Errorf("a user of a public client: %d %s", sent.status, sent.body)
	}
}

// assertions that are wrong count as well.
func (g *guardTest) assertions(t *testing.T) {
	const here = "192.0.2.30"
	a := g.newAsserter(t, "signing")
	send := func(from, assertion string) answer {
		return g.first.do(http.MethodPost, "/oauth/token", formMedia, encode("grant_type", "client_credentials",
			"client_assertion_type", jwtBearer, "client_assertion", assertion), "X-Forwarded-For", from)
	}
	for range 5 {
		send(here, a.assert(map[string]any{"aud": "https://other.example"})).mustRefuse(t, 400, wireInvalidClient)
	}
	g.mustLimit(t, send(here, a.assert(map[string]any{"aud": "https://other.example"})))
	g.mustLimit(t, send(here, a.assert(nil)))
	send("192.0.2.31", a.assert(nil)).mustIssue(t)
}

// everywhere: while many addresses guess at once, one that fails is kept out at
// once, and one that does not is not.
func (g *guardTest) everywhere(t *testing.T) {
	const share, burst = 50, 5
	var group sync.WaitGroup
	places := make(chan struct{}, 16)
	for i := range share * burst {
		group.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			g.first.from("198.51."+strconv.Itoa(i/250)+"."+strconv.Itoa(i%250), "guarded", "wrong")
		})
	}
	group.Wait()
	g.mustLimit(t, g.first.from("203.0.113.1", "guarded", "wrong"))
	g.mustLimit(t, g.first.from("203.0.113.1", "guarded", g.client.Secret))
	g.first.from("203.0.113.2", "guarded", g.client.Secret).mustIssue(t)
	g.second.from("203.0.113.3", "guarded", g.client.Secret).mustIssue(t)
}

// TestGuessesBehindNoProxy: who cannot be told apart is one, whatever the header
// says.
func TestGuessesBehindNoProxy(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		n := w.serve("LATCHKEY_CLIENT_SECRET_LIMIT=3/1h")
		for i := range 6 {
			want := http.StatusBadRequest
			if i >= 3 {
				want = http.StatusTooManyRequests
			}
			if got := n.from("192.0.2."+strconv.Itoa(i), "shop", "wrong"); got.status != want {
				t.Errorf("guess %d: %d %s, want %d", i, got.status, got.body, want)
			}
		}
	})
}
