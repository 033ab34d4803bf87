package signin

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/grants/internal/memstore"
	"latchkey/storage"
)

const (
	rightCode     = memstore.RightCode
	rightPassword = memstore.RightPassword
)

var start = memstore.Start

// testStore is a store in memory with the services of this package.
type testStore struct{ *memstore.Store }

// newStore returns a store with the user Bob, and a client that serves him.
func newStore(t *testing.T) (*testStore, *storage.Client) {
	t.Helper()
	s, client := memstore.New()
	return &testStore{s}, client
}

func (store *testStore) authenticator(t *testing.T) *Authenticator {
	t.Helper()
	a, err := NewAuthenticator(AuthenticatorConfig{Store: store, Codes: store, Passwords: store, Recorder: store, Now: store.Clock})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func attempt(secret string) Attempt {
	return Attempt{
		ProfileID: "main", Username: " BOB", Secret: secret, OTP: true, Password: true,
		Purposes: []storage.Purpose{storage.PurposeSignIn},
	}
}

// TestVerifyFactors tests that a secret is accepted only as a factor that both the attempt and
// the client allow, and a code only for its purpose and its profile.
func TestVerifyFactors(t *testing.T) {
	t.Parallel()
	both := storage.Credentials{OTP: true, Password: true}
	tests := map[string]struct {
		secret string
		allows storage.Credentials
		change func(*Attempt)
		amr    string // empty: refused
	}{
		"code":                            {secret: rightCode, allows: both, amr: "otp"},
		"password":                        {secret: rightPassword, allows: both, amr: "pwd"},
		"code, client without codes":      {secret: rightCode, allows: storage.Credentials{Password: true}},
		"password, client without them":   {secret: rightPassword, allows: storage.Credentials{OTP: true}},
		"code, attempt by password":       {secret: rightCode, allows: both, change: func(at *Attempt) { at.OTP = false }},
		"password, attempt by code":       {secret: rightPassword, allows: both, change: func(at *Attempt) { at.Password = false }},
		"no purpose":                      {secret: rightCode, allows: both, change: func(at *Attempt) { at.Purposes = nil }},
		"password needs no purpose":       {secret: rightPassword, allows: both, change: func(at *Attempt) { at.Purposes = nil }, amr: "pwd"},
		"another purpose":                 {secret: rightCode, allows: both, change: func(at *Attempt) { at.Purposes = []storage.Purpose{storage.PurposeResetPassword} }},
		"same name in another profile":    {secret: rightCode, allows: both, change: func(at *Attempt) { at.ProfileID = "second" }},
		"neither factor, whatever secret": {secret: rightPassword, allows: both, change: func(at *Attempt) { at.OTP, at.Password = false, false }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store, client := newStore(t)
			client.Credentials = tt.allows
			at := attempt(tt.secret)
			if tt.change != nil {
				tt.change(&at)
			}
			s, err := store.authenticator(t).Verify(t.Context(), client, at)
			if tt.amr == "" {
				if !errors.Is(err, ErrCredentials) || store.Writes != 1 {
					t.Errorf("got error %v after %d writes, want ErrCredentials after one", err, store.Writes)
				}
				return
			}
			if err != nil || s.AMR != tt.amr {
				t.Fatalf("got %+v, error %v; want a sign-in by %s", s, err, tt.amr)
			}
			if store.Writes != 0 || store.Settled != 0 {
				t.Error("Verify wrote or settled, want neither")
			}
		})
	}
}

// lockAll locks passwords and codes, except for known sources.
func lockAll(l *storage.Lockout, until time.Time) { l.LockedUntil, l.Codes.LockedUntil = until, until }

