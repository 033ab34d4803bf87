package gormstore_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"latchkey/storage"
	"latchkey/storage/gormstore"
	"latchkey/storage/gormstore/gormtest"
	"latchkey/storage/storetest"
)

// TestConformanceBehindPooler runs the suite of all stores through PgBouncer in transaction
// mode. The URL has no special parameters.
func TestConformanceBehindPooler(t *testing.T) {
	t.Parallel()
	pooler := gormtest.Postgres(t).Pooler(t, 8)
	storetest.RunBriefly(t, func(t *testing.T) storetest.Database {
		url := pooler.URL(gormtest.Postgres(t).Database(t))
		return func(t *testing.T) storetest.Store {
			return open(t, gormstore.Config{URL: url, MaxConns: 2})
		}
	})
}

// awaitHearsBy waits until the store learns of changes in the wanted way.
func awaitHearsBy(t *testing.T, s *gormstore.Store, want gormstore.HearsBy) {
	t.Helper()
	for end := time.Now().Add(3 * time.Minute); s.HearsBy() != want; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("learns of changes by %s, want %s", s.HearsBy(), want)
		}
	}
}

// TestChangesBehindPooler tests that a store learns of changes although notifications do not
// pass the pooler. With a direct URL it learns of them by notifications.
func TestChangesBehindPooler(t *testing.T) {
	t.Parallel()
	direct := gormtest.Postgres(t).Database(t)
	pooled := gormtest.Postgres(t).Pooler(t, 4).URL(direct)
	var log lines
	asking := open(t, gormstore.Config{URL: pooled, Logger: zerolog.New(&log)})
	listens := open(t, gormstore.Config{URL: pooled, DirectURL: direct})
	seed(t, asking)
	heard, notified := listening(t, asking), listening(t, listens)
	awaitHearsBy(t, listens, gormstore.HearsByNotice)
	ctx := t.Context()
	for i := range 20 {
		if _, err := listens.PutClient(ctx, storage.Client{ID: fmt.Sprint("c", i), ProfileID: "default", Active: true}); err != nil {
			t.Fatal(err)
		}
		c, err := listens.Client(ctx, "web")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := asking.Client(ctx, "web"); err != nil { // fill the cache
			t.Fatal(err)
		}
		c.Active = !c.Active
		changing, other, changes := listens, asking, heard
		if i%2 == 0 {
			changing, other, changes = asking, listens, notified
		}
		if _, err := changing.PutClient(ctx, c); err != nil {
			t.Fatal(err)
		}
		for {
			if got, err := other.Client(ctx, "web"); err != nil || got.Active == c.Active {
				if err != nil {
					t.Fatal(err)
				}
				break
			}
			<-changes
		}
	}
	for !strings.Contains(log.String(), "notifications of the database do not arrive") {
		if asking.HearsBy() != gormstore.HearsByAsking {
			t.Fatalf("learns of changes by %s, and the log does not say so:\n%s", asking.HearsBy(), log.String())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestFrozenPooler freezes the pooler, so that no connection is closed. The store must stop
// answering from its cache in time, and answer again when the pooler continues. No other test
// of the package runs at that time, because their poolers share the database server.
func TestFrozenPooler(t *testing.T) {
	pooler := gormtest.Postgres(t).Pooler(t, 4)
	s := open(t, gormstore.Config{URL: pooler.URL(gormtest.Postgres(t).Database(t))})
	seed(t, s)
	listening(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	client := func(onBusyMachine time.Duration) error {
		ctx, cancel := context.WithTimeout(ctx, onBusyMachine)
		defer cancel()
		_, err := s.Client(ctx, "web")
		return err
	}
	for client(10*time.Second) != nil && ctx.Err() == nil { // fill the cache
	}
	if err := pooler.Freeze(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for client(100*time.Millisecond) == nil && ctx.Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("the store answered from its cache for %s", took)
	}
	if err := pooler.Thaw(); err != nil {
		t.Fatal(err)
	}
	for err := client(10 * time.Second); err != nil; err = client(10 * time.Second) {
		if t.Logf("after the pooler continued: %v", err); ctx.Err() != nil {
			t.Fatal("the store does not answer again")
		}
	}
}

// lines is a log that can be read while it is written.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
