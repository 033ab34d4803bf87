package gormstore_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"latchkey/storage"
	"latchkey/storage/gormstore"
)

// makeRequestsEndless makes lists of code requests run for ever, and returns a connection to
// the database.
func makeRequestsEndless(t *testing.T, url string) *sql.DB {
	t.Helper()
	db := direct(t, url)
	endless := `CREATE VIEW code_requests AS SELECT r.* FROM code_requests_away r WHERE pg_sleep(3600) IS NOT NULL`
	if strings.HasPrefix(url, "sqlite:") {
		endless = `CREATE VIEW code_requests AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
			SELECT r.* FROM n LEFT JOIN code_requests_away r ON TRUE`
	}
	for _, statement := range []string{
		`INSERT INTO code_requests (id, type, client_id, profile_id, username, email, phone, user_uid, purpose, url,
			trace_id, source, created_at, expires_at, lease_until, ended_at)
			VALUES ('r', '', '', '', '', '', '', '', '', '', '', '', 1, 1, 0, 1)`,
		"ALTER TABLE code_requests RENAME TO code_requests_away", endless,
	} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

// anyRequest returns a query of code requests with a condition.
func anyRequest() storage.Query {
	return storage.Query{Limit: 1, Where: []storage.Condition{{
		Fields: []string{"ClientID"}, Tests: []storage.Test{{Op: storage.OpEqual, Value: "nobody"}},
	}}}
}

// TestEndlessListsEnd tests that a list ends at its time limit, also in the database, and that
// its connection can be used again.
func TestEndlessListsEnd(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		db := makeRequestsEndless(t, url)
		s := open(t, gormstore.Config{URL: url, ListTimeout: 300 * time.Millisecond})
		for range 2 * gormstore.DefaultListConns {
			_, err := s.ListRequests(t.Context(), anyRequest())
			limit, ok := errors.AsType[*storage.QueryLimitError](err)
			if !ok || limit.Timeout != 300*time.Millisecond || !errors.Is(err, storage.ErrUnavailable) {
				t.Fatalf("got %v, want the time limit", err)
			}
		}
		var found storage.Page[storage.Realm]
		err := storage.ErrUnavailable
		for tries := 0; tries < 20 && errors.Is(err, storage.ErrUnavailable); tries++ { // even a short list may take too long on a busy machine
			found, err = s.ListRealms(t.Context(), storage.Query{Limit: 1})
		}
		if err != nil || found.Total != 1 {
			t.Errorf("afterwards: got %d realms, error %v; want 1", found.Total, err)
		}
		if s.Dialect() != "postgres" {
			return
		}
		const running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%FROM code_requests%' AND pid <> pg_backend_pid()"
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			var n int
			if err := db.QueryRow(running).Scan(&n); err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("got %d lists that still run in the database, want none", n)
			}
		}
	})
}

// TestListsLeaveConnections runs more lists than there are connections. Other reads and writes
// must succeed before any list ends.
func TestListsLeaveConnections(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		makeRequestsEndless(t, url)
		s := open(t, gormstore.Config{URL: url, ListTimeout: time.Hour})
		ctx, stop := context.WithCancel(t.Context())
		var lists sync.WaitGroup
		defer lists.Wait()
		defer stop()
		var ended atomic.Int64
		for range 40 {
			lists.Go(func() {
				_, _ = s.ListRequests(ctx, anyRequest())
				ended.Add(1)
			})
		}
		for s.ListsRunning() < gormstore.DefaultListConns {
			time.Sleep(time.Millisecond)
		}
		others, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		for range 20 {
			if err := s.Ping(others); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Realm(others, storage.DefaultRealmID); err != nil {
				t.Fatal(err)
			}
			if err := s.Exec(others, "UPDATE realms SET name = 'another'"); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.InTx(others, func(ctx context.Context) error {
			_, err := s.ListRealms(ctx, storage.Query{Limit: 1}) // uses the connection of the transaction
			return err
		}); err != nil {
			t.Error(err)
		}
		if n := ended.Load(); n != 0 {
			t.Errorf("got %d lists that ended before, want none", n)
		}
	})
}

