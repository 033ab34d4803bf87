package grants

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/storage"
)

// TestClientCredentials tests which user the client acts as, how long the token lives, and the
// reason of a refusal.
func TestClientCredentials(t *testing.T) {
	t.Parallel()
	acting := func(c *storage.Client) { c.DefaultContextUser = "Bob" }
	anonymous := func(c *storage.Client) {
		c.Public, c.AnonymousBuyer, c.DefaultContextUser, c.AnonymousTokenTTL = true, true, "bob", 7*24*time.Hour
	}
	both := func(a, b func(*storage.Client)) func(*storage.Client) {
		return func(c *storage.Client) { a(c); b(c) }
	}
	tests := map[string]struct {
		client  func(*storage.Client)
		user    func(*storage.Principal)
		code    string
		wantErr error
		subject string
		life    time.Duration
	}{
		"for itself":                     {client: func(*storage.Client) {}, life: 10 * time.Minute},
		"needs a context user":           {client: func(c *storage.Client) { c.RequiresContextUser = true }, code: "invalid_grant", wantErr: ErrContextUserRequired},
		"as the context user":            {client: acting, subject: "usr_bob", life: 10 * time.Minute},
		"unknown user":                   {client: func(c *storage.Client) { c.DefaultContextUser = "eve" }, code: "invalid_grant", wantErr: ErrContextUserRequired},
		"user inactive":                  {client: acting, user: func(p *storage.Principal) { p.User.Active = false }, code: "invalid_grant", wantErr: ErrUserInactive},
		"login inactive":                 {client: acting, user: func(p *storage.Principal) { p.Login.Active = false }, code: "invalid_grant", wantErr: ErrUserInactive},
		"company inactive":               {client: acting, user: func(p *storage.Principal) { p.User.AccountUID = "acc_acme" }, code: "invalid_grant", wantErr: ErrCompanyInactive},
		"locked":                         {client: acting, user: func(p *storage.Principal) { p.Lockout.LockedUntil = start.Add(1) }, code: "invalid_grant", wantErr: ErrLockedOut},
		"not admitted":                   {client: both(acting, func(c *storage.Client) { c.AllowAnyBuyer = false }), code: "invalid_grant", wantErr: ErrContextUserRequired},
		"public":                         {client: func(c *storage.Client) { c.Public = true }, code: "unauthorized_client"},
		"public with a context user":     {client: both(acting, func(c *storage.Client) { c.Public = true }), code: "unauthorized_client"},
		"anonymous":                      {client: anonymous, subject: "usr_bob", life: 7 * 24 * time.Hour},
		"anonymous without a life":       {client: both(anonymous, func(c *storage.Client) { c.AnonymousTokenTTL = 0 }), subject: "usr_bob", life: 10 * time.Minute},
		"anonymous without a user":       {client: both(anonymous, func(c *storage.Client) { c.DefaultContextUser = "" }), code: "unauthorized_client"},
		"anonymous, user inactive":       {client: anonymous, user: func(p *storage.Principal) { p.User.Active = false }, code: "invalid_grant", wantErr: ErrContextUserRequired},
		"anonymous, locked":              {client: anonymous, user: func(p *storage.Principal) { p.Lockout.LockedUntil = start.Add(1) }, code: "invalid_grant", wantErr: ErrContextUserRequired},
		"anonymous as an administrator":  {client: both(anonymous, func(c *storage.Client) { c.AllowSeller = true }), user: func(p *storage.Principal) { p.User.Kind = storage.Admin }, code: "invalid_grant", wantErr: ErrContextUserRequired},
		"with a secret, client of both":  {client: both(anonymous, func(c *storage.Client) { c.Public = false }), subject: "usr_bob", life: 10 * time.Minute},
		"anonymous, without a minimum":   {client: both(anonymous, func(c *storage.Client) { c.MinimumRoles = []string{"X"} }), code: "invalid_grant", wantErr: ErrInsufficientRoles},
		"anonymous, without the setting": {client: both(anonymous, func(c *storage.Client) { c.AnonymousBuyer = false }), code: "unauthorized_client"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fx, client := newFixture(t)
			tt.client(client)
			if tt.user != nil {
				tt.user(fx.Bob())
			}
			h := &ClientCredentials{Users: fx, AccessTokens: fx, Now: fx.Clock}
			answer, err := ask(h, client, GrantClientCredentials, form(""))
			if code(err) != tt.code || tt.wantErr != nil && !errors.Is(err, tt.wantErr) {
				t.Fatalf("got error %v, want %s, %v", err, tt.code, tt.wantErr)
			}
			if errors.Is(tt.wantErr, ErrContextUserRequired) {
				for _, reason := range []error{ErrUserInactive, ErrCompanyInactive, ErrLockedOut} {
					if errors.Is(err, reason) {
						t.Errorf("the error reveals %v", reason)
					}
				}
			}
			if err != nil {
				return
			}
			token := fx.minted[0]
			subject := ""
			if token.Principal != nil {
				subject = token.Principal.User.UID
			}
			if diff := cmp.Diff(tt.subject, subject); diff != "" {
				t.Error(diff)
			}
			if life := token.ExpiresAt.Sub(token.IssuedAt.Truncate(time.Second)); life != tt.life {
				t.Errorf("the token lives %v, want %v", life, tt.life)
			}
			if answer.GetExtra("refresh_token") != nil || !token.AuthTime.IsZero() {
				t.Error("got a refresh token or an auth_time, want neither without a sign-in")
			}
		})
	}
}
