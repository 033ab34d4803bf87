package gormstore_test

import (
	"flag"
	"strings"
	"testing"
	"time"

	"latchkey/storage"
	"latchkey/storage/gormstore"
	"latchkey/storage/gormstore/gormtest"
)

var listUsers = flag.Int("list-users", 1_000_000, "how many users BenchmarkListUsers lists")

// BenchmarkListUsers reads pages of a list of many users. It reads the first page, which also
// counts, then the first, a middle and the last page by key, a middle page by number, and
// searches. It reports the shortest time of five.
func BenchmarkListUsers(b *testing.B) {
	for name, url := range map[string]string{"sqlite": gormtest.SQLite(b), "postgres": syncedPostgres(b).Database(b)} {
		b.Run(name, func(b *testing.B) { benchListUsers(b, url, *listUsers) })
	}
}

func benchListUsers(b *testing.B, url string, users int) {
	s := open(b, gormstore.Config{URL: url, ListTimeout: time.Minute})
	insertUsersWithLogins(b, url, users)
	list := func(q storage.Query) storage.Page[storage.UserLogin] {
		q.Limit = 100
		page, err := s.ListUsers(b.Context(), storage.UserScope{RealmID: "default", Kind: storage.Buyer, AccountUID: "acc0"}, q)
		if err != nil {
			b.Fatal(err)
		}
		return page
	}
	// The page before contains the key of a page. Here the pages before are read by number.
	middle, last := list(storage.Query{Offset: users/2 - 100}).Next, list(storage.Query{Offset: users - 200}).Next
	username := func(test storage.Test) []storage.Condition {
		return []storage.Condition{{Fields: []string{"Username"}, Tests: []storage.Test{test}}}
	}
	measure := func(what string, q storage.Query) {
		least := time.Hour
		for range 5 {
			began := time.Now()
			list(q)
			least = min(least, time.Since(began))
		}
		b.ReportMetric(float64(least.Microseconds())/1000, "ms:"+what)
	}
	for range b.N {
		measure("first", storage.Query{})
		measure("second-by-key", storage.Query{After: list(storage.Query{}).Next})
		measure("middle-by-key", storage.Query{After: middle})
		measure("last-by-key", storage.Query{After: last})
		measure("middle-by-number", storage.Query{Offset: users / 2})
		measure("one-username", storage.Query{Where: username(storage.Test{Op: storage.OpEqual, Value: "User77"})})
		measure("some-usernames", storage.Query{Where: username(storage.Test{Op: storage.OpLike, Value: "User77*"})})
	}
}

// insertUsersWithLogins writes n users of one buyer with their logins.
func insertUsersWithLogins(tb testing.TB, url string, n int) {
	tb.Helper()
	db := direct(tb, url)
	for _, statement := range append(insertStatements(n)[:3], "ANALYZE") {
		if strings.Contains(statement, "INTO accounts") {
			statement += " LIMIT 1"
		}
		if _, err := db.Exec(statement); err != nil {
			tb.Fatalf("%.60s: %v", statement, err)
		}
	}
}
