package tokens

import (
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/test/e2e/kit"
)

// TestClientSecretGuesses tests that guesses at the secret of a client are limited, and that
// they do not exclude callers at other addresses.
func TestClientSecretGuesses(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		settings := []string{kit.SharedIssuer, "LATCHKEY_TRUSTED_PROXIES=127.0.0.0/8", "LATCHKEY_CLIENT_SECRET_LIMIT=5/24h"}
		g := &clientGuessTest{Fixture: w, first: w.Serve(settings...), second: w.Serve(settings...)}
		g.client = w.CreateClient(t, "--name", "guarded", "--id", "guarded", "--grant", "client_credentials", "--role", "Reader")
		g.oneAddress(t)
		g.alike(t)
		g.parallel(t)
		g.public(t)
		g.assertions(t)
		g.everywhere(t)
	})
}

// clientGuessTest has two replicas behind a proxy that forwards the addresses of clients.
type clientGuessTest struct {
	*kit.Fixture
	first, second *kit.Server
	client        kit.Client
}

var wireTooManyGuesses = kit.Refusal("temporarily_unavailable", "TooManyRequests", "Too many failed client authentications. Try again later.")

// from requests a token with a client's ID and secret from an address.
func from(n *kit.Server, address, id, secret string) kit.Response {
	return n.Do(http.MethodPost, "/oauth/token", kit.FormMedia,
		kit.EncodeForm("grant_type", "client_credentials", "client_id", id, "client_secret", secret), "X-Forwarded-For", address)
}

func (g *clientGuessTest) mustLimit(t *testing.T, a kit.Response) {
	t.Helper()
	if diff := cmp.Diff(wireTooManyGuesses, a.JSON(t)); a.Status != http.StatusTooManyRequests || diff != "" {
		t.Errorf("%d %s, want 429", a.Status, a.Body)
	}
	seconds, err := strconv.Atoi(a.Header.Get("Retry-After"))
	if err != nil || seconds < 1 || seconds > 24*3600 || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("got 429 with %v", a.Header)
	}
}

// oneAddress uses up the budget of one address. The budget of another address must not change.
func (g *clientGuessTest) oneAddress(t *testing.T) {
	const here, elsewhere = "192.0.2.1", "192.0.2.2"
	for range 5 {
		from(g.first, here, "guarded", "wrong").MustRefuse(t, 400, kit.InvalidClient)
	}
	g.mustLimit(t, from(g.first, here, "guarded", "wrong"))
	g.mustLimit(t, from(g.first, here, "GUARDED", g.client.Secret))
	basic := g.first.Do(http.MethodPost, "/oauth/introspect", kit.FormMedia, kit.EncodeForm("token", "x"),
		append(kit.BasicAuth("guarded", g.client.Secret), "X-Forwarded-For", here)...)
	g.mustLimit(t, basic)
	if got := g.first.Do(http.MethodPost, "/oauth/access_token", kit.FormMedia,
		kit.EncodeForm("grant_type", "client_credentials", "client_id", "guarded", "client_secret", g.client.Secret), "X-Forwarded-For", here); got.Status != http.StatusTooManyRequests {
		t.Errorf("in the other dialect: got %d %s", got.Status, got.Body)
	}

	g.mustLimit(t, from(g.second, here, "guarded", "wrong")) // the replicas share the budget
	g.mustLimit(t, from(g.second, here, "guarded", g.client.Secret))

	for _, n := range []*kit.Server{g.first, g.second} {
		from(n, elsewhere, "guarded", g.client.Secret).AccessToken(t)
	}
	from(g.first, here, "shop", "wrong").MustRefuse(t, 400, kit.InvalidClient) // another client has its own budget

	g.Clock.Advance(5 * time.Hour) // one guess is allowed again
	from(g.first, here, "guarded", g.client.Secret).AccessToken(t)
}

// alike tests that guesses at an unknown name are limited as others are.
func (g *clientGuessTest) alike(t *testing.T) {
	for i := range 8 {
		known, unknown := from(g.first, "192.0.2.10", "guarded", "wrong"), from(g.first, "192.0.2.10", "nobody", "wrong")
		if known.Status != unknown.Status || known.Body != unknown.Body {
			t.Errorf("guess %d: got %d %s for a client, and %d %s for an unknown name; want the same", i, known.Status, known.Body, unknown.Status, unknown.Body)
		}
	}
}

