package console

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/oauth/server"
	"latchkey/test/e2e/kit"
)

// statementRecorder records the statements of a server.
type statementRecorder struct {
	mu   sync.Mutex
	seen []string
}

func (c *statementRecorder) add(sql string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, sql)
}

// take returns the statements since the last call.
func (c *statementRecorder) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := c.seen
	c.seen = nil
	return seen
}

// newSiteWithManyClients starts a server with 1,000 more clients, and records its statements. The
// IDs of these clients sort after those of the others.
func newSiteWithManyClients(t *testing.T, w *kit.Fixture) (*site, *statementRecorder) {
	t.Helper()
	front := httptest.NewUnstartedServer(nil)
	t.Cleanup(front.Close)
	s := newSite(t, w, "LATCHKEY_ISSUER=http://"+front.Listener.Addr().String())
	var clients []string
	for _, name := range kit.Numbered("x-client-", 1000) {
		clients = append(clients, `{"ID":"`+name+`","AppName":"Client `+name+`","Active":true}`)
	}
	s.Apply(`{"ApiClients":[` + strings.Join(clients, ",") + `]}`)

	recorder := &statementRecorder{}
	cfg := s.ServerConfig(&s.Clock, s.Config("LATCHKEY_ISSUER=http://"+front.Listener.Addr().String()))
	cfg.OnStatement = recorder.add
	app, err := kit.OpenApp(t.Context(), cfg)
	s.must(err)
	t.Cleanup(func() { _ = app.Close() })
	s.must(app.OpenRing(t.Context()))
	handler, err := server.New(app)
	s.must(err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = app.Store.Run(ctx) }() // the cache keeps clients while it runs
	t.Cleanup(func() { stop(); <-done })
	front.Config.Handler = handler
	front.Start()
	s.Server = &kit.Server{T: t, URL: front.URL}
	return s, recorder
}

// TestStatements counts the statements of screens with 1,000 clients. The page and each of its
// calls of /v1 read the caller with one statement. The list of clients reads a page, its secrets
// and the total. The page of a user calls /v1 for the user, its locks and its memberships. A search
// for codes executes as many statements for many requests as for one.
func TestStatements(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		s, recorder := newSiteWithManyClients(t, w)
		b := s.signIn("root")
		for range 5 {
			s.Server.RequestCode("jane", "")
		}
		for path, most := range map[string]int{
			"/console/home?find=jane": 12, "/console/clients": 5, "/console/clients?search=x-client-0500": 3, "/console/clients/shop": 3, "/console/clients/shop/edit": 2, "/console/new-client": 1,
			"/console/users": 6, "/console/users?search=jane": 13, "/console/users?searchOn=Email&search=jane": 6, "/console/users/buyers/acme": 6,
			janesPage: 21, janesPage + "/sessions": 19, "/console/keys": 3,
			"/console/audit": 4, "/console/audit?about=jane&period=week": 4, "/console/audit/chain": 6, "/console/profiles": 4, "/console/profiles/default": 7, "/console/profiles/default/replays": 8, "/console/api": 2,
		} {
			b.open(path)
			recorder.take()
			began := time.Now()
			b.open(path).contains(http.StatusOK)
			took, seen := time.Since(began), recorder.take()
			if t.Logf("%s: %d statements, %v", path, len(seen), took); len(seen) > most {
				t.Errorf("%s: got %d statements, want at most %d:\n%s", path, len(seen), most, strings.Join(seen, "\n"))
			}
		}
	})
}
