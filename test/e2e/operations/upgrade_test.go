package operations

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"latchkey/storage/gormstore"
	"latchkey/test/e2e/kit"
)

// nextMigration is an example of a migration of the next release that runs while servers of
// this release run. It adds columns with defaults to busy tables, an index and a table.
var nextMigration = []string{
	"ALTER TABLE families ADD COLUMN next_release TEXT NOT NULL DEFAULT ''",
	"ALTER TABLE logins ADD COLUMN next_release INTEGER NOT NULL DEFAULT 0",
	"ALTER TABLE clients ADD COLUMN next_release TEXT NOT NULL DEFAULT ''",
	"ALTER TABLE messages ADD COLUMN next_release TEXT NOT NULL DEFAULT ''",
	"ALTER TABLE users ADD COLUMN next_release TEXT NOT NULL DEFAULT ''",
	"CREATE INDEX users_next_release ON users (next_release)",
	"CREATE TABLE next_release (id TEXT PRIMARY KEY)",
}

// TestUpgrade tests that servers continue without a failed request while the next release
// migrates the database. A server of this release does not start afterwards, and reports why.
func TestUpgrade(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		a := kit.NewOneServer(w)
		a.Server.Stop()
		admin := w.CreateClient(t, "--name", "admin", "--id", "admin", "--grant", "client_credentials", "--role", "FullAccess")
		p := a.StartProcess("LATCHKEY_OTP_LIMIT_RECIPIENT=0", "LATCHKEY_CLIENT_SECRET_LIMIT=0")
		token := kit.MustIssue(t, "administrator", p.ClientCredentials(admin.ID, admin.Secret)).Field("access_token")
		var served, failed atomic.Int64
		check := func(what string, got kit.Response, want int) {
			served.Add(1)
			if got.Status != want {
				failed.Add(1)
				t.Logf("%s: %d %s", what, got.Status, got.Body)
			}
		}
		stop := make(chan struct{})
		var load sync.WaitGroup
		for range 2 {
			load.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					check("client credentials", p.ClientCredentials(admin.ID, admin.Secret), http.StatusOK)
					signedIn := p.SignIn("jane", kit.Password)
					check("password", signedIn, http.StatusOK)
					check("refresh", p.Refresh(signedIn.Field("refresh_token")), http.StatusOK)
					check("code", p.RequestCode("jane", ""), http.StatusNoContent)
				}
			})
		}
		load.Go(func() { // these writes return all columns of the table
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Millisecond):
				}
				patch := fmt.Sprintf(`{"AppName":"Shop %d"}`, i)
				got := p.Do(http.MethodPatch, "/v1/apiclients/shop", "application/json", patch, "Authorization", "Bearer "+token)
				check("change of a client", got, http.StatusOK)
			}
		})
		time.Sleep(time.Second)
		migrateAhead(t, a)
		migrated := served.Load()
		time.Sleep(2 * time.Second)
		close(stop)
		load.Wait()
		if failed.Load() > 0 || served.Load()-migrated < 20 {
			t.Errorf("got %d failed requests of %d; %d were served after the migration", failed.Load(), served.Load(), served.Load()-migrated)
		}
		r := kit.TryCommand(t, append(w.Environ(), "LATCHKEY_LISTEN=127.0.0.1:0", "LATCHKEY_OPS_LISTEN=127.0.0.1:0", "LATCHKEY_ISSUER=http://latchkey.test"), "serve")
		if r.ExitCode != 1 || !strings.Contains(r.Stderr, "Use the release that made the schema, or a later one.") {
			t.Errorf("a server of this release on the newer schema: got %+v", r)
		}
	})
}

// migrateAhead migrates the database to the schema of the next release.
func migrateAhead(t *testing.T, a *kit.OneServer) {
	t.Helper()
	steps, err := gormstore.PendingMigrations(a.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	next := steps[len(steps)-1].Version + 1
	record := fmt.Sprintf("INSERT INTO goose_db_version (version_id, is_applied) VALUES (%d, TRUE)", next)
	for _, statement := range append(nextMigration, record) {
		if _, err := a.DB.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}