// TestListsWaitTheirTime tests that a list that gets no connection in time fails with
// ErrUnavailable, and not with an error that asks for a cheaper query.
func TestListsWaitTheirTime(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		s := open(t, gormstore.Config{URL: url, ListTimeout: time.Second})
		release := s.OccupyLists()
		_, err := s.ListRealms(t.Context(), storage.Query{Limit: 1})
		if _, limited := errors.AsType[*storage.QueryLimitError](err); limited || !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("got %v, want %v", err, storage.ErrUnavailable)
		}
		release()
		err = storage.ErrUnavailable
		for end := time.Now().Add(time.Minute); errors.Is(err, storage.ErrUnavailable) && time.Now().Before(end); { // a slow machine may need longer than the limit
			_, err = s.ListRealms(t.Context(), storage.Query{Limit: 1})
		}
		if err != nil {
			t.Error(err)
		}
	})
}

// TestQueryCost tests that the cost of a query counts comparisons, members of XP, names of
// other tables, asterisks and the order. A query that costs too much must not reach the
// database.
func TestQueryCost(t *testing.T) {
	t.Parallel()
	tests := func(n int, op storage.Op, value string) []storage.Test {
		all := make([]storage.Test, n)
		for i := range all {
			all[i] = storage.Test{Op: op, Value: value, Not: i%2 == 1}
		}
		return all
	}
	where := func(tests []storage.Test, names ...string) storage.Query {
		return storage.Query{Limit: 1, Where: []storage.Condition{{Fields: names, Tests: tests}}}
	}
	sorted := func(q storage.Query, names ...string) storage.Query {
		for _, name := range names {
			q.Sort = append(q.Sort, storage.Order{Field: name})
		}
		return q
	}
	onBoth(t, func(t *testing.T, url string) {
		var statements atomic.Int64
		s := open(t, gormstore.Config{URL: url, OnStatement: func(string) { statements.Add(1) }})
		for what, test := range map[string]struct {
			query   storage.Query
			refused bool
		}{
			"500 comparisons":         {where(tests(500, storage.OpEqual, "x"), "ID"), false},
			"501 comparisons":         {where(tests(501, storage.OpEqual, "x"), "ID"), true},
			"250 of two fields":       {where(tests(250, storage.OpEqual, "x"), "ID", "Name"), false},
			"251 of two fields":       {where(tests(251, storage.OpEqual, "x"), "ID", "Name"), true},
			"25 of xp":                {where(tests(25, storage.OpEqualFold, "1"), "XP.a.b"), false},
			"26 of xp":                {where(tests(26, storage.OpLess, "1"), "XP.a.b"), true},
			"25 of usernames":         {where(tests(25, storage.OpEqualFold, "x"), "Username"), false},
			"26 of usernames":         {where(tests(26, storage.OpEmpty, ""), "Username"), true},
			"12 contained in xp":      {where(tests(12, storage.OpLikeFold, "*x*"), "XP.a"), false},
			"13 contained in xp":      {where(tests(13, storage.OpLike, "*x*"), "XP.a"), true},
			"500 asterisks":           {where(tests(1, storage.OpLikeFold, strings.Repeat("*a", 500)), "Email"), false},
			"501 asterisks":           {where(tests(1, storage.OpLike, strings.Repeat("*a", 501)), "Email"), true},
			"asterisks that are none": {where(tests(1, storage.OpEqual, strings.Repeat("*", 600)), "Email"), false},
			"20 sorts":                {sorted(where(tests(480, storage.OpEqual, "x"), "ID"), strings.Fields(strings.Repeat("Name ", 20))...), false},
			"a sort too many":         {sorted(where(tests(481, storage.OpEqual, "x"), "ID"), strings.Fields(strings.Repeat("Name ", 20))...), true},
			"20 sorts of xp":          {sorted(storage.Query{Limit: 1}, strings.Fields(strings.Repeat("XP.a ", 20))...), false},
			"xp filters and sorts":    {sorted(where(tests(6, storage.OpEqual, "x"), "XP.a"), strings.Fields(strings.Repeat("XP.a ", 20))...), true},
			"sort by username":        {sorted(where(tests(481, storage.OpEqual, "x"), "ID"), "Username"), true},
		} {
			statements.Store(0)
			_, err := s.ListUsers(t.Context(), storage.UserScope{}, test.query)
			limit, limited := errors.AsType[*storage.QueryLimitError](err)
			switch {
			case !test.refused && err != nil:
				t.Errorf("%s: %v", what, err)
			case test.refused && (!limited || limit.Timeout != 0 || !errors.Is(err, storage.ErrQuery) || statements.Load() != 0):
				t.Errorf("%s: got %v after %d statements, want a refusal before the first", what, err, statements.Load())
			}
		}
	})
}
