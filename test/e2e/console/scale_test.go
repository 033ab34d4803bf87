//go:build browser

package console

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // registers the driver "pgx"

	"latchkey/oauth/console"
	"latchkey/oauth/server"
	"latchkey/storage"
	"latchkey/test/e2e/kit"
)

const (
	scaleUsers     = 100_000
	scaleCompanies = 1000
	scaleEvents    = 200_000 // in the audit log
	scaleVisits    = 7       // of each screen; the first one is cold
	maxMedian      = 200 * time.Millisecond
)

// unindexedSearches names the screens whose search uses no index: it is for a text within names,
// or for events that do not exist. It reads all users of a company, or all events of a period.
// Their times are printed, but not limited by maxMedian.
var unindexedSearches = []string{"audit-of-an-action", "audit-of-nobody", "search-company", "search-company-contains"}

// TestScale measures every screen with 100,000 users, half of them in one company, and 1,000
// clients. It prints the time of the first visit, and the median and the worst time of the others.
// It also prints the number of statements of one visit, with these rows and before they were
// added. "make bench-console" runs it. The variable TRACE names screens, as in the first column,
// whose statements are printed.
func TestScale(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		s, recorder := newSiteWithManyClients(t, w)
		s.addResources()
		screens := s.screens()
		for name, path := range map[string]string{
			"user-with-many-rows": strings.TrimPrefix(janesPage, console.Path), "sessions-of-many": strings.TrimPrefix(janesPage, console.Path) + "/sessions",
			"search-all-fields": "/users?search=jane", "search-email": "/users?searchOn=Email&search=copy5", "search-last-name": "/users?searchOn=LastName&search=doe",
			"search-nobody": "/users?search=nobody-is-like-this", "search-client": "/clients?search=x-client-0500", "search-no-client": "/clients?search=none-is-like-this",
			"search-company": "/users/buyers/acme?search=copy77", "search-company-contains": "/users/buyers/acme?search=*none-is-like-this*", "choose-company": "/users/+new?search=company77",
			"find-codes": "/home?find=jane", "find-nobodys-codes": "/home?find=nobody-is-like-this", "sessions-of-a-user": "/sessions?search=jane",
			"audit-of-a-user": "/audit?about=jane", "audit-of-nobody": "/audit?about=nobody-is-like-this&period=month", "audit-of-an-action": "/audit?Action=none_is_like_this&period=month",
		} {
			screens[name] = screenVisit{Path: path, User: "root"}
		}
		browsers := map[string]*browser{}
		for _, user := range []string{"root", "bob", "mia"} {
			browsers[user] = s.signIn(user)
		}
		names, before := slices.Sorted(maps.Keys(screens)), map[string]int{}
		for _, name := range names {
			at := screens[name]
			browsers[at.User].open(console.Path + at.Path)
			recorder.take()
			browsers[at.User].open(console.Path + at.Path)
			before[name] = len(recorder.take())
		}
		s.addRows(t)

		results := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
		_, _ = fmt.Fprintf(results, "\n%s\tcold ms\tmedian ms\tworst ms\tstatements\tbefore\t  path\n", t.Name())
		for _, name := range names {
			at, took, statements := screens[name], []time.Duration(nil), 0
			for range scaleVisits {
				recorder.take()
				began := time.Now()
				got := browsers[at.User].open(console.Path + at.Path)
				took = append(took, time.Since(began))
				seen := recorder.take()
				if statements = len(seen); got.status != http.StatusOK {
					t.Errorf("%s: got %d %s, want 200", at.Path, got.status, got.text())
				}
				if len(took) == scaleVisits && slices.Contains(strings.Fields(os.Getenv("TRACE")), name) {
					t.Logf("%s:\n%s", at.Path, strings.Join(seen, "\n"))
				}
			}
			cold, warm := took[0], slices.Sorted(slices.Values(took[1:]))
			median := warm[len(warm)/2]
			_, _ = fmt.Fprintf(results, "%s\t%d\t%d\t%d\t%d\t%d\t  %s\n", name, cold.Milliseconds(), median.Milliseconds(), warm[len(warm)-1].Milliseconds(), statements, before[name], at.Path)
			if median > maxMedian && !slices.Contains(unindexedSearches, name) {
				t.Errorf("%s: got a median of %v, want at most %v", at.Path, median, maxMedian)
			}
		}
		_ = results.Flush()
	})
}

