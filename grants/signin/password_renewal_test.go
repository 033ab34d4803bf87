package signin

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/storage"
)

// withRenewal gives bob the verification code "AbC-123".
func withRenewal(t *testing.T) (*store, *storage.Client) {
	t.Helper()
	w, client := newStore(t)
	w.Renewals[w.Bob().Login.ID] = storage.VerificationCode{
		ID: "vrc_1", LoginID: w.Bob().Login.ID, ClientID: "shop",
		Digest: storage.Digest{Sum: []byte("AbC-123")}, ExpiresAt: start.Add(2 * time.Hour),
	}
	return w, client
}

// TestRenewRefusalsAreAlike: whatever is wrong with user or code, the answer is
// one, the new password is neither compared with the user's own rules nor hashed,
// and one write is made, which counts nothing.
func TestRenewRefusalsAreAlike(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*store, *storage.VerificationCode){
		"unknown user":   func(w *store, _ *storage.VerificationCode) { delete(w.Logins, w.Bob().Key) },
		"locked":         func(w *store, _ *storage.VerificationCode) { w.Bob().Lockout.Codes.LockedUntil = start.Add(1) },
		"user inactive":  func(w *store, _ *storage.VerificationCode) { w.Bob().User.Active = false },
		"login inactive": func(w *store, _ *storage.VerificationCode) { w.Bob().Login.Active = false },
		"other user's":   func(_ *store, c *storage.VerificationCode) { *c = storage.VerificationCode{} },
		"wrong":          func(_ *store, c *storage.VerificationCode) { c.Digest.Sum = []byte("abc-123") },
		"used":           func(_ *store, c *storage.VerificationCode) { c.UsedAt = start },
		"expired":        func(_ *store, c *storage.VerificationCode) { c.ExpiresAt = start },
		"another client": func(_ *store, c *storage.VerificationCode) { c.ClientID = "other" },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, client := withRenewal(t)
			p := w.Bob()
			p.Rules.MinLength = 1000
			kept := w.Renewals[p.Login.ID]
			change(w, &kept)
			w.Renewals[p.Login.ID] = kept
			err := w.passwords(t).Renew(t.Context(), client, Renewal{Username: "bob", Code: "AbC-123", Password: "too weak"})
			if err == nil || err.Error() != ErrVerification.Error() {
				t.Errorf("error %v, want ErrVerification", err)
			}
			if w.Writes != 1 || w.Hashes != 0 {
				t.Errorf("%d writes and %d hashes, want 1 and 0", w.Writes, w.Hashes)
			}
			if p.Lockout.Failures != 0 || p.Lockout.Codes.Failures != 0 {
				t.Errorf("counted as a guess: %+v", p.Lockout)
			}
		})
	}
}

// TestRenew: the right code sets the password once, and only with it one learns
// what is wrong with the password.
func TestRenew(t *testing.T) {
	t.Parallel()
	w, client := withRenewal(t)
	s, p := w.passwords(t), w.Bob()
	p.Rules = storage.PasswordRules{MinLength: 8, History: 2, MinAge: 1000 * time.Hour}
	w.Former[p.Login.ID] = []string{"hash:" + rightPassword}
	var weak *RuleError
	if err := s.Renew(t.Context(), client, Renewal{Username: "bob", Code: "AbC-123", Password: "short"}); !errors.As(err, &weak) {
		t.Errorf("weak: %v", err)
	}
	if err := s.Renew(t.Context(), client, Renewal{Username: "bob", Code: "AbC-123", Password: rightPassword}); !errors.Is(err, ErrPasswordReused) {
		t.Errorf("reused: %v", err)
	}
	if w.Writes != 0 {
		t.Error("the right code was counted as a failure")
	}
	if err := s.Renew(t.Context(), client, Renewal{Username: " Bob", Code: "AbC-123", Password: "correct horse"}); err != nil {
		t.Fatal(err)
	}
	if p.Login.PasswordHash != "hash:correct horse" {
		t.Errorf("password is %q", p.Login.PasswordHash)
	}
	if err := s.Renew(t.Context(), client, Renewal{Username: "bob", Code: "AbC-123", Password: "battery staple"}); !errors.Is(err, ErrVerification) {
		t.Errorf("second use: %v", err)
	}
	want := []string{
		"password.renewed insecure_password", "password.renewed password_reused", "password.renewed success", "password.renewed wrong_code",
	}
	if diff := cmp.Diff(want, w.Outcomes()); diff != "" {
		t.Error(diff)
	}
}

// TestRenewIsDecidedByTheStore: a code that was right when it was read and is
// not when the change takes effect changes nothing.
func TestRenewIsDecidedByTheStore(t *testing.T) {
	t.Parallel()
	w, client := withRenewal(t)
	w.BeforeSettle = func(p *storage.Principal) { delete(w.Renewals, p.Login.ID) }
	if err := w.passwords(t).Renew(t.Context(), client, Renewal{Username: "bob", Code: "AbC-123", Password: "correct horse"}); !errors.Is(err, ErrVerification) {
		t.Errorf("error %v, want ErrVerification", err)
	}
	if w.Bob().Login.PasswordHash != "hash:"+rightPassword {
		t.Error("the password was changed")
	}
}

// brokenStore cannot read verification codes.
type brokenStore struct{ *store }

func (brokenStore) VerificationCode(context.Context, string) (storage.VerificationCode, error) {
	return storage.VerificationCode{}, storage.ErrUnavailable
}

// TestRenewUnderALockThatEnds: an attempt that saw the lock is refused by it, and
// does not count, though the lock ends before the code is looked at.
func TestRenewUnderALockThatEnds(t *testing.T) {
	t.Parallel()
	w, client := withRenewal(t)
	until := start.Add(time.Minute)
	shut := storage.Counter{Failures: 10, LastFailureAt: start, LockedUntil: until}
	w.Bob().Lockout = storage.Lockout{Failures: 10, LastFailureAt: start, LockedUntil: until, Codes: shut}
	looks := 0
	clock := func() time.Time {
		if looks++; looks == 1 {
			return until.Add(-time.Microsecond)
		}
		return until.Add(time.Microsecond)
	}
	s, err := NewPasswords(PasswordsConfig{Store: w, Hasher: w, Codes: w, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	right := Renewal{Username: "bob", Code: "AbC-123", Password: "correct horse"}
	if err := s.Renew(t.Context(), client, right); !errors.Is(err, ErrVerification) || w.Bob().Lockout.Codes != shut {
		t.Errorf("under the lock: %v, %+v", err, w.Bob().Lockout)
	}
	if err := s.Renew(t.Context(), client, right); err != nil {
		t.Errorf("after it: %v", err)
	}
}

// TestRenewOutage: an outage is no failure.
func TestRenewOutage(t *testing.T) {
	t.Parallel()
	w, client := withRenewal(t)
	s, err := NewPasswords(PasswordsConfig{Store: brokenStore{w}, Hasher: w, Codes: w, Now: w.Clock})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Renew(t.Context(), client, Renewal{Username: "bob", Code: "AbC-123", Password: "correct horse"}); !errors.Is(err, storage.ErrUnavailable) || w.Writes != 0 {
		t.Errorf("error %v after %d writes", err, w.Writes)
	}
}
