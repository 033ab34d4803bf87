package grants

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/storage"
)

const (
	rightCode     = "12345678"
	rightPassword = "Tr0ub4dor&3"
)

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
			w, client := newWorld(t)
			client.Credentials = tt.allows
			at := attempt(tt.secret)
			if tt.change != nil {
				tt.change(&at)
			}
			s, err := w.authenticator(t).Verify(t.Context(), client, at)
			if tt.amr == "" {
				if !errors.Is(err, ErrCredentials) || w.writes != 1 {
					t.Errorf("error %v after %d writes, want ErrCredentials after one", err, w.writes)
				}
				return
			}
			if err != nil || s.AMR != tt.amr {
				t.Fatalf("%+v, %v; want a sign-in by %s", s, err, tt.amr)
			}
			if w.writes != 0 || w.settled != 0 {
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
		change func(*world)
	}{
		"wrong":                    {"wrong", func(*world) {}},
		"unknown":                  {rightCode, func(w *world) { delete(w.logins, w.bob().Key) }},
		"right code, codes locked": {rightCode, func(w *world) { w.bob().Lockout.Codes.LockedUntil = w.now.Add(time.Minute) }},
		"right code, all locked":   {rightCode, func(w *world) { lockAll(&w.bob().Lockout, w.now.Add(time.Minute)) }},
		"wrong, all locked":        {"wrong", func(w *world) { lockAll(&w.bob().Lockout, w.now.Add(time.Minute)) }},
		"unknown, locked": {rightCode, func(w *world) {
			delete(w.logins, w.bob().Key)
			w.unknown.LockedUntil = w.now.Add(1)
		}},
		"right password, locked":        {rightPassword, func(w *world) { w.bob().Lockout.LockedUntil = w.now.Add(1) }},
		"right code, user inactive":     {rightCode, func(w *world) { w.bob().User.Active = false }},
		"right password, login off":     {rightPassword, func(w *world) { w.bob().Login.Active = false }},
		"right password, expired, off":  {rightPassword, func(w *world) { w.bob().Rules.MaxAge = time.Hour; w.bob().Login.Active = false }},
		"wrong password, expired":       {"wrong", func(w *world) { w.bob().Rules.MaxAge = time.Hour }},
		"weak wrong password":           {"w", func(w *world) { w.bob().Rules.MinLength = 20 }},
		"right weak password, locked":   {rightPassword, func(w *world) { w.bob().Rules.MinLength = 20; w.bob().Lockout.LockedUntil = w.now.Add(1) }},
		"code used":                     {rightCode, func(w *world) { w.bob().Login.Code.UsedAt = w.now }},
		"code of another purpose":       {rightCode, func(w *world) { w.bob().Login.Code.Purpose = storage.PurposeResetPassword }},
		"code asked for by another one": {rightCode, func(w *world) { w.bob().Login.Code.ClientID = "other" }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, client := newWorld(t)
			tt.change(w)
			_, err := w.authenticator(t).Verify(t.Context(), client, attempt(tt.secret))
			if !errors.Is(err, ErrCredentials) {
				t.Fatalf("error %v, want ErrCredentials", err)
			}
			// What takes the place of a hash where a lock makes one pointless is not
			// chosen by what was presented.
			if locked := strings.Contains(name, "locked") && name != "right code, codes locked"; w.standIns == 1 != locked {
				t.Errorf("%d stand-ins while locked: %v", w.standIns, locked)
			}
			if w.hashes+w.standIns != 1 || w.writes != 1 || w.reads != 1 {
				t.Errorf("%d hashes and stand-ins, %d writes, %d reads, want one of each", w.hashes+w.standIns, w.writes, w.reads)
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
			w, client := newWorld(t)
			w.bob().Rules = tt.rules
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
			if w.writes != 0 || w.bob().Lockout.Failures != 0 {
				t.Error("the right password was counted as a failure")
			}
			if diff := cmp.Diff([]string{tt.event}, w.outcomes()); diff != "" {
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
		change   func(*world, *Attempt)
		failures int
		writes   int
	}{
		"live code":            {func(*world, *Attempt) {}, 1, 1},
		"no live code":         {func(w *world, _ *Attempt) { w.bob().Login.Code.UsedAt = w.now }, 0, 1},
		"attempt without code": {func(_ *world, at *Attempt) { at.OTP = false }, 0, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, client := newWorld(t)
			a, err := NewAuthenticator(AuthenticatorConfig{Store: w, Codes: w, Passwords: busyHasher{w}, Now: w.clock})
			if err != nil {
				t.Fatal(err)
			}
			at := attempt("wrong")
			tt.change(w, &at)
			if _, err := a.Verify(t.Context(), client, at); !errors.Is(err, ErrBusy) {
				t.Fatalf("error %v, want ErrBusy", err)
			}
			if got := w.bob().Lockout.Failures; got != tt.failures || w.writes != tt.writes {
				t.Errorf("%d failures and %d writes, want %d and %d", got, w.writes, tt.failures, tt.writes)
			}
		})
	}
}

// TestPasswordGrant: what the grant takes for a sign-in, and that a token that
// cannot be signed burns no code.
func TestPasswordGrant(t *testing.T) {
	t.Parallel()
	w, client := newWorld(t)
	h := &Password{Authenticator: w.authenticator(t), AccessTokens: w, RefreshTokens: refreshTokens(), Now: w.clock}
	w.mintErr = errors.New("no key")
	if _, err := ask(h, client, GrantPassword, form("username=bob password=12345678")); !errors.Is(err, w.mintErr) {
		t.Fatalf("error %v, want that of the signer", err)
	}
	w.mintErr = nil
	v := form("username=bob password=12345678")
	answer, err := ask(h, client, GrantPassword, v)
	if err != nil {
		t.Fatal(err)
	}
	if answer.GetExtra("refresh_token") == nil || answer.GetExtra("account_id") != nil || v.Has("password") {
		t.Errorf("answered %v, form left %v", answer.ToMap(), v)
	}
	token := w.minted[0]
	if !token.IssuedAt.Equal(start) || !token.ExpiresAt.Equal(start.Truncate(time.Second).Add(10*time.Minute)) || token.FamilyID == "" {
		t.Errorf("token %+v", token)
	}
	if _, err := ask(h, client, GrantPassword, form("username=bob password=12345678")); code(err) != "invalid_grant" {
		t.Errorf("second use of the code: %v", err)
	}
	w.bob().Login.Code = storage.Code{
		ID: "otc_2", Purpose: storage.PurposeResetPassword, ExpiresAt: w.now.Add(time.Minute),
		Digest: storage.Digest{Sum: []byte("87654321")},
	}
	if _, err := ask(h, client, GrantPassword, form("username=bob password=87654321")); code(err) != "invalid_grant" {
		t.Errorf("a code for resetting the password signed in: %v", err)
	}
	w.bob().Rules.MaxAge = time.Hour
	if _, err := ask(h, client, GrantPassword, form("username=bob password="+rightPassword)); code(err) != "invalid_grant" || !errors.Is(err, ErrPasswordExpired) {
		t.Errorf("expired password: %v", err)
	}
}
