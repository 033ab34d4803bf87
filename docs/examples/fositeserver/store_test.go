package main

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"latchkey/storage"
)

// storeWithCode returns a store with the user Jane and a live code of hers, and the time.
func storeWithCode() (*store, time.Time) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	s := newStore(nil, nil, func() time.Time { return now })
	s.users["jane"] = &user{Email: "jane@example.com"}
	s.state("jane").code = storage.Code{ID: "otc_1", Purpose: storage.PurposeSignIn, ExpiresAt: now.Add(time.Minute)}
	return s, now
}

var janesKey = storage.LoginKey{ProfileID: profileID, UsernameKey: "jane", Source: "203.0.113.7"}

// TestStoreUsesACodeOnce checks that one of many concurrent settlements of a code succeeds.
func TestStoreUsesACodeOnce(t *testing.T) {
	t.Parallel()
	s, now := storeWithCode()
	var succeeded atomic.Int64
	var settlements sync.WaitGroup
	for range 16 {
		settlements.Go(func() {
			err := s.SettleLogin(t.Context(), storage.Settlement{LoginID: "lgn_jane", CodeID: "otc_1", Now: now})
			if err == nil {
				succeeded.Add(1)
			} else if !errors.Is(err, storage.ErrRefused) {
				t.Error(err)
			}
		})
	}
	settlements.Wait()
	if succeeded.Load() != 1 {
		t.Errorf("%d of 16 succeeded, want 1", succeeded.Load())
	}
}

// TestStoreChecksLocks checks which lock refuses a settlement.
func TestStoreChecksLocks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		all, codes, source bool // which are locked
		x                  storage.Settlement
		refused            bool
	}{
		"password":                    {x: storage.Settlement{}},
		"password, login locked":      {all: true, refused: true},
		"password, codes locked":      {codes: true},
		"code, login locked":          {all: true, x: storage.Settlement{CodeID: "otc_1"}},
		"code, codes locked":          {codes: true, x: storage.Settlement{CodeID: "otc_1"}, refused: true},
		"known source, others locked": {all: true, codes: true, x: storage.Settlement{SourceID: "src_1"}},
		"known source, locked itself": {source: true, x: storage.Settlement{SourceID: "src_1", CodeID: "otc_1"}, refused: true},
		"another code":                {x: storage.Settlement{CodeID: "otc_2"}, refused: true},
		"unknown login":               {x: storage.Settlement{LoginID: "lgn_nobody"}, refused: true},
	} {
		s, now := storeWithCode()
		counter := func(locked bool) storage.Counter {
			if locked {
				return storage.Counter{Failures: 10, LockedUntil: now.Add(time.Second)}
			}
			return storage.Counter{Failures: 1}
		}
		state, all := s.state("jane"), counter(c.all)
		state.lockout = storage.Lockout{Failures: all.Failures, LockedUntil: all.LockedUntil, Codes: counter(c.codes)}
		state.sources = []source{{storage.Source{ID: "src_1", Address: janesKey.Source}, counter(c.source)}}
		c.x.Now = now
		if c.x.LoginID == "" {
			c.x.LoginID = "lgn_jane"
		}
		err := s.SettleLogin(t.Context(), c.x)
		if errors.Is(err, storage.ErrRefused) != c.refused || (err != nil) != c.refused {
			t.Errorf("%s: %v", name, err)
		}
		if kept := state.lockout.Locked(now); kept != c.all {
			t.Errorf("%s: the login is locked: %v", name, kept)
		}
	}
}

// TestStoreCountsEachFailure checks that a failure is counted once, and that a failure from
// a known source is counted for that source as well.
func TestStoreCountsEachFailure(t *testing.T) {
	t.Parallel()
	s, now := storeWithCode()
	remember := storage.Settlement{LoginID: "lgn_jane", Now: now, Remember: &storage.Source{ID: "src_1", Address: janesKey.Source, SeenAt: now}}
	if err := s.SettleLogin(t.Context(), remember); err != nil {
		t.Fatal(err)
	}
	p, err := s.Principal(t.Context(), janesKey)
	if err != nil || p.Source.ID != "src_1" {
		t.Fatalf("source %+v, %v", p.Source, err)
	}
	next := p.Lockout
	next.Failures, next.Source.Failures = 1, 1
	if err := s.RecordFailure(t.Context(), p, next, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.RecordFailure(t.Context(), p, next, nil); !errors.Is(err, storage.ErrStale) {
		t.Errorf("a second failure with the same version: %v", err)
	}
	if p, _ = s.Principal(t.Context(), janesKey); p.Lockout.Failures != 1 || p.Lockout.Source.Failures != 1 {
		t.Errorf("counted %+v", p.Lockout)
	}
	otherSource := janesKey
	otherSource.Source = "198.51.100.9"
	if p, _ = s.Principal(t.Context(), otherSource); p.Source.ID != "" || p.Lockout.Source.Failures != 0 {
		t.Errorf("other source: %+v", p)
	}
	for i := range 2 * storage.MaxSources {
		remember.Remember = &storage.Source{ID: string(rune('a' + i)), Address: string(rune('a' + i)), SeenAt: now.Add(time.Duration(i) * time.Second)}
		if err := s.SettleLogin(t.Context(), remember); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.state("jane").sources); n != storage.MaxSources {
		t.Errorf("%d sources are known", n)
	}
}