// TestVerifyRefusalsCostTheSame tests that every refusal costs one read, one hash or decoy, and
// one write, whatever is wrong.
func TestVerifyRefusalsCostTheSame(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		secret string
		change func(*testStore)
	}{
		"wrong":                    {"wrong", func(*testStore) {}},
		"unknown":                  {rightCode, func(store *testStore) { delete(store.Logins, store.Bob().Key) }},
		"right code, codes locked": {rightCode, func(store *testStore) { store.Bob().Lockout.Codes.LockedUntil = store.Now.Add(time.Minute) }},
		"right code, all locked":   {rightCode, func(store *testStore) { lockAll(&store.Bob().Lockout, store.Now.Add(time.Minute)) }},
		"wrong, all locked":        {"wrong", func(store *testStore) { lockAll(&store.Bob().Lockout, store.Now.Add(time.Minute)) }},
		"unknown, locked": {rightCode, func(store *testStore) {
			delete(store.Logins, store.Bob().Key)
			store.Unknown.LockedUntil = store.Now.Add(1)
		}},
		"right password, locked":       {rightPassword, func(store *testStore) { store.Bob().Lockout.LockedUntil = store.Now.Add(1) }},
		"right code, user inactive":    {rightCode, func(store *testStore) { store.Bob().User.Active = false }},
		"right password, login off":    {rightPassword, func(store *testStore) { store.Bob().Login.Active = false }},
		"right password, expired, off": {rightPassword, func(store *testStore) { store.Bob().Rules.MaxAge = time.Hour; store.Bob().Login.Active = false }},
		"wrong password, expired":      {"wrong", func(store *testStore) { store.Bob().Rules.MaxAge = time.Hour }},
		"weak wrong password":          {"w", func(store *testStore) { store.Bob().Rules.MinLength = 20 }},
		"right weak password, locked": {rightPassword, func(store *testStore) {
			store.Bob().Rules.MinLength = 20
			store.Bob().Lockout.LockedUntil = store.Now.Add(1)
		}},
		"code used":               {rightCode, func(store *testStore) { store.Bob().Login.Code.UsedAt = store.Now }},
		"code of another purpose": {rightCode, func(store *testStore) { store.Bob().Login.Code.Purpose = storage.PurposeResetPassword }},
		"code of another client":  {rightCode, func(store *testStore) { store.Bob().Login.Code.ClientID = "other" }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store, client := newStore(t)
			tt.change(store)
			_, err := store.authenticator(t).Verify(t.Context(), client, attempt(tt.secret))
			if !errors.Is(err, ErrCredentials) {
				t.Fatalf("got error %v, want ErrCredentials", err)
			}
			// Only the lock decides whether a decoy replaces the hash, and not the secret.
			if locked := strings.Contains(name, "locked") && name != "right code, codes locked"; store.Decoys == 1 != locked {
				t.Errorf("got %d decoys while locked: %v", store.Decoys, locked)
			}
			if store.Hashes+store.Decoys != 1 || store.Writes != 1 || store.Reads != 1 {
				t.Errorf("got %d hashes and decoys, %d writes, %d reads; want one of each", store.Hashes+store.Decoys, store.Writes, store.Reads)
			}
		})
	}
}

// TestVerifyOutdatedPassword tests that only a caller with the right password learns that it
// has expired or is too weak. No failure is counted, and nothing is settled.
func TestVerifyOutdatedPassword(t *testing.T) {
	t.Parallel()
	isRule := func(err error) bool {
		var weak *RuleError
		return errors.As(err, &weak) && weak.Rules.MinLength == 20
	}
	isExpired := func(err error) bool { return errors.Is(err, ErrPasswordExpired) }
	tests := map[string]struct {
		rules storage.PasswordRules
		want  func(error) bool
		event string
	}{
		"expired at this moment": {storage.PasswordRules{MaxAge: 24 * time.Hour}, isExpired, "sign_in password_expired"},
		"too weak":               {storage.PasswordRules{MinLength: 20}, isRule, "sign_in insecure_password"},
		"last moment, strong":    {storage.PasswordRules{MaxAge: 24*time.Hour + 1, MinLength: 11, UpperCase: true, Digit: true, Special: true}, nil, ""},
		"too young to change":    {storage.PasswordRules{MinAge: 1000 * time.Hour, History: 5}, nil, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store, client := newStore(t)
			store.Bob().Rules = tt.rules
			s, err := store.authenticator(t).Verify(t.Context(), client, attempt(rightPassword))
			if tt.want == nil {
				if err != nil || s == nil {
					t.Errorf("got error %v, want a sign-in", err)
				}
				return
			}
			if !tt.want(err) || s != nil || errors.Is(err, ErrCredentials) {
				t.Errorf("got %+v, error %v", s, err)
			}
			if store.Writes != 0 || store.Bob().Lockout.Failures != 0 {
				t.Error("the right password was counted as a failure")
			}
			if diff := cmp.Diff([]string{tt.event}, store.Outcomes()); diff != "" {
				t.Error(diff)
			}
			if _, err := store.authenticator(t).Verify(t.Context(), client, attempt(rightCode)); err != nil {
				t.Errorf("the one-time password: got %v, want no error", err)
			}
		})
	}
}

// busyHasher never has a free slot.
type busyHasher struct{ PasswordVerifier }

func (busyHasher) Verify(context.Context, string, string) (bool, bool, error) {
	return false, false, ErrBusy
}

// TestVerifyUndecided tests that an attempt whose password could not be checked counts only if
// it was also a guess at a live code.
func TestVerifyUndecided(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change   func(*testStore, *Attempt)
		failures int
		writes   int
	}{
		"live code":            {func(*testStore, *Attempt) {}, 1, 1},
		"no live code":         {func(store *testStore, _ *Attempt) { store.Bob().Login.Code.UsedAt = store.Now }, 0, 1},
		"attempt without code": {func(_ *testStore, at *Attempt) { at.OTP = false }, 0, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store, client := newStore(t)
			a, err := NewAuthenticator(AuthenticatorConfig{Store: store, Codes: store, Passwords: busyHasher{store}, Now: store.Clock})
			if err != nil {
				t.Fatal(err)
			}
			at := attempt("wrong")
			tt.change(store, &at)
			if _, err := a.Verify(t.Context(), client, at); !errors.Is(err, ErrBusy) {
				t.Fatalf("got error %v, want ErrBusy", err)
			}
			if got := store.Bob().Lockout.Failures; got != tt.failures || store.Writes != tt.writes {
				t.Errorf("got %d failures and %d writes, want %d and %d", got, store.Writes, tt.failures, tt.writes)
			}
		})
	}
}
