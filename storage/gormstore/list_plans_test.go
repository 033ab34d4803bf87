package gormstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"latchkey/storage"
	"latchkey/storage/gormstore"
	"latchkey/storage/gormstore/gormtest"
)

// driverOf returns the driver and the data source name of a store's database, for SQL of the
// tests.
func driverOf(url string) (driver, dsn string) {
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		return "sqlite", "file:" + path
	}
	return "pgx", url
}

func direct(tb testing.TB, url string) *sql.DB {
	tb.Helper()
	db, err := sql.Open(driverOf(url))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

// insertRows writes n users of one buyer and as many rows of each other table that grows. Then
// it updates the statistics of the database. The rows are not written in any order that a list
// has.
func insertRows(tb testing.TB, url string, n int) {
	tb.Helper()
	db := direct(tb, url)
	for _, statement := range append(insertStatements(n), "ANALYZE") {
		if _, err := db.Exec(statement); err != nil {
			tb.Fatalf("%.60s: %v", statement, err)
		}
	}
}

// insertStatements are the statements of insertRows. The first of them add a buyer, users and
// logins.
func insertStatements(n int) []string {
	numbers := fmt.Sprintf("WITH RECURSIVE n (i) AS (SELECT CAST(0 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < %d)", n-1)
	statements := []string{
		`INSERT INTO accounts (uid, realm_id, kind, id, name, active, xp, version, created_at, updated_at)
			SELECT 'acc' || i, 'default', 'buyer', 'b' || (1000000 + i), 'Buyer', TRUE, '', 1, i * 7919 % 1000003, 1 FROM n`,
		`INSERT INTO users (uid, realm_id, kind, account_uid, id, first_name, last_name, email, email_key, phone, active,
			locale, xp, tokens_valid_from, version, created_at, updated_at)
			SELECT 'usr' || (i * 7907 % 1000003), 'default', 'buyer', 'acc0', 'u' || (1000000 + i * 7901 % 1000003), 'F', 'L',
			'User' || i || '@example.com', '', '', TRUE, '', '{"n": 1}', 0, 1, i * 7919 % 1000003, 1 FROM n`,
		`INSERT INTO logins (id, profile_id, username, username_key, user_uid, active, password_hash, password_set_at,
			sessions_valid_from, failures, last_failure_at, locked_until, lockout_version, code_id, code_request_id,
			code_client_id, code_purpose, code_pepper_id, code_digest, code_expires_at, code_used_at, version, created_at, updated_at)
			SELECT 'lgn' || i, 'default', 'User' || i, 'user' || i, 'usr' || (i * 7907 % 1000003), TRUE, '', 0,
			0, 0, 0, 0, 0, '', '', '', '', '', '', 0, 0, 1, 1, 1 FROM n`,
		`INSERT INTO memberships (account_uid, user_uid, roles, id, created_at)
			SELECT 'acc0', uid, '', 'm' || uid, created_at FROM users`,
		`INSERT INTO memberships (account_uid, user_uid, roles, id, created_at)
			SELECT uid, (SELECT MIN(uid) FROM users), '', 'n' || uid, created_at FROM accounts WHERE uid <> 'acc0'`,
		`INSERT INTO security_profiles (id, realm_id, name, roles, password, version, created_at, updated_at)
			VALUES ('sp', 'default', '', '', '{}', 1, 1, 1)`,
		`INSERT INTO security_profile_assignments (party, security_profile_id) SELECT 'user:' || uid, 'sp' FROM users`,
		`INSERT INTO code_requests (id, type, client_id, profile_id, username, email, phone, user_uid, purpose, url,
			trace_id, source, created_at, expires_at, lease_until, ended_at)
			SELECT 'r' || i, '', '', '', '', '', '', '', '', '', '', '', i * 7919 % 1000003, 1, 0, 1 FROM n`,
		`INSERT INTO messages (id, request_id, sender_id, type, user_uid, trace_id, payload_key_id, payload, state, attempts,
			last_error, run_at, lease_until, expires_at, created_at, ended_at)
			SELECT 'm' || i, '', 's' || (i % 2), '', '', '', '', '', 'dead', 1, '', 1, 0, 1, 1, 1 FROM n`,
		`INSERT INTO message_attempts (message_id, number, state, error, began_at, ended_at)
			SELECT 'm' || i, 1, '', '', 1, i * 7919 % 1000003 FROM n`,
		`INSERT INTO audit_events (id, time, action, outcome, client_id, user_uid, username, factor, trace_id, source, object, took)
			SELECT 'e' || i, i * 7919 % 1000003, '', '', '', 'usr' || (i % 3), '', '', '', '', '', 0 FROM n`,
	}
	for i, statement := range statements {
		if strings.Contains(statement, "FROM n") {
			into, selected, _ := strings.Cut(statement, "SELECT")
			statements[i] = into + numbers + " SELECT" + selected
		}
	}
	return statements
}

// longList is a list that a surface can ask for, with the arguments of its scope.
type longList struct {
	args []any
	list func(s *gormstore.Store, q storage.Query) (total int, err error)
	sort []storage.Order
}

func longLists() map[string]longList {
	ctx := context.Background()
	newest := func(field string) []storage.Order { return []storage.Order{{Field: field, Descending: true}} }
	users := func(scope storage.UserScope) func(s *gormstore.Store, q storage.Query) (int, error) {
		return func(s *gormstore.Store, q storage.Query) (int, error) {
			page, err := s.ListUsers(ctx, scope, q)
			return page.Total, err
		}
	}
	memberships := func(scope storage.MembershipScope) func(s *gormstore.Store, q storage.Query) (int, error) {
		return func(s *gormstore.Store, q storage.Query) (int, error) {
			page, err := s.ListMemberships(ctx, scope, q)
			return page.Total, err
		}
	}
	accounts := func(s *gormstore.Store, q storage.Query) (int, error) {
		page, err := s.ListAccounts(ctx, "default", storage.Buyer, q)
		return page.Total, err
	}
	requests := func(s *gormstore.Store, q storage.Query) (int, error) {
		page, err := s.ListRequests(ctx, q)
		return page.Total, err
	}
	deliveries := func(s *gormstore.Store, q storage.Query) (int, error) {
		page, err := s.ListDeliveries(ctx, "", q)
		return page.Total, err
	}
	audit := func(s *gormstore.Store, q storage.Query) (int, error) {
		page, err := s.ListAuditEvents(ctx, q)
		return page.Total, err
	}
	assignments := func(s *gormstore.Store, q storage.Query) (int, error) {
		page, err := s.ListProfileAssignments(ctx, q)
		return page.Total, err
	}
	buyer := storage.UserScope{RealmID: "default", Kind: storage.Buyer, AccountUID: "acc0"}
	return map[string]longList{
		"users of a buyer":       {list: users(buyer), args: []any{"default", "buyer", "acc0"}},
		"users of a realm":       {list: users(storage.UserScope{RealmID: "default"}), args: []any{"default"}, sort: newest("CreatedAt")},
		"users of a kind":        {list: users(storage.UserScope{RealmID: "default", Kind: storage.Buyer}), args: []any{"default", "buyer"}, sort: newest("CreatedAt")},
		"accounts":               {list: accounts, args: []any{"default", "buyer"}},
		"accounts, newest":       {list: accounts, args: []any{"default", "buyer"}, sort: newest("CreatedAt")},
		"members of an account":  {list: memberships(storage.MembershipScope{AccountUID: "acc0"}), args: []any{"acc0"}, sort: newest("CreatedAt")},
		"accounts of a user":     {list: memberships(storage.MembershipScope{UserUID: "usr0"}), args: []any{"usr0"}, sort: newest("CreatedAt")},
		"requests, newest":       {list: requests, sort: newest("CreatedAt")},
		"deliveries, newest":     {list: deliveries, sort: newest("EndedAt")},
		"audit events":           {list: audit},
		"audit events, newest":   {list: audit, sort: newest("ID")},
		"assignments":            {list: assignments},
		"assignments of parties": {list: assignments, sort: []storage.Order{{Field: "Party"}, {Field: "ProfileID"}}},
	}
}

// TestListsUseIndexes explains how the first and the last page of long lists are read. They
// must be read from an index, in the order of the list or its reverse, and not beyond the page.
func TestListsUseIndexes(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		insertRows(t, url, 1_000)
		var c counter
		s := open(t, gormstore.Config{URL: url, OnStatement: c.add})
		for name, l := range longLists() {
			var total int
			ask := func(offset int) string {
				return c.during(t, func() (err error) {
					total, err = l.list(s, storage.Query{Sort: l.sort, Offset: offset, Limit: 20})
					return err
				})[1] // the first statement counts
			}
			first := ask(0)
			last := ask(total - 20)
			if total < 950 || first == last {
				t.Errorf("%s: the last page of %d is read as the first one is: %s", name, total, last)
			}
			for _, statement := range []string{first, last} {
				if plan := explainPage(t, url, statement, append(l.args, 20, 0)); sorted(plan) {
					t.Errorf("%s sorts or reads a whole table:\n%s\n%s", name, statement, plan)
				}
			}
		}
	})
}

