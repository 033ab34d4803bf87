package signin

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/storage"
)

func (store *testStore) passwords(t *testing.T) *Passwords {
	t.Helper()
	s, err := NewPasswords(PasswordsConfig{Store: store, Hasher: store, Codes: store, Recorder: store, Now: store.Clock})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestNewPasswordsNeedsItsParts(t *testing.T) {
	t.Parallel()
	store, _ := newStore(t)
	whole := PasswordsConfig{Store: store, Hasher: store, Codes: store}
	for name, remove := range map[string]func(*PasswordsConfig){
		"store":  func(c *PasswordsConfig) { c.Store = nil },
		"hasher": func(c *PasswordsConfig) { c.Hasher = nil },
		"codes":  func(c *PasswordsConfig) { c.Codes = nil },
	} {
		cfg := whole
		remove(&cfg)
		if _, err := NewPasswords(cfg); err == nil {
			t.Errorf("no error without %s", name)
		}
	}
}

// TestChangePassword tests which passwords users may set for themselves, and which ones an
// administrator may set.
func TestChangePassword(t *testing.T) {
	t.Parallel()
	var weak *RuleError
	tests := map[string]struct {
		rules    storage.PasswordRules
		password string
		own, any error // errors of Change and Prepare
	}{
		"good":                {storage.PasswordRules{MinLength: 5}, "fresh", nil, nil},
		"weak":                {storage.PasswordRules{MinLength: 9}, "fresh", weak, weak},
		"too soon":            {storage.PasswordRules{MinAge: 24*time.Hour + 1}, "fresh", ErrPasswordTooSoon, nil},
		"old enough":          {storage.PasswordRules{MinAge: 24 * time.Hour}, "fresh", nil, nil},
		"the present one":     {storage.PasswordRules{History: 1}, rightPassword, ErrPasswordReused, ErrPasswordReused},
		"the one before":      {storage.PasswordRules{History: 2}, "older", ErrPasswordReused, ErrPasswordReused},
		"forgotten by now":    {storage.PasswordRules{History: 1}, "older", nil, nil},
		"no history is kept":  {storage.PasswordRules{}, rightPassword, nil, nil},
		"weak, and too soon":  {storage.PasswordRules{MinLength: 9, MinAge: 1000 * time.Hour}, "fresh", ErrPasswordTooSoon, weak},
		"reused and too weak": {storage.PasswordRules{MinLength: 9, History: 2}, "older", weak, weak},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			same := func(got, want error) bool {
				var rule *RuleError
				if errors.As(want, &rule) {
					return errors.As(got, &rule) && rule.Rules == tt.rules
				}
				return errors.Is(got, want)
			}
			store, _ := newStore(t)
			p := store.Bob()
			p.Rules = tt.rules
			store.Former[p.Login.ID] = []string{p.Login.PasswordHash, "hash:older"}
			change, err := store.passwords(t).Prepare(t.Context(), p, tt.password)
			if !same(err, tt.any) {
				t.Errorf("Prepare: got %v, want %v", err, tt.any)
			}
			want := storage.PasswordChange{LoginID: p.Login.ID, Hash: "hash:" + tt.password, Keep: tt.rules.History, Now: start}
			if tt.any != nil {
				want = storage.PasswordChange{}
			}
			if diff := cmp.Diff(want, change); diff != "" {
				t.Error(diff)
			}
			if p.Login.PasswordHash != "hash:"+rightPassword {
				t.Error("Prepare changed the password")
			}
			before := *p
			if err := store.passwords(t).Change(t.Context(), &before, tt.password, "own session"); !same(err, tt.own) {
				t.Errorf("Change: got %v, want %v", err, tt.own)
			}
			if changed := !p.Login.SessionsValidFrom.IsZero(); changed != (tt.own == nil) {
				t.Errorf("got changed %v, want the opposite", changed)
			}
			if kept := p.Login.KeptSession == "own session"; kept != (tt.own == nil) {
				t.Errorf("got the kept session %q", p.Login.KeptSession)
			}
		})
	}
}

// TestPrepareForNewLogin tests that a new login has no history of passwords.
func TestPrepareForNewLogin(t *testing.T) {
	t.Parallel()
	store, _ := newStore(t)
	p := &storage.Principal{Rules: storage.PasswordRules{MinLength: 5, History: 3, MinAge: time.Hour}}
	change, err := store.passwords(t).PrepareOwn(t.Context(), p, "fresh")
	if err != nil || change.Hash != "hash:fresh" || store.Hashes != 1 {
		t.Errorf("got %+v, error %v after %d hashes", change, err, store.Hashes)
	}
}
