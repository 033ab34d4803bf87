// Package gormtest provides migrated databases for tests.
package gormtest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"latchkey/storage/gormstore"
	"latchkey/storage/storetest/pgtest"
)

// Migrate creates the schema of the database at a URL.
func Migrate(url string) error {
	ctx := context.Background()
	store, err := gormstore.Open(ctx, gormstore.Config{URL: url})
	if err != nil {
		return err
	}
	return errors.Join(store.Migrate(ctx), store.Close())
}

// Postgres returns the PostgreSQL server of this test process. Its databases are migrated and
// empty. It does not wait for the disk, because its tests do not crash the machine.
var Postgres = pgtest.Shared(pgtest.Config{Relaxed: true, Migrate: Migrate})

// migratedFile returns the content of a migrated SQLite database. Migrating takes longer than
// most tests, so each test process does it once.
var migratedFile = sync.OnceValues(func() (file []byte, err error) {
	dir, err := os.MkdirTemp("", "latchkey-*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "latchkey.db")
	if err := Migrate("sqlite:" + path); err != nil {
		return nil, err
	}
	return os.ReadFile(path) // complete: closing the last connection empties the WAL
})

// SQLite returns the URL of a new, migrated SQLite database. It is deleted when the test ends.
func SQLite(tb testing.TB) (url string) {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "latchkey.db")
	file, err := migratedFile()
	if err == nil {
		err = os.WriteFile(path, file, 0o600)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return "sqlite:" + path
}
