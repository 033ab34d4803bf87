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
func withRenewal(t *testing.T) (*testStore, *storage.Client) {
	t.Helper()
	store, client := newStore(t)
	store.Renewals[store.Bob().Login.ID] = storage.VerificationCode{
		ID: "vrc_1", LoginID: store.Bob().Login.ID, ClientID: "shop",
		Digest: storage.Digest{Sum: []byte("AbC-123")}, ExpiresAt: start.Add(2 * time.Hour),
	}
	return store, client
}

// TestRenewRefusalsAreAlike tests that the error is the same, whatever is wrong with the user
// or the code. The new password is neither hashed nor checked by the rules of the user. There
// is one write, and it counts nothing.
func TestRenewRefusalsAreAlike(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*testStore, *storage.VerificationCode){
		"unknown user": func(store *testStore, _ *storage.VerificationCode) { delete(store.Logins, store.Bob().Key) },
		"locked": func(store *testStore, _ *storage.VerificationCode) {
			store.Bob().Lockout.Codes.LockedUntil = start.Add(1)
		},
		"user inactive":  func(store *testStore, _ *storage.VerificationCode) { store.Bob().User.Active = false },
		"login inactive": func(store *testStore, _ *storage.VerificationCode) { store.Bob().Login.Active = false },
		"other user's":   func(_ *testStore, c *storage.VerificationCode) { *c = storage.VerificationCode{} },
		"wrong":          func(_ *testStore, c *storage.VerificationCode) { c.Digest.Sum = []byte("abc-123") },
		"used":           func(_ *testStore, c *storage.VerificationCode) { c.UsedAt = start },
		"expired":        func(_ *testStore, c *storage.VerificationCode) { c.ExpiresAt = start },
		"another client": func(_ *testStore, c *storage.VerificationCode) { c.ClientID = "other" },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store, client := withRenewal(t)
			p := store.Bob()
			p.Rules.MinLength = 1000
			kept := store.Renewals[p.Login.ID]
			change(store, &kept)
			store.Renewals[p.Login.ID] = kept
			err := store.passwords(t).Renew(t.Context(), client, Renewal{Username: "bob", Code: "AbC-123", Password: "too weak"})
			if err == nil || err.Error() != ErrVerification.Error() {
				t.Errorf("got error %v, want ErrVerification", err)
			}
			if store.Writes != 1 || store.Hashes != 0 {
				t.Errorf("got %d writes and %d hashes, want 1 and 0", store.Writes, store.Hashes)
			}
			if p.Lockout.Failures != 0 || p.Lockout.Codes.Failures != 0 {
				t.Errorf("got the lockout %+v, want no failures", p.Lockout)
			}
		})
	}
}

// TestRenew tests that the right code sets the password once. A caller without the code does
// not learn that the password breaks the rules of the user.
func TestRenew(t *testing.T) {
	t.Parallel()
	store, client := withRenewal(t)
	s, p := store.passwords(t), store.Bob()
	p.Rules = storage.PasswordRules{MinLength: 8, History: 2, MinAge: 1000 * time.Hour}
	store.Former[p.Login.ID] = []string{"hash:" + rightPassword}
	var weak *RuleError
	if err := s.Renew(t.Context(), client, Renewal{Username: "bob", Code: "AbC-123", Password: "short"}); !errors.As(err, &weak) {
		t.Errorf("a weak password: got %v, want a RuleError", err)
	}
	if err := s.Renew(t.Context(), client, Renewal{Username: "bob", Code: "AbC-123", Password: rightPassword}); !errors.Is(err, ErrPasswordReused) {
		t.Errorf("a former password: got %v, want ErrPasswordReused", err)
	}
	if store.Writes != 0 {
		t.Error("the right code was counted as a failure")
	}
	if err := s.Renew(t.Context(), client, Renewal{Username: " Bob", Code: "AbC-123", Password: "correct horse"}); err != nil {
		t.Fatal(err)
	}
	if p.Login.PasswordHash != "hash:correct horse" {
		t.Errorf("got the hash %q", p.Login.PasswordHash)
	}
	if err := s.Renew(t.Context(), client, Renewal{Username: "bob", Code: "AbC-123", Password: "battery staple"}); !errors.Is(err, ErrVerification) {
		t.Errorf("the second use: got %v, want ErrVerification", err)
	}
	want := []string{
		"password.renewed insecure_password", "password.renewed password_reused", "password.renewed success", "password.renewed wrong_code",
	}
	if diff := cmp.Diff(want, store.Outcomes()); diff != "" {
		t.Error(diff)
	}
}

// TestRenewIsDecidedByTheStore tests that nothing changes if the code was right when it was
// read, but is used before the change takes effect.
func TestRenewIsDecidedByTheStore(t *testing.T) {
	t.Parallel()
	store, client := withRenewal(t)
	store.BeforeSettle = func(p *storage.Principal) { delete(store.Renewals, p.Login.ID) }
	if err := store.passwords(t).Renew(t.Context(), client, Renewal{Username: "bob", Code: "AbC-123", Password: "correct horse"}); !errors.Is(err, ErrVerification) {
		t.Errorf("got error %v, want ErrVerification", err)
	}
	if store.Bob().Login.PasswordHash != "hash:"+rightPassword {
		t.Error("the password was changed")
	}
}

// brokenStore cannot read verification codes.
type brokenStore struct{ *testStore }

func (brokenStore) VerificationCode(context.Context, string) (storage.VerificationCode, error) {
	return storage.VerificationCode{}, storage.ErrUnavailable
}

// TestRenewUnderALockThatEnds tests that an attempt that started under a lock is refused and
// does not count, even if the lock ends before the code is checked.
func TestRenewUnderALockThatEnds(t *testing.T) {
	t.Parallel()
	store, client := withRenewal(t)
	until := start.Add(time.Minute)
	shut := storage.Counter{Failures: 10, LastFailureAt: start, LockedUntil: until}
	store.Bob().Lockout = storage.Lockout{Failures: 10, LastFailureAt: start, LockedUntil: until, Codes: shut}
	reads := 0
	clock := func() time.Time {
		if reads++; reads == 1 {
			return until.Add(-time.Microsecond)
		}
		return until.Add(time.Microsecond)
	}
	s, err := NewPasswords(PasswordsConfig{Store: store, Hasher: store, Codes: store, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	right := Renewal{Username: "bob", Code: "AbC-123", Password: "correct horse"}
	if err := s.Renew(t.Context(), client, right); !errors.Is(err, ErrVerification) || store.Bob().Lockout.Codes != shut {
		t.Errorf("under the lock: got error %v, lockout %+v; want ErrVerification and no change", err, store.Bob().Lockout)
	}
	if err := s.Renew(t.Context(), client, right); err != nil {
		t.Errorf("after the lock: got %v, want no error", err)
	}
}

// TestRenewOutage tests that a database outage does not count as a failure.
func TestRenewOutage(t *testing.T) {
	t.Parallel()
	store, client := withRenewal(t)
	s, err := NewPasswords(PasswordsConfig{Store: brokenStore{store}, Hasher: store, Codes: store, Now: store.Clock})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Renew(t.Context(), client, Renewal{Username: "bob", Code: "AbC-123", Password: "correct horse"}); !errors.Is(err, storage.ErrUnavailable) || store.Writes != 0 {
		t.Errorf("got error %v after %d writes, want ErrUnavailable", err, store.Writes)
	}
}
