package gormstore_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"latchkey/storage/gormstore"
	"latchkey/storage/gormstore/gormtest"
)

// registerServer registers the store as a server. A server does so before it is ready.
func registerServer(t *testing.T, s *gormstore.Store) {
	t.Helper()
	registration, err := s.RegisterServer(t.Context(), "http://issuer", func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = registration.End(context.Background()) }) // the database may be gone
}

// awaitReady waits until Ready returns an error that contains want, or none if want is empty.
func awaitReady(t *testing.T, s *gormstore.Store, want string) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		err := s.Ready(t.Context())
		reason, ok := errors.AsType[gormstore.NotReady](err)
		if err == nil && want == "" || ok && reason.Reason == want {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("got error %v, want %q", err, want)
		}
	}
}

// TestReadyOnFullDisk fills the file system of an SQLite database.
func TestReadyOnFullDisk(t *testing.T) {
	t.Parallel()
	s := open(t, gormstore.Config{URL: gormtest.SQLite(t)})
	registerServer(t, s)
	awaitReady(t, s, "")
	if err := s.LimitPages(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ { // until the file has no free pages
		if err := s.Exec(t.Context(), "INSERT INTO spent_ids (id, expires_at) VALUES (randomblob(2000), ?)", i); err != nil {
			break
		}
	}
	awaitReady(t, s, "the disk of the database is full")
	if err := s.LimitPages(t.Context(), 1<<30); err != nil {
		t.Fatal(err)
	}
	awaitReady(t, s, "")
}

func TestReadyReadOnly(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		s := open(t, gormstore.Config{URL: gormtest.SQLite(t)})
		registerServer(t, s)
		awaitReady(t, s, "")
		if err := s.Exec(t.Context(), "PRAGMA query_only = 1"); err != nil {
			t.Fatal(err)
		}
		awaitReady(t, s, "the database takes no writes")
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		url := gormtest.Postgres(t).Database(t)
		s := open(t, gormstore.Config{URL: url})
		registerServer(t, s)
		awaitReady(t, s, "")
		alter(t, url, "ALTER DATABASE "+databaseOf(t, url)+" SET default_transaction_read_only = on")
		alter(t, url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
		awaitReady(t, s, "the database takes no writes")
	})
}

// TestReadyFrozenDatabase tests that Ready answers in time although the database does not.
func TestReadyFrozenDatabase(t *testing.T) {
	t.Parallel()
	pooler := gormtest.Postgres(t).Pooler(t, 4)
	s := open(t, gormstore.Config{URL: pooler.URL(gormtest.Postgres(t).Database(t))})
	registerServer(t, s)
	awaitReady(t, s, "")
	if err := pooler.Freeze(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	awaitReady(t, s, "the database does not answer")
	if took := time.Since(began); took > onBusyMachine(4*time.Second) {
		t.Errorf("Ready answered after %s", took)
	}
	if err := pooler.Thaw(); err != nil {
		t.Fatal(err)
	}
	awaitReady(t, s, "")
}
