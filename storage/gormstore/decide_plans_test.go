package gormstore_test

import (
	"context"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"latchkey/storage"
	"latchkey/storage/gormstore"
	"latchkey/storage/gormstore/gormtest"
)

// TestPrincipalUsesIndexes explains the statement as the database gets it. PostgreSQL would
// read the small tables of a test as a whole, so the test forbids it. A plan that does so
// nevertheless has no index to use.
func TestPrincipalUsesIndexes(t *testing.T) {
	t.Parallel()
	url := gormtest.Postgres(t).Database(t)
	var c counter
	s := open(t, gormstore.Config{URL: url, OnStatement: c.add})
	key := seed(t, s)
	ctx := context.Background()
	statement := func(call func() error) string {
		t.Helper()
		return c.during(t, call)[0]
	}
	statement(func() error {
		return s.SettleLogin(ctx, storage.Settlement{LoginID: "lgn", BeginFamily: &storage.TokenFamily{ID: "fam"}, Now: noon})
	})
	known := storage.Principal{Known: true, Login: storage.Login{ID: "lgn"}, Source: storage.Source{ID: "src"}}
	known.Lockout.Version = 1
	remembers := storage.Settlement{LoginID: "lgn", Remember: &storage.Source{ID: "src", Address: "a", SeenAt: noon}, Now: noon}
	for name, sql := range map[string]string{
		"SettleLogin that remembers": statement(func() error { return s.SettleLogin(ctx, remembers) }),
		"SettleLogin from a source": statement(func() error {
			return s.SettleLogin(ctx, storage.Settlement{LoginID: "lgn", SourceID: "src", Now: noon})
		}),
		"RecordFailure from a source": statement(func() error { return s.RecordFailure(ctx, known, storage.Lockout{}, nil) }),
		"Principal":                   statement(func() error { _, err := s.Principal(ctx, key); return err }),
		"Recipients by e-mail": statement(func() error {
			_, err := s.Recipients(ctx, storage.CodeRequest{ProfileID: "default"}, "", "bob@example.com")
			return err
		}),
		"TokenStatus":       statement(func() error { _, err := s.TokenStatus(ctx, storage.TokenRef{JTI: "j", FamilyID: "f"}); return err }),
		"PrincipalOf":       statement(func() error { _, err := s.PrincipalOf(ctx, "lgn"); return err }),
		"Family":            statement(func() error { _, err := s.Family(ctx, "fam"); return err }),
		"SpendID":           statement(func() error { return s.SpendID(ctx, []byte{1}, noon) }),
		"Unlock":            statement(func() error { return s.Unlock(ctx, "lgn", noon) }),
		"Members":           statement(func() error { _, err := s.Members(ctx, "usr", 0, 25); return err }),
		"Member":            statement(func() error { _, err := s.Member(ctx, "usr", "acc"); return err }),
		"ClaimMessages":     statement(func() error { _, err := s.ClaimMessages(ctx, noon, noon, 1); return err }),
		"ClaimCodeRequests": statement(func() error { _, err := s.ClaimCodeRequests(ctx, noon, noon, 1); return err }),
		"WaitingRequests":   statement(func() error { _, err := s.WaitingRequests(ctx, noon, noon); return err }),
		"EndUnknownRequests": statement(func() error {
			_, err := s.EndUnknownRequests(ctx, make([]storage.RequestNames, 3))
			return err
		}),
		"ExpireMessages": statement(func() error { _, err := s.ExpireMessages(ctx, noon, 1); return err }),
	} {
		plan := explain(t, url, sql)
		if strings.Contains(plan, "Seq Scan") {
			t.Errorf("%s reads a whole table, want an index:\n%s", name, plan)
		}
	}
}

// TestPlansWithoutStatistics explains what decides at once in a new database. A server
// keeps that plan until autovacuum has counted the rows, so it must not depend on there
// being few of them: a hash join reads all rows that have the value of one column.
func TestPlansWithoutStatistics(t *testing.T) {
	t.Parallel()
	url := gormtest.Postgres(t).Database(t)
	var c counter
	s := open(t, gormstore.Config{URL: url, OnStatement: c.add})
	for name, call := range map[string]func() error{
		"RedeemCode": func() error {
			_, _, err := s.RedeemCode(t.Context(), storage.Redemption{Grants: make([]storage.RoleGrant, 1)})
			return err
		},
		"UseFamily": func() error { _, _, err := s.UseFamily(t.Context(), storage.FamilyUse{}); return err },
	} {
		plan := explain(t, url, c.during(t, call)[0])
		if strings.Contains(plan, "Hash") || strings.Contains(plan, "Seq Scan") {
			t.Errorf("%s does not look its rows up:\n%s", name, plan)
		}
	}
}

// explain returns the generic plan, which PostgreSQL chooses for prepared statements in the
// end. settings are further SET statements.
func explain(t *testing.T, url, sql string, settings ...string) string {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx) //nolint:errcheck // read only
	for _, set := range append(settings, "SET enable_seqscan = off", "SET plan_cache_mode = force_generic_plan", "PREPARE x AS "+sql) {
		if _, err := conn.Exec(ctx, set); err != nil {
			t.Fatal(err)
		}
	}
	execute := "EXPLAIN EXECUTE x"
	n := 0
	for strings.Contains(sql, "$"+strconv.Itoa(n+1)) {
		n++
	}
	if n > 0 {
		execute += "(NULL" + strings.Repeat(", NULL", n-1) + ")"
	}
	rows, err := conn.Query(ctx, execute)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// TestHotUpdatesNeedNoIndexes holds the columns that each sign-in, refresh or request for a
// code writes out of the indexes. PostgreSQL then updates no index, if there is room in the
// page (heap-only tuples), which the tables leave.
func TestHotUpdatesNeedNoIndexes(t *testing.T) {
	t.Parallel()
	url := gormtest.Postgres(t).Database(t)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background()) //nolint:errcheck // read only
	for table, written := range map[string]string{
		"logins": "active code_id code_request_id code_client_id code_purpose code_pepper_id code_digest code_name_digest " +
			"code_mailed_to code_issued_at code_expires_at code_used_at code_seq last_active_at lockout_version failures " +
			"last_failure_at locked_until codes_failures codes_last_failure_at codes_locked_until",
		"families":    "generation rotated_at rotations idle_until",
		"send_limits": "tat gap depth long_tat long_gap long_depth",
	} {
		var room bool
		if err := conn.QueryRow(t.Context(), "SELECT coalesce(reloptions::text LIKE '%fillfactor=%', FALSE) FROM pg_class WHERE oid = $1::regclass", table).Scan(&room); err != nil {
			t.Fatal(err)
		}
		if !room {
			t.Errorf("the table %s has no fillfactor", table)
		}
		rows, err := conn.Query(t.Context(), "SELECT indexdef FROM pg_indexes WHERE tablename = $1", table)
		if err != nil {
			t.Fatal(err)
		}
		indexes, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || len(indexes) == 0 {
			t.Fatalf("indexes of %s: %q, %v", table, indexes, err)
		}
		for _, index := range indexes {
			for column := range strings.FieldsSeq(written) {
				if regexp.MustCompile(`\b` + column + `\b`).MatchString(index) {
					t.Errorf("each update of %s writes to all indexes because of one: %s", column, index)
				}
			}
		}
	}
}
