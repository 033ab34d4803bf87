package grants

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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
			login := &w.bob().Login
			login.SessionsValidFrom = start.Add(1)
			for id := range w.families { // the only one
				login.KeptSession = id
			}
		}, scope: []string{"Buy", "Approve"}},
		"password changed": {change: func(w *world) { w.bob().Login.SessionsValidFrom = start.Add(1) }, wantErr: ErrRefreshToken},
		"tokens revoked":   {change: func(w *world) { w.bob().User.TokensValidFrom = start.Add(1) }, wantErr: ErrRefreshToken},
		"locked":           {change: func(w *world) { w.bob().Lockout.LockedUntil = start.Add(time.Hour) }, wantErr: ErrRefreshToken},
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
			h := &Refresh{Families: w, AccessTokens: w, RefreshTokens: grant.RefreshTokens, Recorder: w, Now: w.clock}
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
