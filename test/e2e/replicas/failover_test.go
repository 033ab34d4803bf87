package replicas

import (
	"net/http"
	"testing"
	"time"

	"latchkey/storage/storetest/pgtest"
	"latchkey/test/e2e/kit"
)

// TestFailover lets a standby take over from the primary of two servers, after a crash and
// after the primary hung.
func TestFailover(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*pgtest.Server) error{
		"the primary crashes": (*pgtest.Server).Stop,
		"the primary hangs":   (*pgtest.Server).Freeze,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			primary := pgtest.StartReplicated(t, pgtest.Config{Relaxed: true})
			database := primary.Empty(t)
			t.Cleanup(func() {
				if err := primary.Thaw(); err != nil {
					t.Error(err)
				}
			})
			standby := primary.Standby(t)
			w := kit.NewFixture(t, pgtest.URLOf(database, primary, standby))
			servers := []*kit.Server{w.Serve(), w.Serve()}
			journeys(t, w, servers)
			c := createClient(t, w, "changed later")
			ready := func(want int) func() bool {
				return func() bool {
					return each(servers, func(n *kit.Server) bool { status, _ := ops(t, n, "/readyz"); return status == want })
				}
			}
			within(t, 3*time.Second, "the client gets tokens", func() bool {
				return each(servers, func(n *kit.Server) bool { return token(n, c) == http.StatusOK })
			})
			primary.CatchUp(t, standby)

			if err := lose(primary); err != nil {
				t.Fatal(err)
			}
			within(t, 4*time.Second, "no server is ready after the failure", ready(http.StatusServiceUnavailable))
			if err := standby.Promote(); err != nil {
				t.Fatal(err)
			}
			within(t, 5*time.Second, "users sign in after the promotion", func() bool {
				return each(servers, func(n *kit.Server) bool { return n.SignIn("john", kit.Password).Status == http.StatusOK })
			})
			within(t, 5*time.Second, "both servers are ready after the promotion", ready(http.StatusOK))
			journeys(t, w, servers)
			w.Command(t, "client", "disable", c.ID)
			within(t, 3*time.Second, "the disabled client gets no tokens", func() bool {
				return each(servers, func(n *kit.Server) bool { return token(n, c) == http.StatusBadRequest })
			})
		})
	}
}
