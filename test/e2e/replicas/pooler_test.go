package replicas

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"latchkey/storage/gormstore/gormtest"
	"latchkey/test/e2e/kit"
)

// TestPooler runs two servers and the commands behind a pooler in transaction mode that has
// eight connections, with the plain URL and an empty database.
func TestPooler(t *testing.T) {
	t.Parallel()
	pooler := gormtest.Postgres(t).Pooler(t, 8)
	w := kit.NewFixture(t, pooler.URL(gormtest.Postgres(t).Empty(t)))
	const short = "LATCHKEY_REQUEST_TIMEOUT=5s"
	servers := []*kit.Server{w.Serve(short), w.Serve(short)}
	within(t, 3*time.Second, "both poll, and say so", func() bool {
		return each(servers, func(n *kit.Server) bool {
			status, body := ops(t, n, "/readyz")
			_, metrics := ops(t, n, "/metrics")
			return status == http.StatusOK && body == `{"status":"ready","changes":"polling"}` &&
				strings.Contains(metrics, `latchkey_configuration_changes{by="polling"} 1`) &&
				strings.Contains(metrics, `latchkey_configuration_changes{by="listening"} 0`)
		})
	})
	journeys(t, w, servers)

	disabled, enabled := createClient(t, w, "disabled later"), createClient(t, w, "enabled")
	both := func(c kit.Client, status int) func() bool {
		return func() bool { return each(servers, func(n *kit.Server) bool { return token(n, c) == status }) }
	}
	within(t, 3*time.Second, "the clients get tokens", func() bool {
		return both(disabled, http.StatusOK)() && both(enabled, http.StatusOK)()
	})
	w.Command(t, "client", "disable", disabled.ID)
	within(t, 3*time.Second, "the disabled client gets none", both(disabled, http.StatusBadRequest))
	within(t, 10*time.Second, "the log says that notifications do not arrive", func() bool {
		return strings.Contains(w.Log.String(), "notifications of the database do not arrive")
	})

	if err := pooler.Freeze(); err != nil {
		t.Fatal(err)
	}
	within(t, 15*time.Second, "cut off, no server gives tokens", both(enabled, http.StatusServiceUnavailable))
	within(t, 4*time.Second, "no server is ready", func() bool {
		return each(servers, func(n *kit.Server) bool {
			status, body := ops(t, n, "/readyz")
			return status == http.StatusServiceUnavailable && body == `{"status":"unavailable","reason":"the database does not answer"}`
		})
	})
	if err := pooler.Thaw(); err != nil {
		t.Fatal(err)
	}
	within(t, 5*time.Second, "the clients get tokens again", both(enabled, http.StatusOK))
	journeys(t, w, servers)
}

// TestDirectURL tests that a server behind a pooler learns of changes at once if it has a
// direct URL.
func TestDirectURL(t *testing.T) {
	t.Parallel()
	direct := gormtest.Postgres(t).Empty(t)
	w := kit.NewFixture(t, gormtest.Postgres(t).Pooler(t, 8).URL(direct))
	n := w.Serve("LATCHKEY_DATABASE_DIRECT_URL=" + direct)
	within(t, 5*time.Second, "it listens, and says so", func() bool {
		_, body := ops(t, n, "/readyz")
		return body == `{"status":"ready","changes":"listening"}`
	})
}
