package grants

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/storage"
)

// TestTokenExchange tests that a subject token gets a token for another account or with fewer
// roles. All other requests get the errors of RFC 8693.
func TestTokenExchange(t *testing.T) {
	t.Parallel()
	const good = "subject_token=held subject_token_type=" + TokenTypeAccessToken
	tests := map[string]struct {
		form    string
		account string // of the subject token
		change  func(*fixture, *SubjectToken)
		code    string
		want    string
		scope   []string
	}{
		"same":                           {form: good, account: "acme", want: "acme", scope: []string{"Buy", "Approve"}},
		"as a JWT":                       {form: strings.Replace(good, TokenTypeAccessToken, TokenTypeJWT, 1), account: "acme", want: "acme", scope: []string{"Buy", "Approve"}},
		"narrower":                       {form: good + " scope=Approve", account: "acme", want: "acme", scope: []string{"Approve"}},
		"wider":                          {form: good + " scope=Approve+Shopper", account: "acme", code: "invalid_scope"},
		"another account":                {form: good + " account_id=beta requested_token_type=" + TokenTypeAccessToken, account: "acme", want: "beta", scope: []string{"Sell"}},
		"another account, its role":      {form: good + " account_id=beta scope=Sell+Buy", account: "acme", want: "beta", scope: []string{"Sell"}},
		"another account, no such role":  {form: good + " account_id=beta scope=Buy", account: "acme", code: "invalid_scope"},
		"into an account":                {form: good + " account_id=beta", want: "beta", scope: []string{"Sell"}},
		"without account":                {form: good, change: func(_ *fixture, h *SubjectToken) { h.Scope = []string{"Shopper"} }, scope: []string{"Shopper"}},
		"without account, role lost":     {form: good, scope: nil},
		"no such account":                {form: good + " account_id=nowhere", account: "acme", code: "invalid_target"},
		"account of others":              {form: good + " account_id=gamma", account: "acme", code: "invalid_target"},
		"role lost, same account":        {form: good, account: "acme", change: func(_ *fixture, h *SubjectToken) { h.Member.Membership.Roles = []string{"Buy"} }, want: "acme", scope: []string{"Buy"}},
		"forged":                         {form: strings.Replace(good, "held", "forged", 1), code: "invalid_request"},
		"locked":                         {form: good, change: func(_ *fixture, h *SubjectToken) { h.Principal.Lockout.LockedUntil = start.Add(1) }, code: "invalid_request"},
		"of no sign-in":                  {form: good, change: func(_ *fixture, h *SubjectToken) { h.AuthTime = time.Time{} }, code: "invalid_request"},
		"of no user":                     {form: good, change: func(_ *fixture, h *SubjectToken) { h.Principal = storage.Principal{} }, code: "invalid_request"},
		"account management token":       {form: good, account: "acme", change: func(_ *fixture, h *SubjectToken) { h.Access = false }, code: "invalid_request"},
		"no token":                       {form: "subject_token_type=" + TokenTypeAccessToken, code: "invalid_request"},
		"no type":                        {form: "subject_token=held", code: "invalid_request"},
		"unknown type":                   {form: "subject_token=held subject_token_type=urn:ietf:params:oauth:token-type:saml2", code: "invalid_request"},
		"another kind wanted":            {form: good + " requested_token_type=urn:ietf:params:oauth:token-type:refresh_token", code: "invalid_request"},
		"delegation":                     {form: good + " actor_token=held actor_token_type=" + TokenTypeAccessToken, code: "invalid_request"},
		"actor type alone":               {form: good + " actor_token_type=" + TokenTypeAccessToken, code: "invalid_request"},
		"another audience":               {form: good + " audience=other", code: "invalid_target"},
		"another resource":               {form: good + " resource=https://other.example", code: "invalid_target"},
		"store down":                     {form: strings.Replace(good, "held", "down", 1), code: "server_error"},
		"client does not admit any more": {form: good, change: func(_ *fixture, h *SubjectToken) { h.Principal.User.Kind = storage.Admin }, code: "invalid_request"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fx, client := newFixture(t)
			fx.join("usr_bob", "beta", "Sell")
			fx.join("usr_eve", "gamma", "Sell")
			held := fx.hold(tt.account, "Buy", "Approve")
			if tt.change != nil {
				tt.change(fx, held)
				fx.held["held"] = *held
			}
			v := form(tt.form)
			answer, err := ask(fx.exchange(), client, GrantTokenExchange, v)
			if code(err) != tt.code {
				t.Fatalf("got error %v, want %s", err, tt.code)
			}
			if v.Has("subject_token") || v.Has("actor_token") {
				t.Error("a token remains in the form, want it removed")
			}
			if err != nil {
				if len(fx.minted) != 0 {
					t.Error("a token was minted, want none")
				}
				return
			}
			token, account := fx.minted[0], ""
			if token.Member != nil {
				account = token.Member.Account.ID
			}
			if diff := cmp.Diff(tt.want, account); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.scope, token.Scope); diff != "" {
				t.Error(diff)
			}
			if answer.GetExtra("issued_token_type") != TokenTypeAccessToken || answer.GetExtra("refresh_token") != nil {
				t.Errorf("got the answer %v", answer.ToMap())
			}
			if token.FamilyID != "fam" || !token.AuthTime.Equal(held.AuthTime) || token.AMR[0] != "otp" || !token.ExpiresAt.Equal(held.ExpiresAt) {
				t.Errorf("the token exceeds the subject token: %+v", token)
			}
		})
	}
}

