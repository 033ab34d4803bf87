package gormstore_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/storage"
	"latchkey/storage/gormstore"
	"latchkey/storage/gormstore/gormtest"
)

// alter executes a statement outside the store.
func alter(t *testing.T, url, sql string) {
	t.Helper()
	s := open(t, gormstore.Config{URL: url})
	if err := s.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

// databaseOf returns the name of the database in its URL.
func databaseOf(t *testing.T, text string) string {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(u.Path, "/")
}

// TestSerializableByDefault runs statements at the same time on a database whose default
// isolation is serializable, with and without a pooler. They are written for read committed.
func TestSerializableByDefault(t *testing.T) {
	t.Parallel()
	for name, reach := range map[string]func(t *testing.T, url string) string{
		"directly": func(_ *testing.T, url string) string { return url },
		"through a pooler": func(t *testing.T, url string) string {
			t.Helper()
			return gormtest.Postgres(t).Pooler(t, 8).URL(url)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			direct := gormtest.Postgres(t).Database(t)
			alter(t, direct, "ALTER DATABASE "+databaseOf(t, direct)+" SET default_transaction_isolation = serializable")
			s := open(t, gormstore.Config{URL: reach(t, direct)})
			seed(t, s)
			for _, scope := range []func(func(context.Context) error) error{
				func(do func(context.Context) error) error { return do(t.Context()) },
				func(do func(context.Context) error) error { return s.InTx(t.Context(), do) },
			} {
				err := scope(func(ctx context.Context) error {
					got, err := s.Setting(ctx, "transaction_isolation")
					if got != "read committed" {
						t.Errorf("got isolation %q, error %v", got, err)
					}
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
			errs := make(chan error, 30)
			var group sync.WaitGroup
			for i := range cap(errs) {
				group.Go(func() {
					errs <- s.AddCodeRequest(t.Context(), storage.CodeRequest{ID: fmt.Sprint("r", i), CreatedAt: noon, ExpiresAt: noon},
						storage.Charge{Key: "limit of all", Gap: time.Second, Burst: cap(errs)})
				})
			}
			group.Wait()
			close(errs)
			for err := range errs {
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestDeadlock locks the same rows in opposite order in two transactions. The database undoes
// one of them, and the store repeats it.
func TestDeadlock(t *testing.T) {
	t.Parallel()
	s := open(t, gormstore.Config{URL: gormtest.Postgres(t).Database(t)})
	seed(t, s)
	ctx := t.Context()
	if _, err := s.PutRealm(ctx, storage.Realm{ID: "other"}); err != nil {
		t.Fatal(err)
	}
	first := make(chan struct{})
	var begun sync.WaitGroup
	begun.Add(2)
	var once sync.Once
	rename := func(ids ...string) error {
		attempts := 0
		return s.InTx(ctx, func(ctx context.Context) error {
			attempts++
			for i, id := range ids {
				if _, err := s.PutRealm(ctx, storage.Realm{ID: id, Name: fmt.Sprint("of ", ids)}); err != nil {
					return err
				}
				if i == 0 && attempts == 1 {
					begun.Done()
					go once.Do(func() { begun.Wait(); close(first) })
					<-first // both have locked a row
				}
			}
			return nil
		})
	}
	errs := make(chan error, 2)
	go func() { errs <- rename("default", "other") }()
	go func() { errs <- rename("other", "default") }()
	for range 2 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
