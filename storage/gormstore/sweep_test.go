package gormstore_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/storage/gormstore"
	"latchkey/storage/gormstore/gormtest"
)

// insertSpentIDs inserts IDs that have expired.
func insertSpentIDs(tb testing.TB, s *gormstore.Store, ids int) {
	tb.Helper()
	insert := "INSERT INTO spent_ids (id, expires_at) SELECT CAST(CAST(n AS TEXT) AS BYTEA), n FROM generate_series(1, ?) AS n"
	if s.Dialect() == "sqlite" {
		insert = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?) " +
			"INSERT INTO spent_ids (id, expires_at) SELECT CAST(CAST(n AS TEXT) AS BLOB), n FROM numbers"
	}
	if err := s.Exec(context.Background(), insert, ids); err != nil {
		tb.Fatal(err)
	}
}

// TestSweepersShareTheWork starts a sweep and does not commit it. Another sweep must delete
// other rows without waiting.
func TestSweepersShareTheWork(t *testing.T) {
	t.Parallel()
	url := gormtest.Postgres(t).Database(t)
	one, other := open(t, gormstore.Config{URL: url}), open(t, gormstore.Config{URL: url})
	insertSpentIDs(t, one, 25)
	sweep := func(ctx context.Context, s *gormstore.Store, want int) {
		t.Helper()
		if n, err := s.SweepTable(ctx, "spent_ids", noon, 10); err != nil || n != want {
			t.Errorf("swept %d rows, want %d; error %v", n, want, err)
		}
	}
	err := one.InTx(t.Context(), func(ctx context.Context) error {
		sweep(ctx, one, 10)
		sweep(t.Context(), other, 10)
		sweep(t.Context(), other, 5)
		sweep(t.Context(), other, 0)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	sweep(t.Context(), other, 0)
}

// TestSweepersDeleteEverything counts the rows that three sweepers delete at the same time.
func TestSweepersDeleteEverything(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		const rows, sweepers, limit = 6000, 3, 500
		stores := make([]*gormstore.Store, sweepers)
		for i := range stores {
			stores[i] = open(t, gormstore.Config{URL: url, Relaxed: true})
		}
		insertSpentIDs(t, stores[0], rows)
		var sweeping sync.WaitGroup
		deleted := make([]int, sweepers)
		for i, s := range stores {
			sweeping.Go(func() {
				for {
					n, err := s.SweepTable(t.Context(), "spent_ids", noon, limit)
					if deleted[i] += n; err != nil || n > limit {
						t.Errorf("swept %d rows; error %v", n, err)
					}
					if n == 0 || err != nil {
						return
					}
				}
			})
		}
		sweeping.Wait()
		if total := deleted[0] + deleted[1] + deleted[2]; total != rows {
			t.Errorf("got %v deleted rows, want %d together", deleted, rows)
		}
	})
}

// TestSweepUsesIndexes explains the statements that find expired rows. They read in the order
// of an index, so that a batch costs the same in a table of any size.
func TestSweepUsesIndexes(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		var c counter
		s := open(t, gormstore.Config{URL: url, OnStatement: c.add})
		statements := c.during(t, func() error {
			_, err := s.Sweep(t.Context(), noon, 100)
			return err
		})
		statements = append(slices.Clone(statements), c.during(t, func() error {
			_, err := s.Overdue(t.Context(), noon)
			return err
		})...)
		if len(statements) < 14 {
			t.Errorf("got %d statements", len(statements))
		}
		for _, sql := range statements {
			plan, bad := "", []string{"Seq Scan", "Sort"}
			if s.Dialect() == "postgres" {
				plan = explain(t, url, sql, "SET enable_sort = off", "SET enable_bitmapscan = off")
			} else {
				plan, bad = explainSQLite(t, url, sql), []string{"TEMP B-TREE"}
			}
			for _, line := range strings.Split(plan, "\n") {
				scans := strings.HasPrefix(line, "SCAN ") && !strings.Contains(line, "USING") && !strings.Contains(line, "CONSTANT ROW")
				if scans || slices.ContainsFunc(bad, func(word string) bool { return strings.Contains(line, word) }) {
					t.Errorf("%s\ndoes not use an index:\n%s", sql, plan)
				}
			}
		}
	})
}

func explainSQLite(t *testing.T, url, sql string) string {
	t.Helper()
	rows, err := direct(t, url).Query("EXPLAIN QUERY PLAN "+sql, make([]any, strings.Count(sql, "?"))...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close() //nolint:errcheck // read only
	var plan strings.Builder
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		plan.WriteString(detail + "\n")
	}
	if rows.Err() != nil || plan.Len() == 0 {
		t.Fatal("no plan", rows.Err())
	}
	return plan.String()
}

// BenchmarkSweep deletes the rows of one table, by one sweeper and by three at the same time.
func BenchmarkSweep(b *testing.B) {
	const rows, limit = 100_000, 4000
	for _, sweepers := range []int{1, 3} {
		for dialect, fresh := range map[string]func() string{
			"sqlite":   func() string { return gormtest.SQLite(b) },
			"postgres": func() string { return syncedPostgres(b).Database(b) },
		} {
			b.Run(fmt.Sprintf("%s/sweepers=%d", dialect, sweepers), func(b *testing.B) {
				url := fresh()
				stores := make([]*gormstore.Store, sweepers)
				for i := range stores {
					stores[i] = open(b, gormstore.Config{URL: url})
				}
				var took time.Duration
				for range b.N {
					insertSpentIDs(b, stores[0], rows)
					began := time.Now()
					var sweeping sync.WaitGroup
					for _, s := range stores {
						sweeping.Go(func() {
							for {
								if n, err := s.SweepTable(b.Context(), "spent_ids", noon, limit); err != nil || n == 0 {
									return
								}
							}
						})
					}
					sweeping.Wait()
					took += time.Since(began)
				}
				b.ReportMetric(float64(b.N*rows)/took.Seconds(), "rows/s")
			})
		}
	}
}
