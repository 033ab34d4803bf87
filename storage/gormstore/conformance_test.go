package gormstore_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"latchkey/storage/gormstore"
	"latchkey/storage/storetest"
	"latchkey/storage/storetest/pgtest"
)

// postgres is the server that the tests of this package share. It does not wait for the disk,
// because these tests do not crash the machine.
var postgres = pgtest.Shared(pgtest.Config{Migrate: migrate, Relaxed: true})

func migrate(url string) error {
	ctx := context.Background()
	s, err := gormstore.Open(ctx, gormstore.Config{URL: url})
	if err != nil {
		return err
	}
	defer s.Close() //nolint:errcheck // the schema is there
	return s.Migrate(ctx)
}

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

// template returns the file of a new, migrated SQLite database. The migration takes longer than
// most tests, so it runs once.
var template = sync.OnceValues(func() (file []byte, err error) {
	dir, err := os.MkdirTemp("", "latchkey-*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "latchkey.db")
	if err := migrate("sqlite:" + path); err != nil {
		return nil, err
	}
	return os.ReadFile(path) // complete: closing the last connection empties the WAL
})

// sqliteFile returns the URL of a new, migrated SQLite database.
func sqliteFile(tb testing.TB) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "latchkey.db")
	file, err := template()
	if err == nil {
		err = os.WriteFile(path, file, 0o600)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return "sqlite:" + path
}

// onBoth runs a test on both databases. Each run gets the URL of a new, migrated database.
func onBoth(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, sqliteFile(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, postgres(t).Database(t))
	})
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for dialect, fresh := range map[string]func(*testing.T) string{
		"sqlite":   func(t *testing.T) string { return sqliteFile(t) },
		"postgres": func(t *testing.T) string { return postgres(t).Database(t) },
	} {
		t.Run(dialect, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(t *testing.T) storetest.Database {
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
