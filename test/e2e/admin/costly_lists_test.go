package admin

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"modernc.org/sqlite"

	"latchkey/oauth/server"
	"latchkey/storage"
	"latchkey/test/e2e/kit"
)

const (
	listTooDear = "The list costs too much. A comparison and a sort field cost 1, of xp or of a username 20, " +
		"and a pattern that much for each asterisk. A list may cost 500."
	listTooSlow = "The list took longer than 5s. Use fewer filters, alternatives, asterisks and sort fields."
)

// TestHostileLists lets a caller who may read the users of one company send the most expensive
// lists. They must not prevent others from signing in.
func TestHostileLists(t *testing.T) {
	kit.EachOrderCloud(t, []string{kit.LongRequestTimeout}, func(t *testing.T, m *kit.OrderCloud) {
		m.Do(t, 201, "POST", "/v1/buyers", `{"ID":"acme","Name":"Acme","Active":true}`)
		m.Do(t, 201, "POST", "/v1/buyers/acme/users", `{"ID":"jane","Username":"jane","Password":"`+kit.Password+
			`","FirstName":"Jane","LastName":"Doe","Email":"jane@example.com","Active":true}`)
		m.Do(t, 201, "POST", "/v1/apiclients", `{"ID":"web","AppName":"Web","Active":true,"AccessTokenDuration":60,"AllowAnyBuyer":true}`)
		addLargeUsers(m, t)
		reader := m.CreateClient(t, "--name", "Reader", "--id", "reader", "--grant", "client_credentials",
			"--role", "BuyerUserReader", "--role", "DeliveryConfigAdmin")
		token := m.First.ClientCredentials(reader.ID, reader.Secret).AccessToken(t)
		t.Run("cost", func(t *testing.T) { refusesDearLists(m, t, token) })
		t.Run("large records", func(t *testing.T) {
			var alternatives []string
			for i := range 23 {
				alternatives = append(alternatives, fmt.Sprint("v", i))
			}
			query := "xp.a.b.c=" + strings.Join(alternatives, "%7C") + "&sortBy=xp.z"
			for _, got := range signInsDuring(m, t, token, "/v1/buyers/acme/users?"+query) {
				if got.Status != http.StatusOK && got.Status != http.StatusServiceUnavailable {
					t.Errorf("a list: got %d %s, want 200 or 503", got.Status, got.Body)
				}
			}
		})
		t.Run("time", func(t *testing.T) {
			defer makeConfigsEndless(m, t)()
			tooSlow := 0
			for _, got := range signInsDuring(m, t, token, "/v1/integrations/deliveryconfig?Name=none") {
				if strings.Contains(got.Body, "QueryTimeout") {
					tooSlow++
					got.MustRefuseV1(t, 503, kit.ErrorBody("QueryTimeout", listTooSlow, "null"))
					continue
				}
				got.MustRefuseV1(t, 503, kit.ErrorBody("ServiceUnavailable", "The server cannot answer now. Try again.", "null"))
			}
			if tooSlow == 0 {
				t.Error("got no answer that a list took too long")
			}
		})
	})
}

