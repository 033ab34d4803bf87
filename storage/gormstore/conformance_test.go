package gormstore_test

import (
	"context"
	"testing"

	"latchkey/storage/gormstore"
	"latchkey/storage/gormstore/gormtest"
	"latchkey/storage/storetest"
)

// open opens a store and closes it at the end of the test.
func open(tb testing.TB, cfg gormstore.Config) *gormstore.Store {
	tb.Helper()
	s, err := gormstore.Open(context.Background(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	s.ChainAuditEvents(auditKeys{"k1": "secret"})
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// onBoth runs a test on both databases. Each run gets the URL of a new, migrated database.
func onBoth(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, gormtest.SQLite(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, gormtest.Postgres(t).Database(t))
	})
}

func TestConformance(t *testing.T) {
	t.Parallel()
	run := storetest.Run
	if testing.Short() {
		run = storetest.RunBriefly
	}
	for dialect, fresh := range map[string]func(*testing.T) string{
		"sqlite":   func(t *testing.T) string { return gormtest.SQLite(t) },
		"postgres": func(t *testing.T) string { return gormtest.Postgres(t).Database(t) },
	} {
		t.Run(dialect, func(t *testing.T) {
			t.Parallel()
			run(t, func(t *testing.T) storetest.Database {
				url := fresh(t)
				return func(t *testing.T) storetest.Store {
					// With two connections, a method that takes a second connection inside a
					// transaction would hang.
					return open(t, gormstore.Config{URL: url, MaxConns: 2, Relaxed: true})
				}
			})
		})
	}
}
