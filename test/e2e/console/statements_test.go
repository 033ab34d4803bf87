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

// TestStatements counts the statements of screens with a thousand clients. One reads who
// calls, for the page and for each call of /v1. The list of clients reads a page, its
// secrets and the total. The page of a user calls /v1 for the user, its locks and its
// memberships.
func TestStatements(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		front := httptest.NewUnstartedServer(nil)
		t.Cleanup(front.Close)
		s := newSite(t, w, "LATCHKEY_ISSUER=http://"+front.Listener.Addr().String())
		var clients []string
		for _, name := range kit.Numbered("many-", 1000) {
			clients = append(clients, `{"ID":"`+name+`","AppName":"Many `+name+`","Active":true}`)
		}
		s.Apply(`{"ApiClients":[` + strings.Join(clients, ",") + `]}`)

		var mu sync.Mutex
		var seen []string
		cfg := s.ServerConfig(&s.Clock, s.Config("LATCHKEY_ISSUER=http://"+front.Listener.Addr().String()))
		cfg.OnStatement = func(sql string) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, sql)
		}
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
		b := s.signIn("root")
		for path, most := range map[string]int{
			"/console/clients": 5, "/console/clients?search=many-0500": 3, "/console/clients/shop": 3, "/console/clients/shop/edit": 2, "/console/new-client": 1,
			"/console/users": 6, "/console/users?search=jane": 13, "/console/users?searchOn=Email&search=jane": 6, "/console/users/buyers/acme": 6,
			janesPage: 21, janesPage + "/sessions": 19, "/console/keys": 3,
			"/console/audit": 4, "/console/audit?about=jane&period=week": 4, "/console/audit/chain": 6, "/console/profiles": 4, "/console/profiles/default": 7, "/console/profiles/default/replays": 8, "/console/api": 2,
		} {
			b.open(path)
			mu.Lock()
			seen = nil
			mu.Unlock()
			began := time.Now()
			b.open(path).contains(http.StatusOK)
			took := time.Since(began)
			mu.Lock()
			if t.Logf("%s: %d statements, %v", path, len(seen), took); len(seen) > most {
				t.Errorf("%s: got %d statements, want at most %d:\n%s", path, len(seen), most, strings.Join(seen, "\n"))
			}
			mu.Unlock()
		}
	})
}
