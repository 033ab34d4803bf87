package page

import (
	"context"
	"flag"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"latchkey/oauth/server"
	"latchkey/test/e2e/kit"
)

// statements records the statements of a server.
type statements struct {
	mu   sync.Mutex
	seen []string
}

func (s *statements) record(sql string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, sql)
}

// during returns the statements that f causes.
func (s *statements) during(f func()) []string {
	s.mu.Lock()
	s.seen = nil
	s.mu.Unlock()
	f()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

// visitors is how many requests TestStatements sends to the authorization endpoint without
// a cookie. "make visitors" sends 100,000.
var visitors = flag.Int("visitors", 2000, "how many visitors TestStatements lets open the page")

// TestStatements counts round trips to the database. A visitor without a session takes none, a
// silent sign-in and a code at the token endpoint take one read and one write each.
func TestStatements(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		var seen statements
		cfg := s.ServerConfig(&s.Clock, s.Config("LATCHKEY_ISSUER=http://latchkey.test"))
		cfg.OnStatement = seen.record
		app, err := kit.OpenApp(t.Context(), cfg)
		s.Must(err)
		t.Cleanup(func() { _ = app.Close() })
		s.Must(app.OpenRing(t.Context()))
		handler, err := server.New(app)
		s.Must(err)
		ctx, stop := context.WithCancel(t.Context())
		watched := make(chan struct{})
		go func() { defer close(watched); _ = app.Store.Run(ctx) }() // the cache keeps clients while it runs
		t.Cleanup(func() { stop(); <-watched })
		front := httptest.NewServer(handler)
		t.Cleanup(front.Close)

		b := s.newBrowser()
		b.server = &kit.Server{T: t, URL: front.URL}
		a := s.spa()
		kit.Eventually(t, "the client is cached", func() bool {
			return len(seen.during(func() { b.get(a.path()) })) == 0
		})
		rows := func() string {
			return s.QueryOne("SELECT (SELECT count(*) FROM sessions) + (SELECT count(*) FROM authorizations) + (SELECT count(*) FROM code_requests) + (SELECT count(*) FROM spent_ids)")
		}
		before := rows()
		if got := seen.during(func() { s.receiveVisitors(handler, *visitors) }); len(got) > 0 || rows() != before {
			t.Errorf("%d visitors cost %d statements and %s rows, was %s: %.100q", *visitors, len(got), rows(), before, got)
		}

		page := b.submit(b.get(a.path("acr_values", "urn:latchkey:acr:pwd")), "username", "jane")
		var got url.Values
		signIn := seen.during(func() { got = b.submit(page, "password", kit.Password).response(t, callback) })
		if t.Logf("sign-in: %d statements", len(signIn)); len(signIn) == 0 {
			t.Error("got no statements of a sign-in, want some")
		}
		exchange := seen.during(func() { b.redeem(a, got.Get("code")) })
		silent := seen.during(func() { b.get(s.spa().path("prompt", "none")).response(t, callback) })
		for what, cost := range map[string][]string{"a code at the token endpoint": exchange, "a silent sign-in": silent} {
			if n := len(withoutTransactions(cost)); n < 1 || n > 2 {
				t.Errorf("%s: got %d statements, want 1 or 2: %.300q", what, n, cost)
			}
		}
	})
}

// receiveVisitors sends authorization requests of n browsers without cookies to a server,
// without a connection, and expects the page that asks for the name.
func (s *site) receiveVisitors(handler http.Handler, n int) {
	s.t.Helper()
	for range n {
		r := httptest.NewRequestWithContext(s.t.Context(), http.MethodGet, s.spa().path(), nil)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		page{w.Code, w.Header(), w.Body.String()}.asksFor(s.t, "username")
	}
}

func (b *browser) redeem(a *authorizationRequest, code string) kit.Response {
	b.t.Helper()
	return kit.MustIssue(b.t, "a code", b.server.Form("/oauth/token", "grant_type", "authorization_code", "code", code, "client_id", "spa",
		"redirect_uri", callback, "code_verifier", a.verifier))
}

// withoutTransactions leaves out what SQLite, which has no round trips, adds around writes.
func withoutTransactions(all []string) []string {
	var kept []string
	for _, sql := range all {
		word, _, _ := strings.Cut(strings.TrimSpace(sql), " ")
		if word != "BEGIN" && word != "COMMIT" && !(strings.HasPrefix(sql, "INSERT INTO families") || strings.HasPrefix(sql, "INSERT INTO authorizations")) {
			kept = append(kept, sql)
		}
	}
	return kept
}
