package gormstore_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/storage"
	"latchkey/storage/gormstore"
	"latchkey/storage/gormstore/gormtest"
	"latchkey/storage/storetest/pgtest"
)

// TestPostgresStops kills a PostgreSQL server and starts it again. It must not lose anything
// that it has acknowledged.
func TestPostgresStops(t *testing.T) {
	t.Parallel()
	server, err := pgtest.Start(pgtest.Config{Migrate: gormtest.Migrate})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	var c counter
	s := open(t, gormstore.Config{URL: server.Database(t), OnStatement: c.add})
	key := seed(t, s)
	listening(t, s)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	before, err := s.Principal(ctx, key)
	if err != nil {
		t.Fatal(err)
	}

	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"Principal":   func() error { _, err := s.Principal(ctx, key); return err },
		"SettleLogin": func() error { return s.SettleLogin(ctx, storage.Settlement{LoginID: "lgn", Now: noon}) },
		"RecordFailure": func() error {
			return s.RecordFailure(ctx, before, storage.Lockout{Failures: 1, LastFailureAt: noon}, nil)
		},
		"InTx": func() error { return s.InTx(ctx, s.Ping) },
		"Ping": func() error { return s.Ping(ctx) },
	} {
		if err := call(); !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("%s of a stopped server: got error %v, want ErrUnavailable", name, err)
		}
	}
	if ctx.Err() != nil {
		t.Fatal("the calls took until their deadline")
	}

	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	after, err := s.Principal(ctx, key)
	for errors.Is(err, storage.ErrUnavailable) && ctx.Err() == nil { // each broken connection may fail once
		after, err = s.Principal(ctx, key)
	}
	if diff := cmp.Diff(before, after); diff != "" || err != nil {
		t.Fatalf("error %v, principal (-before +after):\n%s", err, diff)
	}
	memory := func() error { _, err := s.Client(ctx, "web"); return err }
	for len(c.during(t, memory)) > 0 { // until the listener is connected again
		if ctx.Err() != nil {
			t.Fatal("the store does not listen for changes again")
		}
	}
}

// TestSQLiteBusy holds the write lock in another connection for longer than the caller waits.
func TestSQLiteBusy(t *testing.T) {
	t.Parallel()
	url := gormtest.SQLite(t)
	s := open(t, gormstore.Config{URL: url})
	key := seed(t, s)
	other, err := sql.Open("sqlite", "file:"+strings.TrimPrefix(url, "sqlite:")+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close() //nolint:errcheck // only holds a lock
	tx, err := other.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	err = s.SettleLogin(ctx, storage.Settlement{LoginID: "lgn", Now: noon})
	if !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("SettleLogin: got %v, want ErrUnavailable", err)
	}
	if _, err := s.Principal(context.Background(), key); err != nil {
		t.Errorf("a read waits for the writer: got %v, want no error", err)
	}
}

func TestSQLiteGone(t *testing.T) {
	t.Parallel()
	_, err := gormstore.Open(context.Background(), gormstore.Config{
		URL: "sqlite:" + filepath.Join(t.TempDir(), "no", "such", "directory.db"),
	})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got error %v, want ErrUnavailable", err)
	}
}

func TestClosedStore(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		s, err := gormstore.Open(context.Background(), gormstore.Config{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := s.Ping(context.Background()); !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("Ping: got %v, want ErrUnavailable", err)
		}
	})
}
