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

// statementCount keeps the statements of a server.
type statementCount struct {
	mu   sync.Mutex
	seen []string
}

func (c *statementCount) add(sql string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, sql)
}

// take returns the statements since the last call.
func (c *statementCount) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := c.seen
	c.seen = nil
	return seen
}

// newManyClients starts a server with a thousand clients, and counts its statements. Their
// IDs come after those of other clients.
func newManyClients(t *testing.T, w *kit.Fixture) (*site, *statementCount) {
	t.Helper()
	front := httptest.NewUnstartedServer(nil)
	t.Cleanup(front.Close)
	s := newSite(t, w, "LATCHKEY_ISSUER=http://"+front.Listener.Addr().String())
	var clients []string
	for _, name := range kit.Numbered("x-client-", 1000) {
		clients = append(clients, `{"ID":"`+name+`","AppName":"Client `+name+`","Active":true}`)
	}
	s.Apply(`{"ApiClients":[` + strings.Join(clients, ",") + `]}`)

	count := &statementCount{}
	cfg := s.ServerConfig(&s.Clock, s.Config("LATCHKEY_ISSUER=http://"+front.Listener.Addr().String()))
	cfg.OnStatement = count.add
	app, err := kit.OpenApp(t.Context(), cfg)
	s.must(err)
	t.Cleanup(func() { _ = app.Close() })
	s.must(app.OpenRing(t.Context()))
	handler, err := server.New(app)
	s.must(err)
	ctx, stop := context.WithCancel(t.Context())
	watched := make(chan struct{})
	go func() { defer close(watched); _ = app.Store.Run(ctx) }() // the cache keeps clients while it runs
	t.Cleanup(func() { stop(); <-watched })
	front.Config.Handler = handler
	front.Start()
	s.Server = &kit.Server{T: t, URL: front.URL}
	return s, count
}

// TestStatements counts the statements of screens with a thousand clients. One reads who
// calls, for the page and for each call of /v1. The list of clients reads a page, its
// secrets and the total. The page of a user calls /v1 for the user, its locks and its
// memberships. A search for codes takes as many statements for many requests as for one.
func TestStatements(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		s, count := newManyClients(t, w)
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
			count.take()
			began := time.Now()
			b.open(path).contains(http.StatusOK)
			took, seen := time.Since(began), count.take()
			if t.Logf("%s: %d statements, %v", path, len(seen), took); len(seen) > most {
				t.Errorf("%s: got %d statements, want at most %d:\n%s", path, len(seen), most, strings.Join(seen, "\n"))
			}
		}
	})
}
