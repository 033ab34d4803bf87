package accounts

import (
	"fmt"
	"net/http"
	"testing"

	"latchkey/storage"
	"latchkey/test/e2e/kit"
)

// withdrawnCredential tests that a client accepts no token of a sign-in by a credential that it no
// longer allows. Such a token stays invalid if the client allows the credential again. Tokens of a
// sign-in by the other credential stay valid.
func withdrawnCredential(t *testing.T, m *kit.ElasticPath) {
	hash, err := kit.PasswordHash()
	m.Must(err)
	m.Apply(`
ApiClients:
  - {ID: narrowing, AppName: Narrowing, ClientSecret: ` + kit.ClientSecret + `, Active: true, AccessTokenDuration: 60, RefreshTokenDuration: 2880, AllowAnyBuyer: true,
     GrantTypes: [implicit, password, refresh_token, "urn:latchkey:params:oauth:grant-type:account-member", "urn:ietf:params:oauth:grant-type:token-exchange"]}
`)
	one := m.AddAccount("Narrowed one")
	p := m.AddShopperWithHash(hash, "narrowed", one, m.AddAccount("Narrowed two"))
	m.AddMembership(p, one, "MeAdmin")
	for allowed, withdrawn := range map[string]string{"otp": "password", "password": "otp"} {
		ended, kept := beginSessions(t, m, p, withdrawn, one), beginSessions(t, m, p, allowed, one)
		allow(t, m, `"`+allowed+`"`)
		ended.mustEnd(t, m, withdrawn+" withdrawn")
		allow(t, m, `"otp","password"`)
		ended.mustEnd(t, m, withdrawn+" allowed again")
		kept.mustLive(t, m, allowed)
		again := beginSessions(t, m, p, withdrawn, one)
		again.mustLive(t, m, withdrawn+" after it was allowed again")
	}
}

// allow changes the credentials that the client allows.
func allow(t *testing.T, m *kit.ElasticPath, credentials string) {
	t.Helper()
	got := m.Server.CallV1(m.Admin().AccessToken, http.MethodPatch, "/v1/apiclients/narrowing", `{"AllowedCredentials":[`+credentials+`]}`)
	if got.Status != http.StatusOK {
		t.Fatalf("got %d %s, want 200", got.Status, got.Body)
	}
}

// sessionTokens are tokens of all kinds, from sign-ins by one credential.
type sessionTokens struct {
	plain, member      kit.TokenPair // of the password grant, and of the account-member grant
	selection, account string
	front              kit.Caller // a caller with the account token
	chosen             storage.Account
}

// beginSessions signs in by the credential for each kind of token.
func beginSessions(t *testing.T, m *kit.ElasticPath, p kit.Shopper, credential string, chosen storage.Account) sessionTokens {
	t.Helper()
	secret, fields := func() string { return kit.Password }, []string{"username", p.Username, "password"}
	body := kit.ByPassword
	if credential == "otp" {
		secret, fields[2] = func() string { return addKnownCode(m, p) }, "one_time_password"
		body = func(username, code string) kit.Object { return kit.ByCode("default", username, code) }
	}
	grant := func(more ...string) kit.Response {
		return m.Server.MemberGrant("narrowing", append(append(fields[:3:3], secret()), more...)...)
	}
	s := sessionTokens{chosen: chosen}
	s.plain = kit.TokenPairOf(t, credential, m.Server.SignInThrough("narrowing", p.Username, secret()))
	s.member = kit.TokenPairOf(t, credential, grant("account_id", chosen.ID))
	s.selection = kit.MustJSON(t, credential, http.StatusBadRequest, grant()).Text("selection_token")
	implicit := kit.MustJSON(t, credential, http.StatusOK, m.Server.Form("/oauth/access_token", "grant_type", "implicit", "client_id", "narrowing"))
	s.front = kit.Caller{Server: m.Server, AccessToken: implicit.Text("access_token")}
	s.account = s.front.Send(t, 201, http.MethodPost, kit.AccountTokensPath, body(p.Username, secret())).Text("data", 0, "token")
	s.front = s.front.WithAccountToken(s.account)
	return s
}

// uses are the requests that a token of each kind permits.
func (s *sessionTokens) uses(m *kit.ElasticPath) map[string]func() kit.Response {
	return map[string]func() kit.Response{
		"refresh":                     func() kit.Response { return m.Server.RefreshThrough("narrowing", s.plain.Refresh) },
		"refresh with a scope":        func() kit.Response { return m.Server.RefreshThrough("narrowing", s.member.Refresh, "scope", "MeAdmin") },
		"exchange":                    func() kit.Response { return m.Server.ExchangeToken("narrowing", s.member.Access) },
		"member_token":                func() kit.Response { return m.Server.MemberGrant("narrowing", "member_token", s.member.Access) },
		"member_token of /v2":         func() kit.Response { return m.Server.MemberGrant("narrowing", "member_token", s.account) },
		"renewal of an account token": func() kit.Response { return s.front.AccountTokens(kit.ByAccountToken()) },
		"selection_token": func() kit.Response {
			return m.Server.MemberGrant("narrowing", "selection_token", s.selection, "account_id", s.chosen.ID)
		},
		"introspection":                   func() kit.Response { return active(m, s.member.Access) },
		"a user's own data":               func() kit.Response { return m.Server.CallV1(s.member.Access, http.MethodGet, "/v1/me", "") },
		"a member's accounts, through v2": func() kit.Response { return s.front.Try(http.MethodGet, "/v2/accounts", nil) },
	}
}

// active introspects a token. The status is 401 if the token is inactive.
func active(m *kit.ElasticPath, token string) kit.Response {
	got := m.Server.IntrospectThrough("narrowing", token)
	if got.Body == kit.InactiveBody {
		got.Status = http.StatusUnauthorized
	}
	return got
}

// mustEnd fails the test if a token is accepted.
func (s *sessionTokens) mustEnd(t *testing.T, m *kit.ElasticPath, what string) {
	t.Helper()
	refusals := map[string]string{
		"refresh": kit.InvalidRefreshTokenBody, "refresh with a scope": kit.InvalidRefreshTokenBody, "exchange": refusedSubject,
		"member_token": refusedMemberToken, "member_token of /v2": refusedMemberToken, "selection_token": refusedMemberToken,
	}
	kit.MustBeInactive(t, what+": introspection of a refresh token", m.Server.IntrospectThrough("narrowing", s.plain.Refresh))
	for use, send := range s.uses(m) {
		name, got := fmt.Sprint(what, ": ", use), send()
		switch body := refusals[use]; {
		case body != "":
			kit.MustRefuse(t, name, got, body)
		case use == "renewal of an account token":
			kit.MustFailV2(t, name, got)
		case got.Status != http.StatusUnauthorized:
			t.Errorf("%s: got %d %s, want 401", name, got.Status, got.Body)
		}
	}
}

// mustLive fails the test if a token is refused.
func (s *sessionTokens) mustLive(t *testing.T, m *kit.ElasticPath, what string) {
	t.Helper()
	for use, send := range s.uses(m) {
		if got := send(); got.Status >= 300 {
			t.Errorf("%s: %s: got %d %s, want a success", what, use, got.Status, got.Body)
		}
	}
}
