package grants

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/grants/signin"
	"latchkey/storage"
)

// TestRefreshKeepsTheAccount tests that a refreshed account-member token is for the same
// account. It has the granted roles that the user still has in the account.
func TestRefreshKeepsTheAccount(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change  func(*fixture)
		form    string
		wantErr error
		scope   []string
	}{
		"unchanged":           {change: func(*fixture) {}, scope: []string{"Buy", "Approve"}},
		"more roles":          {change: func(fx *fixture) { fx.members["usr_bob"][0].Membership.Roles = []string{"Sell", "Approve", "Buy"} }, scope: []string{"Buy", "Approve"}},
		"fewer roles":         {change: func(fx *fixture) { fx.members["usr_bob"][0].Membership.Roles = []string{"Approve"} }, scope: []string{"Approve"}},
		"no roles":            {change: func(fx *fixture) { fx.members["usr_bob"][0].Membership.Roles = nil }},
		"narrower":            {change: func(*fixture) {}, form: " scope=Buy", scope: []string{"Buy"}},
		"wider":               {change: func(*fixture) {}, form: " scope=Shopper", wantErr: ErrScopeExceeded},
		"another account too": {change: func(fx *fixture) { fx.join("usr_bob", "beta", "Sell") }, scope: []string{"Buy", "Approve"}},
		"member no longer":    {change: func(fx *fixture) { fx.members["usr_bob"] = nil }, wantErr: ErrRefreshToken},
		"account inactive":    {change: func(fx *fixture) { fx.members["usr_bob"][0].Account.Active = false }, wantErr: ErrRefreshToken},
		"password changed by this session": {change: func(fx *fixture) {
			login := &fx.Bob().Login
			login.SessionsValidFrom = start.Add(1)
			for id := range fx.Families { // the only family
				login.KeptSession = id
			}
		}, scope: []string{"Buy", "Approve"}},
		"password changed": {change: func(fx *fixture) { fx.Bob().Login.SessionsValidFrom = start.Add(1) }, wantErr: ErrRefreshToken},
		"tokens revoked":   {change: func(fx *fixture) { fx.Bob().User.TokensValidFrom = start.Add(1) }, wantErr: ErrRefreshToken},
		"locked":           {change: func(fx *fixture) { fx.Bob().Lockout.LockedUntil = start.Add(time.Hour) }, wantErr: ErrRefreshToken},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fx, client := newFixture(t)
			grant := fx.accountMember(t)
			first, err := ask(grant, client, GrantAccountMember, form("username=bob one_time_password=12345678"))
			if err != nil {
				t.Fatal(err)
			}
			tt.change(fx)
			h := &Refresh{Families: fx, AccessTokens: fx, RefreshTokens: grant.RefreshTokens, Recorder: fx, Now: fx.Clock}
			refreshToken, _ := first.GetExtra("refresh_token").(string)
			answer, err := ask(h, client, GrantRefreshToken, form("refresh_token="+refreshToken+tt.form))
			if tt.wantErr != nil {
				if !errors.Is(err, tt.wantErr) {
					t.Errorf("got error %v, want %v", err, tt.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			token := fx.minted[1]
			if token.Member == nil || token.Member.Account.ID != "acme" || answer.GetExtra("account_id") != "acme" {
				t.Errorf("got %+v, %v; want the account acme", token, answer.ToMap())
			}
			if diff := cmp.Diff(tt.scope, token.Scope); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The addresses of Bob and of the attacker.
const (
	home     = "192.0.2.1"
	attacker = "203.0.113.66"
)

// lockFrom makes ten wrong attempts from an address. They lock the source if it is known, and
// otherwise the login for all unknown sources.
func lockFrom(t *testing.T, h *Password, c *storage.Client, address string) {
	t.Helper()
	for range 10 {
		if _, err := askFrom(address, h, c, GrantPassword, form("username=bob password=wrong")); !errors.Is(err, signin.ErrCredentials) {
			t.Fatalf("a wrong password from %s: got %v, want ErrCredentials", address, err)
		}
	}
}

// TestRefreshUnderLock tests that a refresh succeeds while the login is locked for unknown
// sources, and fails while the source of its sign-in is locked.
func TestRefreshUnderLock(t *testing.T) {
	t.Parallel()
	fx, client := newFixture(t)
	h := &Password{Authenticator: fx.authenticator(t), AccessTokens: fx, RefreshTokens: refreshTokens(), Now: fx.Clock}
	refresh := &Refresh{Families: fx, AccessTokens: fx, RefreshTokens: h.RefreshTokens, Recorder: fx, Now: fx.Clock}
	answer, err := askFrom(home, h, client, GrantPassword, form("username=bob password="+rightPassword))
	if err != nil {
		t.Fatal(err)
	}
	renew := func() error {
		v := form("")
		v.Set("refresh_token", answer.GetExtra("refresh_token").(string))
		next, err := ask(refresh, client, GrantRefreshToken, v)
		if err == nil {
			answer = next
		}
		return err
	}
	id := fx.minted[0].SourceID
	if s := fx.SourceOf(fx.Bob().Key, id); s == nil || s.Address != home {
		t.Fatalf("got a token with source %q, want one of the known sources %v", id, fx.Sources)
	}
	lockFrom(t, h, client, attacker)
	if err := renew(); err != nil {
		t.Errorf("refresh while unknown sources are locked: got %v, want no error", err)
	}
	if got := fx.minted[len(fx.minted)-1].SourceID; got != id {
		t.Errorf("got a refreshed token with source %q, want %q", got, id)
	}
	lockFrom(t, h, client, home)
	if err := renew(); !errors.Is(err, ErrRefreshToken) {
		t.Errorf("refresh while its own source is locked: got %v, want ErrRefreshToken", err)
	}
	fx.Now = fx.Now.Add(3 * time.Minute)
	if err := renew(); err != nil {
		t.Errorf("refresh after the lock: got %v, want no error", err)
	}
}
