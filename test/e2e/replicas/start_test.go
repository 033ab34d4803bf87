package replicas

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"latchkey/oauth/server"
	"latchkey/storage/storetest/pgtest"
	"latchkey/test/e2e/kit"
)

// TestDatabaseRestartsDuringStart restarts the database while a server starts, at different
// statements. The server must wait for the database and then serve.
func TestDatabaseRestartsDuringStart(t *testing.T) {
	t.Parallel()
	pg, err := pgtest.Start(pgtest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pg.Close() })
	for _, at := range []int32{1, 4, 8, 12, 16} {
		t.Run(fmt.Sprint("at statement ", at), func(t *testing.T) {
			w := kit.NewFixture(t, pg.Database(t))
			cfg := w.ServerConfig(&w.Clock, w.Config("LATCHKEY_DATABASE_WAIT=1m", "LATCHKEY_SHUTDOWN_DELAY=0"))
			var statements atomic.Int32
			restarted := make(chan error, 1)
			cfg.OnStatement = func(string) {
				if statements.Add(1) != at {
					return
				}
				if err := pg.Stop(); err != nil {
					restarted <- err
					return
				}
				time.AfterFunc(500*time.Millisecond, func() { restarted <- pg.Start() })
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			ended := make(chan error, 1)
			go func() { ended <- server.Run(ctx, cfg) }()
			if err := <-restarted; err != nil {
				t.Fatal(err)
			}
			kit.Eventually(t, "the server is ready", func() bool {
				select {
				case err := <-ended:
					t.Fatalf("got the end of the server: %v", err)
				default:
				}
				response, err := kit.HTTPClient.Get("http://" + cfg.Settings.OpsListen + "/readyz") //nolint:noctx // the client has a timeout
				return err == nil && response.Body.Close() == nil && response.StatusCode == http.StatusOK
			})
			stop()
			if err := <-ended; err != nil {
				t.Errorf("after the stop: got %v, want no error", err)
			}
		})
	}
}