// TestTokenExchangeLife tests that the client's token lifetime applies if it ends before the
// subject token.
func TestTokenExchangeLife(t *testing.T) {
	t.Parallel()
	fx, client := newFixture(t)
	fx.hold("acme", "Buy")
	client.AccessTokenTTL = time.Minute
	if _, err := ask(fx.exchange(), client, GrantTokenExchange, form("subject_token=held subject_token_type="+TokenTypeAccessToken)); err != nil {
		t.Fatal(err)
	}
	if got, want := fx.minted[0].ExpiresAt, start.Truncate(time.Second).Add(time.Minute); !got.Equal(want) {
		t.Errorf("got the end %v, want %v", got, want)
	}
}

// TestTokenExchangeReason tests that no error text shows why a subject token is refused.
func TestTokenExchangeReason(t *testing.T) {
	t.Parallel()
	fx, client := newFixture(t)
	fx.hold("", "Shopper")
	locked := *fx.hold("", "Shopper")
	locked.Principal.Lockout.LockedUntil = start.Add(time.Hour)
	fx.held["locked"] = locked
	texts := map[string]bool{}
	for _, token := range []string{"forged", "locked"} {
		_, err := ask(fx.exchange(), client, GrantTokenExchange, form("subject_token="+token+" subject_token_type="+TokenTypeJWT))
		if err == nil {
			t.Fatalf("%s was accepted, want an error", token)
		}
		texts[err.Error()] = true
		if errors.Is(err, ErrSubjectToken) {
			t.Error("the error wraps ErrSubjectToken, so a server could map it to invalid_grant")
		}
	}
	if len(texts) != 1 {
		t.Errorf("got %d different answers, want 1", len(texts))
	}
}

// TestTokenExchangeIssueTime tests that the new token is issued at the time when the subject
// token was read. So a revocation in between also ends the new token.
func TestTokenExchangeIssueTime(t *testing.T) {
	t.Parallel()
	fx, client := newFixture(t)
	fx.hold("acme", "Buy")
	h := fx.exchange()
	h.Now = func() time.Time {
		now := fx.Now
		fx.Now = fx.Now.Add(time.Millisecond)
		return now
	}
	if _, err := ask(h, client, GrantTokenExchange, form("subject_token=held subject_token_type="+TokenTypeJWT)); err != nil {
		t.Fatal(err)
	}
	if issued := fx.minted[0].IssuedAt; !issued.Equal(start) {
		t.Errorf("got a token issued %v after the subject token was read, want 0", issued.Sub(start))
	}
}
