package gormstore_test

import (
	"errors"
	"testing"

	"latchkey/storage/gormstore"
)

// TestServersLeftBehind: a row that does not move between two looks was left
// behind by a server that was killed, and one that moves was not.
func TestServersLeftBehind(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		s, ctx := open(t, gormstore.Config{URL: url}), t.Context()
		wait := func(string) { t.Error("a server with the same issuer waits") }
		register := func() *gormstore.Registration {
			r, err := s.RegisterServer(ctx, "https://one.example", wait)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		running, alive, killed := register(), register(), register()
		for range 2 {
			if err := errors.Join(alive.Beat(ctx), running.Tidy(ctx)); err != nil {
				t.Fatal(err)
			}
		}
		for r, want := range map[*gormstore.Registration]bool{running: true, alive: true, killed: false} {
			if got, err := r.Listed(ctx); err != nil || got != want {
				t.Errorf("listed %t, %v, want %t", got, err, want)
			}
		}
		if err := killed.Beat(ctx); err != nil { // it was frozen
			t.Fatal(err)
		}
		if got, err := killed.Listed(ctx); err != nil || !got {
			t.Errorf("a server that goes on is listed: %t, %v", got, err)
		}
		if err := errors.Join(running.End(ctx), alive.End(ctx), killed.End(ctx)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.RegisterServer(ctx, "https://two.example", wait); err != nil {
			t.Errorf("another issuer afterwards: %v", err)
		}
	})
}