// addRows copies the rows of jane. Half of the new users are in her company, the others in new
// companies. The requests for codes are spread over two days. Jane herself gets many sessions,
// consents and requests.
func (s *site) addRows(t *testing.T) {
	t.Helper()
	began := time.Now()
	driver, source := "pgx", s.DatabaseURL
	if path, ok := strings.CutPrefix(s.DatabaseURL, "sqlite:"); ok {
		driver, source = "sqlite", "file:"+path+"?_pragma=busy_timeout(10000)"
	}
	db, err := sql.Open(driver, source)
	s.must(err)
	defer db.Close() //nolint:errcheck // only for these rows
	name := func(prefix string) string { return "'" + prefix + "copy' || n.i" }
	spread := func(column string) string {
		return fmt.Sprintf("t.%s - n.i * %d", column, 48*time.Hour/scaleUsers/time.Microsecond)
	}
	company := fmt.Sprintf("CASE WHEN n.i %% 2 = 0 THEN t.account_uid ELSE 'acc_copy' || (1 + n.i %% %d) END", scaleCompanies)
	const uidOfJane = "(SELECT user_uid FROM logins WHERE username = 'jane')"
	someone := fmt.Sprintf("CASE WHEN n.i %% 100 = 0 THEN %s ELSE 'usr_copy' || (1 + n.i %% %d) END", uidOfJane, scaleUsers)
	jane := "user_uid = " + uidOfJane
	for _, c := range []struct {
		table, where string
		n            int
		changed      map[string]string // SQL of the columns that differ from the copied row
	}{
		{"accounts", "id = 'acme'", scaleCompanies, map[string]string{"uid": name("acc_"), "id": "'company' || n.i", "name": "'Company ' || n.i", "created_at": "t.created_at - n.i"}},
		{"users", "id = 'jane'", scaleUsers, map[string]string{
			"uid": name("usr_"), "id": name(""), "account_uid": company, "email": name("") + " || '@example.com'", "email_key": name("") + " || '@example.com'",
			"last_name": "t.last_name || (n.i % 500)", "created_at": "t.created_at - n.i",
		}},
		{"logins", "username = 'jane'", scaleUsers, map[string]string{"id": name("lgn_"), "username": name(""), "username_key": name(""), "user_uid": name("usr_")}},
		{"memberships", jane, scaleUsers, map[string]string{"account_uid": company, "user_uid": name("usr_"), "id": name("mem_"), "created_at": "t.created_at - n.i"}},
		{"sessions", "ended_at = 0", scaleUsers, map[string]string{"id": name("ses_"), "user_uid": someone, "last_used_at": "t.last_used_at - n.i"}},
		{"families", "session_id <> ''", scaleUsers, map[string]string{"id": name("fam_"), "user_uid": someone}},
		{"consents", jane, scaleUsers, map[string]string{"user_uid": name("usr_"), "granted_at": "t.granted_at - n.i"}},
		{"consents", jane, 1000, map[string]string{"client_id": "'x-client-' || (999 + n.i)", "granted_at": "t.granted_at - n.i"}},
		{"code_requests", "username = 'jane'", scaleUsers, map[string]string{
			"id": name("req_"), "seq": "1000000 + n.i", "user_uid": someone, "username": "CASE WHEN n.i % 100 = 0 THEN t.username ELSE 'copy' || n.i END",
			"trace_id": name(""), "created_at": spread("created_at"),
		}},
		{"messages", "request_id IN (SELECT id FROM code_requests WHERE username = 'jane')", scaleUsers, map[string]string{
			"id": name("msg_"), "request_id": name("req_"), "user_uid": someone, "trace_id": name(""),
			"state": "CASE WHEN n.i % 100 = 0 THEN 'dead' ELSE 'delivered' END", "created_at": spread("created_at"), "ended_at": spread("ended_at"),
		}},
		{"message_attempts", "1 = 1", scaleUsers, map[string]string{
			"message_id": name("msg_"), "number": "1", "state": "CASE WHEN n.i % 100 = 0 THEN 'dead' ELSE 'delivered' END", "ended_at": spread("ended_at"),
		}},
		{"issued_codes", "1 = 1", scaleUsers, map[string]string{
			"id": name("otc_"), "request_id": name("req_"), "login_id": name("lgn_"), "issued_at": spread("issued_at"), "expires_at": spread("expires_at"),
		}},
	} {
		s.must(kit.CopyRow(t.Context(), db, c.table, c.where, c.changed, c.n))
	}
	s.WithApp(func(ctx context.Context, a *server.App) error {
		login, err := a.Store.Login(ctx, storage.DefaultProfileID, "jane")
		for batch := 0; err == nil && batch < scaleEvents; batch += 1000 {
			events := make([]storage.AuditEvent, 1000)
			for i := range events {
				user, username := login.UserUID, "jane"
				if n := batch + i; n%100 != 0 {
					user, username = fmt.Sprint("usr_copy", n%scaleUsers), fmt.Sprint("copy", n%scaleUsers)
				}
				events[i] = storage.AuditEvent{
					Time: time.Now().UTC(), Action: "sign_in", Outcome: []string{"success", "wrong_credentials"}[i%2], ClientID: "shop", UserUID: user,
					Username: username, Factor: "otp", TraceID: fmt.Sprint("copy", batch+i), Source: "203.0.113.9",
				}
			}
			err = a.Store.AddAuditEvents(ctx, events)
		}
		return err
	})
	_, err = db.ExecContext(t.Context(), "ANALYZE")
	s.must(err)
	t.Logf("the rows were written in %v", time.Since(began))
}
