package grants

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/grants/signin"
	"latchkey/storage"
)

// TestRefreshKeepsTheAccount: a refresh of an account-member token stays in its
// account, with the roles that were granted and are still held there.
func TestRefreshKeepsTheAccount(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change  func(*world)
		form    string
		wantErr error
		scope   []string
	}{
		"unchanged":           {change: func(*world) {}, scope: []string{"Buy", "Approve"}},
		"more roles":          {change: func(w *world) { w.members["usr_bob"][0].Membership.Roles = []string{"Sell", "Approve", "Buy"} }, scope: []string{"Buy", "Approve"}},
		"fewer roles":         {change: func(w *world) { w.members["usr_bob"][0].Membership.Roles = []string{"Approve"} }, scope: []string{"Approve"}},
		"no roles":            {change: func(w *world) { w.members["usr_bob"][0].Membership.Roles = nil }},
		"narrower":            {change: func(*world) {}, form: " scope=Buy", scope: []string{"Buy"}},
		"wider":               {change: func(*world) {}, form: " scope=Shopper", wantErr: ErrScopeExceeded},
		"another account too": {change: func(w *world) { w.join("usr_bob", "beta", "Sell") }, scope: []string{"Buy", "Approve"}},
		"member no longer":    {change: func(w *world) { w.members["usr_bob"] = nil }, wantErr: ErrRefreshToken},
		"account inactive":    {change: func(w *world) { w.members["usr_bob"][0].Account.Active = false }, wantErr: ErrRefreshToken},
		"password changed by this session": {change: func(w *world) {
			login := &w.Bob().Login
			login.SessionsValidFrom = start.Add(1)
			for id := range w.Families { // the only one
				login.KeptSession = id
			}
		}, scope: []string{"Buy", "Approve"}},
		"password changed": {change: func(w *world) { w.Bob().Login.SessionsValidFrom = start.Add(1) }, wantErr: ErrRefreshToken},
		"tokens revoked":   {change: func(w *world) { w.Bob().User.TokensValidFrom = start.Add(1) }, wantErr: ErrRefreshToken},
		"locked":           {change: func(w *world) { w.Bob().Lockout.LockedUntil = start.Add(time.Hour) }, wantErr: ErrRefreshToken},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, client := newWorld(t)
			grant := w.accountMember(t)
			first, err := ask(grant, client, GrantAccountMember, form("username=bob one_time_password=12345678"))
			if err != nil {
				t.Fatal(err)
			}
			tt.change(w)
			h := &Refresh{Families: w, AccessTokens: w, RefreshTokens: grant.RefreshTokens, Recorder: w, Now: w.Clock}
			refreshToken, _ := first.GetExtra("refresh_token").(string)
			answer, err := ask(h, client, GrantRefreshToken, form("refresh_token="+refreshToken+tt.form))
			if tt.wantErr != nil {
				if !errors.Is(err, tt.wantErr) {
					t.Errorf("error %v, want %v", err, tt.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			token := w.minted[1]
			if token.Member == nil || token.Member.Account.ID != "acme" || answer.GetExtra("account_id") != "acme" {
				t.Errorf("the account is lost: %+v, %v", token, answer.ToMap())
			}
			if diff := cmp.Diff(tt.scope, token.Scope); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Where bob signs in, and where he does not.
const (
	home = "192.0.2.1"
	lair = "203.0.113.66"
)

// lockFrom fails to sign bob in from an address as often as it takes to lock it.
func lockFrom(t *testing.T, h *Password, c *storage.Client, address string) {
	t.Helper()
	for range 10 {
		if _, err := askFrom(address, h, c, GrantPassword, form("username=bob password=wrong")); !errors.Is(err, signin.ErrCredentials) {
			t.Fatalf("wrong from %s: %v", address, err)
		}
	}
}

// TestSessionsGoOnWhereTheyBegan: a session stands under a lock made elsewhere,
// and falls with one of its own source.
func TestSessionsGoOnWhereTheyBegan(t *testing.T) {
	t.Parallel()
	w, client := newWorld(t)
	h := &Password{Authenticator: w.authenticator(t), AccessTokens: w, RefreshTokens: refreshTokens(), Now: w.Clock}
	refresh := &Refresh{Families: w, AccessTokens: w, RefreshTokens: h.RefreshTokens, Recorder: w, Now: w.Clock}
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
	id := w.minted[0].SourceID
	if s := w.SourceOf(w.Bob().Key, id); s == nil || s.Address != home {
		t.Fatalf("the token says %q, known are %v", id, w.Sources)
	}
	lockFrom(t, h, client, lair)
	if err := renew(); err != nil {
		t.Errorf("refresh under a lock made elsewhere: %v", err)
	}
	if got := w.minted[len(w.minted)-1].SourceID; got != id {
		t.Errorf("the refreshed token says %q, want %q", got, id)
	}
	lockFrom(t, h, client, home)
	if err := renew(); !errors.Is(err, ErrRefreshToken) {
		t.Errorf("refresh under a lock of its own source: %v", err)
	}
	w.Now = w.Now.Add(3 * time.Minute)
	if err := renew(); err != nil {
		t.Errorf("refresh after the lock: %v", err)
	}
}