// sorted reports whether a plan of either database sorts, or reads a table without an index.
// Rows that are already in memory for the count do not matter.
func sorted(plan string) bool {
	for line := range strings.Lines(strings.ReplaceAll(plan, "SCAN counted", "")) {
		scans := strings.Contains(line, "SCAN ") && !strings.Contains(line, " USING ")
		if scans || strings.Contains(line, "TEMP B-TREE") || strings.Contains(line, "Sort") || strings.Contains(line, "Seq Scan") {
			return true
		}
	}
	return false
}

// explainPage returns the plan for these arguments. PostgreSQL keeps using such plans where the
// generic plan would cost more.
func explainPage(t *testing.T, url, statement string, args []any) string {
	t.Helper()
	if !strings.HasPrefix(url, "sqlite:") {
		return explainFor(t, url, statement, args)
	}
	rows, err := direct(t, url).Query("EXPLAIN QUERY PLAN "+statement, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close() //nolint:errcheck // see rows.Err
	var plan []string
	for rows.Next() {
		var id, parent, unused int
		var line string
		if err := rows.Scan(&id, &parent, &unused, &line); err != nil {
			t.Fatal(err)
		}
		plan = append(plan, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(plan, "\n")
}

func explainFor(t *testing.T, url, statement string, args []any) string {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx) //nolint:errcheck // read only
	rows, err := conn.Query(ctx, "EXPLAIN "+statement, append([]any{pgx.QueryExecModeSimpleProtocol}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// TestEqualNamesUseIndexes explains how a user is found by an email address or a username in
// any case.
func TestEqualNamesUseIndexes(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		insertRows(t, url, 1_000)
		var c counter
		s := open(t, gormstore.Config{URL: url, OnStatement: c.add})
		for field, value := range map[string]string{"Email": "user77@EXAMPLE.com", "Username": "USER77"} {
			q := storage.Query{Limit: 20, Where: []storage.Condition{{
				Fields: []string{field}, Tests: []storage.Test{{Op: storage.OpEqualFold, Value: value}},
			}}}
			count := c.during(t, func() error {
				page, err := s.ListUsers(context.Background(), storage.UserScope{RealmID: "default"}, q)
				if err == nil && page.Total != 1 {
					t.Errorf("got %d users with that %s, want 1", page.Total, field)
				}
				return err
			})[0]
			args := []any{"default", strings.ToLower(value)}
			if plan := explainPage(t, url, count, args); sorted(plan) || !strings.Contains(plan, "_folded") {
				t.Errorf("%s does not use the index of folded names:\n%s\n%s", field, count, plan)
			}
		}
	})
}

// TestSearchesUseIndexes explains how users of all companies are found by a prefix that all
// names have, and how the next page is read.
func TestSearchesUseIndexes(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		insertRows(t, url, 3_000)
		var c counter
		s := open(t, gormstore.Config{URL: url, OnStatement: c.add})
		for field, search := range map[string]struct{ prefix, before, after, last, tie string }{
			"Email": {"USER", "user", "uses", "user77@example.com", "usr1"}, "Username": {"User", "user", "uses", "user77", "lgn77"},
			"LastName": {"l", "l", "m", "l", "usr1"},
		} {
			find := storage.UserSearch{
				RealmID: "default", Kinds: []storage.UserKind{storage.Buyer, storage.Supplier, storage.Admin}, Field: field, Prefix: search.prefix, Limit: 20,
			}
			for _, after := range [][]any{nil, {search.last, search.tie}} {
				statements := c.during(t, func() error {
					page, err := s.SearchUsers(context.Background(), find)
					find.After = page.Next
					return err
				})
				if after != nil && len(statements) != 1 {
					t.Errorf("%s: the next page: got %d statements, want 1", field, len(statements))
				}
				args := append([]any{"default", search.before, search.after}, after...)
				plan := explainPage(t, url, statements[len(statements)-1], append(args, 20, 0))
				// Few addresses and names are equal, so they may be sorted.
				if few := strings.NewReplacer("Incremental Sort", "", "Sort Key", "", "TEMP B-TREE FOR LAST TERM", "", "TEMP B-TREE FOR RIGHT PART", ""); field != "LastName" {
					plan = few.Replace(plan)
				}
				if sorted(plan) || !strings.Contains(plan, "_folded") {
					t.Errorf("%s reads more than it must:\n%s", field, plan)
				}
			}
		}
	})
}

// TestAuditEventsSinceUseTheIndex explains lists of audit events on SQLite, which has no
// index by time. A list from some time on starts there in the index by id.
func TestAuditEventsSinceUseTheIndex(t *testing.T) {
	t.Parallel()
	url := gormtest.SQLite(t)
	var c counter
	s := open(t, gormstore.Config{URL: url, OnStatement: c.add})
	since := storage.Condition{Fields: []string{"Time"}, Tests: []storage.Test{{Op: storage.OpGreaterOrEqual, Value: "2031-05-17T10:20:30Z"}}}
	about := storage.Condition{Fields: []string{"UserUID"}, Tests: []storage.Test{{Op: storage.OpEqual, Value: "u"}}}
	add := []storage.AuditEvent{{Action: "a", UserUID: "u", Time: time.Date(2031, 5, 17, 11, 0, 0, 0, time.UTC)}}
	if err := s.AddAuditEvents(t.Context(), add); err != nil {
		t.Fatal(err)
	}
	sent := c.during(t, func() error {
		_, err := s.ListAuditEvents(t.Context(), storage.Query{Where: []storage.Condition{since, about}, Sort: []storage.Order{{Field: "ID", Descending: true}}, Limit: 10})
		return err
	})
	if len(sent) != 2 {
		t.Fatalf("got the statements %q, want the count and the page", sent)
	}
	db := direct(t, url)
	for _, statement := range sent {
		args := make([]any, strings.Count(statement, "?"))
		for i := range args {
			args[i] = 1
		}
		rows, err := db.Query("EXPLAIN QUERY PLAN "+statement, args...)
		if err != nil {
			t.Fatal(err)
		}
		plan := ""
		for rows.Next() {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			plan += detail + "\n"
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(plan, "(id>?)") {
			t.Errorf("%s\nreads more than the events since then:\n%s", statement, plan)
		}
	}
}
