package gormstore_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"latchkey/storage"
	"latchkey/storage/gormstore"
	"latchkey/storage/gormstore/gormtest"
	"latchkey/storage/storetest/pgtest"
)

// signIn settles one sign-in within a second, the time that a request has.
func signIn(ctx context.Context, s *gormstore.Store) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return s.SettleLogin(ctx, storage.Settlement{LoginID: "lgn", Now: noon})
}

// TestFailover promotes a standby while two stores sign users in. Both must continue at the new
// primary, however the old one ended.
func TestFailover(t *testing.T) {
	t.Parallel()
	type outage struct{ begin, end func(*pgtest.Server) error }
	for name, lost := range map[string]outage{
		"the primary crashes": {(*pgtest.Server).Stop, func(*pgtest.Server) error { return nil }},
		"the primary hangs":   {(*pgtest.Server).Freeze, (*pgtest.Server).Thaw},
		"the primary takes no more writes": {
			func(s *pgtest.Server) error {
				return s.Exec("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
			},
			func(s *pgtest.Server) error {
				return s.Exec("ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			primary := pgtest.StartReplicated(t, pgtest.Config{Migrate: gormtest.Migrate, Relaxed: true})
			database := primary.Database(t)
			standby := primary.Standby(t)
			url := pgtest.URLOf(database, primary, standby)
			here, there := open(t, gormstore.Config{URL: url}), open(t, gormstore.Config{URL: url})
			seed(t, here)
			heard := listening(t, here)
			listening(t, there)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			for range 20 { // fills the pools
				for _, s := range []*gormstore.Store{here, there} {
					go func() { _ = signIn(ctx, s) }()
				}
			}
			primary.CatchUp(t, standby)

			if err := lost.begin(primary); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := lost.end(primary); err != nil {
					t.Error(err)
				}
			})
			for signIn(ctx, here) == nil { // reads that had begun may still succeed
			}
			if err := standby.Promote(); err != nil {
				t.Fatal(err)
			}
			promoted := time.Now()
			for _, s := range []*gormstore.Store{here, there} {
				for err := signIn(ctx, s); err != nil; err = signIn(ctx, s) {
					if !errors.Is(err, storage.ErrUnavailable) || ctx.Err() != nil {
						t.Fatal(err)
					}
				}
			}
			took := time.Since(promoted)
			t.Logf("sign-ins succeed %s after the promotion", took)
			if took > onBusyMachine(5*time.Second) {
				t.Error("sign-ins continued too late")
			}
			for range 20 {
				if err := signIn(ctx, here); err != nil {
					t.Errorf("a connection to the old primary was used again: %v", err)
				}
			}
			c, err := there.Client(ctx, "web")
			for ; errors.Is(err, storage.ErrUnavailable); c, err = there.Client(ctx, "web") {
			}
			c.Name = "changed at the new primary"
			if _, err := there.PutClient(ctx, c); err != nil {
				t.Fatal(err)
			}
			for got := ""; got != c.Name; {
				if client, err := here.Client(ctx, "web"); err == nil {
					got = client.Name
				}
				select {
				case <-heard:
				case <-time.After(10 * time.Millisecond):
				case <-ctx.Done():
					t.Fatal("the change at the new primary did not arrive")
				}
			}
		})
	}
}

// onBusyMachine multiplies a time limit by what a busy machine needs.
func onBusyMachine(d time.Duration) time.Duration { return 4 * d }