// addLargeUsers adds 250 users with 62 kB of xp to acme, directly in the store.
func addLargeUsers(m *kit.OrderCloud, t *testing.T) {
	t.Helper()
	xp, err := json.Marshal(map[string]any{"a": map[string]any{"b": map[string]string{"c": "x"}}, "filler": strings.Repeat("lorem ipsum ", 5200), "z": 1})
	if err != nil {
		t.Fatal(err)
	}
	m.WithApp(func(ctx context.Context, a *server.App) error {
		acme, err := a.Store.Account(ctx, storage.DefaultRealmID, storage.Buyer, "acme")
		if err != nil {
			return err
		}
		return a.Store.InTx(ctx, func(ctx context.Context) error {
			for i := range 250 {
				id := fmt.Sprintf("large%03d", i)
				if _, err := a.Store.PutUser(ctx, storage.User{
					UID: "usr_" + id, RealmID: storage.DefaultRealmID, Kind: storage.Buyer, AccountUID: acme.UID,
					ID: id, Active: true, Email: id + "@example.com", EmailKey: id + "@example.com", XP: xp,
				}); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// refusesDearLists sends lists that cost too much, in both dialects.
func refusesDearLists(m *kit.OrderCloud, t *testing.T, token string) {
	alternatives := func(name, value string, n int) string {
		return name + "=" + url.QueryEscape(strings.TrimSuffix(strings.Repeat(value+"|", n), "|"))
	}
	var twenty []string
	for i := range 20 {
		twenty = append(twenty, alternatives(fmt.Sprintf("xp.m%d", i), "v", 24))
	}
	for what, query := range map[string]string{
		"20 xp filters of 24 alternatives": strings.Join(twenty, "&"),
		"25 xp alternatives":               alternatives("xp.a", "v", 25),
		"25 that xp is not":                alternatives("xp.a", "!v", 25),
		"25 usernames":                     alternatives("Username", "v", 25),
		"13 parts of xp":                   alternatives("xp.a", "*v*", 13),
		"13 parts of usernames":            alternatives("Username", "*v*", 13),
		"an asterisk for each letter":      alternatives("Email", strings.Repeat("*a", 251), 2),
		"a search of asterisks":            "search=" + strings.Repeat("a*", 200),
		"xp filters and orders":            alternatives("xp.a", "v", 20) + "&sortBy=" + strings.TrimSuffix(strings.Repeat("xp.b,", 6), ","),
	} {
		got := m.Send(m.First, token, "GET", "/v1/buyers/acme/users?"+query, nil)
		if want := kit.ErrorBody("InvalidQuery", listTooDear, "null"); got.Status != 400 || got.Body != want {
			t.Errorf("%s: got %d %s, want 400", what, got.Status, got.Body)
		}
	}
	m.DoAs(t, token, 200, "GET", "/v1/buyers/acme/users?"+alternatives("xp.a", "v", 24), nil)
	dear := url.QueryEscape(`ilike(email,"` + strings.Repeat("*a", 501) + `")`)
	got := m.Send(m.First, m.AdminToken, "GET", "/v2/account-members?filter="+dear, nil)
	want := `{"errors":[{"title":"Bad Request","status":"400","detail":"` + listTooDear + `"}]}`
	if got.Status != 400 || strings.TrimSpace(got.Body) != want {
		t.Errorf("below /v2: got %d %s, want 400", got.Status, got.Body)
	}
}

// signInsDuring signs a user in while forty lists of the path are requested. It returns the
// answers to the lists.
func signInsDuring(m *kit.OrderCloud, t *testing.T, token, path string) []kit.Response {
	t.Helper()
	lists := make([]kit.Response, 40)
	var asked atomic.Int64
	var group sync.WaitGroup
	for i := range lists {
		group.Go(func() {
			asked.Add(1)
			lists[i] = m.Send(m.First, token, "GET", path, nil)
		})
	}
	for i := range 10 {
		if got := m.SignIn(m.First, "web", "jane", kit.Password); got.Status != http.StatusOK {
			t.Errorf("sign-in %d while %d lists were asked for: got %d %s, want 200", i, asked.Load(), got.Status, got.Body)
		}
	}
	group.Wait()
	return lists
}

func init() { // SQLite has no function that waits
	sqlite.MustRegisterScalarFunction("sleep", 0, func(*sqlite.FunctionContext, []driver.Value) (driver.Value, error) {
		time.Sleep(20 * time.Millisecond)
		return int64(1), nil
	})
}

// makeConfigsEndless makes the database compute for ever for every list of delivery configs,
// until restore is called.
func makeConfigsEndless(m *kit.OrderCloud, t *testing.T) (restore func()) {
	t.Helper()
	name, source := "pgx", m.DatabaseURL
	view := "CREATE VIEW delivery_configs AS SELECT r.* FROM delivery_configs_away r WHERE pg_sleep(3600) IS NOT NULL"
	if path, ok := strings.CutPrefix(m.DatabaseURL, "sqlite:"); ok {
		name, source = "sqlite", "file:"+path+"?_pragma=busy_timeout(10000)"
		view = `CREATE VIEW delivery_configs AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + sleep() FROM n)
			SELECT r.* FROM n LEFT JOIN delivery_configs_away r ON TRUE`
	}
	db, err := sql.Open(name, source)
	if err != nil {
		t.Fatal(err)
	}
	do := func(statements ...string) {
		for _, statement := range statements {
			if _, err := db.Exec(statement); err != nil {
				t.Fatalf("%.40s: %v", statement, err)
			}
		}
	}
	do(`INSERT INTO delivery_configs (id, realm_id, name, enabled, target, url, secret_key_id, secret, custom_auth_header_name,
		custom_auth_header_key_id, custom_auth_header, version, created_at, updated_at)
		VALUES ('one', 'default', '', FALSE, '', '', '', '', '', '', '', 1, 1, 1)`,
		"ALTER TABLE delivery_configs RENAME TO delivery_configs_away", view)
	return func() {
		do("DROP VIEW delivery_configs", "ALTER TABLE delivery_configs_away RENAME TO delivery_configs")
		_ = db.Close()
	}
}