// parallel tests that parallel guesses at two replicas get no more answers.
func (g *clientGuessTest) parallel(t *testing.T) {
	var mu sync.Mutex
	var group sync.WaitGroup
	counts := map[int]int{}
	for i := range 60 {
		group.Go(func() {
			a := from([]*kit.Server{g.first, g.second}[i%2], "2001:db8::"+strconv.Itoa(i), "guarded", "wrong")
			mu.Lock()
			defer mu.Unlock()
			counts[a.Status]++
		})
	}
	group.Wait()
	if counts[http.StatusBadRequest] != 5 || counts[http.StatusTooManyRequests] != 55 {
		t.Errorf("got the answers %v, want 5 times 400 and 55 times 429", counts)
	}
}

// public tests that a client without a secret is not limited. So a caller at the address of its
// users cannot exclude them.
func (g *clientGuessTest) public(t *testing.T) {
	const here = "192.0.2.20"
	for range 5 {
		from(g.first, here, "codes-only", "wrong").MustRefuse(t, 400, kit.InvalidClient)
	}
	g.mustLimit(t, from(g.first, here, "codes-only", "wrong"))
	sent := g.first.Do(http.MethodPost, "/oauth/token", kit.FormMedia,
		kit.EncodeForm("grant_type", "password", "client_id", "codes-only", "username", "jane", "password", "WRONGONE"), "X-Forwarded-For", here)
	if sent.Field("error") != "invalid_grant" {
		t.Errorf("a user of a public client: got %d %s", sent.Status, sent.Body)
	}
}

// assertions tests that wrong assertions count as guesses.
func (g *clientGuessTest) assertions(t *testing.T) {
	const here = "192.0.2.30"
	a := newAsserter(g.Fixture, t, "signing")
	send := func(from, assertion string) kit.Response {
		return g.first.Do(http.MethodPost, "/oauth/token", kit.FormMedia, kit.EncodeForm("grant_type", "client_credentials",
			"client_assertion_type", jwtBearer, "client_assertion", assertion), "X-Forwarded-For", from)
	}
	for range 5 {
		send(here, a.assert(map[string]any{"aud": "https://other.example"})).MustRefuse(t, 400, kit.InvalidClient)
	}
	g.mustLimit(t, send(here, a.assert(map[string]any{"aud": "https://other.example"})))
	g.mustLimit(t, send(here, a.assert(nil)))
	send("192.0.2.31", a.assert(nil)).AccessToken(t)
}

// everywhere tests that while many addresses guess, an address that fails is refused at once,
// and one that does not fail is not.
func (g *clientGuessTest) everywhere(t *testing.T) {
	const share, burst = 50, 5
	var group sync.WaitGroup
	places := make(chan struct{}, 16)
	for i := range share * burst {
		group.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			from(g.first, "198.51."+strconv.Itoa(i/250)+"."+strconv.Itoa(i%250), "guarded", "wrong")
		})
	}
	group.Wait()
	g.mustLimit(t, from(g.first, "203.0.113.1", "guarded", "wrong"))
	g.mustLimit(t, from(g.first, "203.0.113.1", "guarded", g.client.Secret))
	from(g.first, "203.0.113.2", "guarded", g.client.Secret).AccessToken(t)
	from(g.second, "203.0.113.3", "guarded", g.client.Secret).AccessToken(t)
}

// TestGuessesBehindNoProxy tests that without a trusted proxy, callers with different
// X-Forwarded-For headers share one limit.
func TestGuessesBehindNoProxy(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		n := w.Serve("LATCHKEY_CLIENT_SECRET_LIMIT=3/1h")
		for i := range 6 {
			want := http.StatusBadRequest
			if i >= 3 {
				want = http.StatusTooManyRequests
			}
			if got := from(n, "192.0.2."+strconv.Itoa(i), "shop", "wrong"); got.Status != want {
				t.Errorf("guess %d: got %d %s, want %d", i, got.Status, got.Body, want)
			}
		}
	})
}
