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

// store is a store in memory with the services of this package on it.
type store struct{ *memstore.Store }

// newStore returns a store with the user Bob, and a client that serves him.
func newStore(t *testing.T) (*store, *storage.Client) {
	t.Helper()
	s, client := memstore.New()
	return &store{s}, client
}

func (w *store) authenticator(t *testing.T) *Authenticator {
	t.Helper()
	a, err := NewAuthenticator(AuthenticatorConfig{Store: w, Codes: w, Passwords: w, Recorder: w, Now: w.Clock})
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

// TestVerifyFactors: a secret counts only as what both the attempt and the
// client allow, and a code only for its purpose and profile.
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
			w, client := newStore(t)
			client.Credentials = tt.allows
			at := attempt(tt.secret)
			if tt.change != nil {
				tt.change(&at)
			}
			s, err := w.authenticator(t).Verify(t.Context(), client, at)
			if tt.amr == "" {
				if !errors.Is(err, ErrCredentials) || w.Writes != 1 {
					t.Errorf("error %v after %d writes, want ErrCredentials after one", err, w.Writes)
				}
				return
			}
			if err != nil || s.AMR != tt.amr {
				t.Fatalf("%+v, %v; want a sign-in by %s", s, err, tt.amr)
			}
			if w.Writes != 0 || w.Settled != 0 {
				t.Error("verifying changed something")
			}
		})
	}
}

// lockAll locks passwords and codes for all but known sources.
func lockAll(l *storage.Lockout, until time.Time) { l.LockedUntil, l.Codes.LockedUntil = until, until }

// TestVerifyRefusalsCostTheSame: whatever is wrong, one read, one hash or what
// takes as long, one write.
func TestVerifyRefusalsCostTheSame(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		secret string
		change func(*store)
	}{
		"wrong":                    {"wrong", func(*store) {}},
		"unknown":                  {rightCode, func(w *store) { delete(w.Logins, w.Bob().Key) }},
		"right code, codes locked": {rightCode, func(w *store) { w.Bob().Lockout.Codes.LockedUntil = w.Now.Add(time.Minute) }},
		"right code, all locked":   {rightCode, func(w *store) { lockAll(&w.Bob().Lockout, w.Now.Add(time.Minute)) }},
		"wrong, all locked":        {"wrong", func(w *store) { lockAll(&w.Bob().Lockout, w.Now.Add(time.Minute)) }},
		"unknown, locked": {rightCode, func(w *store) {
			delete(w.Logins, w.Bob().Key)
			w.Unknown.LockedUntil = w.Now.Add(1)
		}},
		"right password, locked":        {rightPassword, func(w *store) { w.Bob().Lockout.LockedUntil = w.Now.Add(1) }},
		"right code, user inactive":     {rightCode, func(w *store) { w.Bob().User.Active = false }},
		"right password, login off":     {rightPassword, func(w *store) { w.Bob().Login.Active = false }},
		"right password, expired, off":  {rightPassword, func(w *store) { w.Bob().Rules.MaxAge = time.Hour; w.Bob().Login.Active = false }},
		"wrong password, expired":       {"wrong", func(w *store) { w.Bob().Rules.MaxAge = time.Hour }},
		"weak wrong password":           {"w", func(w *store) { w.Bob().Rules.MinLength = 20 }},
		"right weak password, locked":   {rightPassword, func(w *store) { w.Bob().Rules.MinLength = 20; w.Bob().Lockout.LockedUntil = w.Now.Add(1) }},
		"code used":                     {rightCode, func(w *store) { w.Bob().Login.Code.UsedAt = w.Now }},
		"code of another purpose":       {rightCode, func(w *store) { w.Bob().Login.Code.Purpose = storage.PurposeResetPassword }},
		"code asked for by another one": {rightCode, func(w *store) { w.Bob().Login.Code.ClientID = "other" }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, client := newStore(t)
			tt.change(w)
			_, err := w.authenticator(t).Verify(t.Context(), client, attempt(tt.secret))
			if !errors.Is(err, ErrCredentials) {
				t.Fatalf("error %v, want ErrCredentials", err)
			}
			// What takes the place of a hash where a lock makes one pointless is not
			// chosen by what was presented.
			if locked := strings.Contains(name, "locked") && name != "right code, codes locked"; w.Decoys == 1 != locked {
				t.Errorf("%d stand-ins while locked: %v", w.Decoys, locked)
			}
			if w.Hashes+w.Decoys != 1 || w.Writes != 1 || w.Reads != 1 {
				t.Errorf("%d hashes and stand-ins, %d writes, %d reads, want one of each", w.Hashes+w.Decoys, w.Writes, w.Reads)
			}
		})
	}
}

// TestVerifyOutdatedPassword: the holder of the right password, and nobody
// else, is told that it has expired or become too weak; that neither counts nor
// settles anything.
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
			w, client := newStore(t)
			w.Bob().Rules = tt.rules
			s, err := w.authenticator(t).Verify(t.Context(), client, attempt(rightPassword))
			if tt.want == nil {
				if err != nil || s == nil {
					t.Errorf("refused with %v", err)
				}
				return
			}
			if !tt.want(err) || s != nil || errors.Is(err, ErrCredentials) {
				t.Errorf("answered %+v, %v", s, err)
			}
			if w.Writes != 0 || w.Bob().Lockout.Failures != 0 {
				t.Error("the right password was counted as a failure")
			}
			if diff := cmp.Diff([]string{tt.event}, w.Outcomes()); diff != "" {
				t.Error(diff)
			}
			if _, err := w.authenticator(t).Verify(t.Context(), client, attempt(rightCode)); err != nil {
				t.Errorf("a one-time password is refused because of the other: %v", err)
			}
		})
	}
}

// busyHasher never finds a turn.
type busyHasher struct{ PasswordVerifier }

func (busyHasher) Verify(context.Context, string, string) (bool, bool, error) {
	return false, false, ErrBusy
}

// TestVerifyUndecided: a guess whose password could not be checked counts if it
// was also a guess at a live code, and not if it could be none.
func TestVerifyUndecided(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change   func(*store, *Attempt)
		failures int
		writes   int
	}{
		"live code":            {func(*store, *Attempt) {}, 1, 1},
		"no live code":         {func(w *store, _ *Attempt) { w.Bob().Login.Code.UsedAt = w.Now }, 0, 1},
		"attempt without code": {func(_ *store, at *Attempt) { at.OTP = false }, 0, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, client := newStore(t)
			a, err := NewAuthenticator(AuthenticatorConfig{Store: w, Codes: w, Passwords: busyHasher{w}, Now: w.Clock})
			if err != nil {
				t.Fatal(err)
			}
			at := attempt("wrong")
			tt.change(w, &at)
			if _, err := a.Verify(t.Context(), client, at); !errors.Is(err, ErrBusy) {
				t.Fatalf("error %v, want ErrBusy", err)
			}
			if got := w.Bob().Lockout.Failures; got != tt.failures || w.Writes != tt.writes {
				t.Errorf("%d failures and %d writes, want %d and %d", got, w.Writes, tt.failures, tt.writes)
			}
		})
	}
}
