package page

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"latchkey/test/e2e/kit"
)

// relyingParty is the redirect URI of the relying party of the certification plans.
const relyingParty = "https://rp.example/callback"

// loggedOut is where the relying party expects the browser after a logout.
const loggedOut = "https://rp.example/bye"

// certificationDocument contains the two clients that the plans need.
const certificationDocument = `
ApiClients:
  - {ID: rp, AppName: Relying party, ClientSecret: shop-secret-shop-secret-shop-secret, Active: true, AccessTokenDuration: 60, RefreshTokenDuration: 1440, AllowAnyBuyer: true,
     GrantTypes: [authorization_code, refresh_token], AllowedCredentials: [otp], RedirectUris: ["https://rp.example/callback"], PostLogoutRedirectUris: ["https://rp.example/bye"]}
  - {ID: second-rp, AppName: Second relying party, ClientSecret: shop-secret-shop-secret-shop-secret, Active: true, AccessTokenDuration: 60, RefreshTokenDuration: 1440, AllowAnyBuyer: true,
     GrantTypes: [authorization_code, refresh_token], AllowedCredentials: [otp], RedirectUris: ["https://rp.example/callback"]}
`

// module is what one module of a certification plan uses: its own user, and a browser without a
// session.
type module struct {
	*browser
	user string
	keys oidc.KeySet
}

// moduleTest is a module of a plan by its name. run returns why the module does not apply
// to this server, or nothing if it has passed.
type moduleTest struct {
	name string
	run  func(m *module) (notApplicable string)
}

// runPlan runs the modules of a plan on both databases. Every request has a code challenge,
// also in modules that have none in the plan, because the server demands one from all
// clients.
func runPlan(t *testing.T, plan []moduleTest) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		s := newSite(t, w)
		s.Apply(certificationDocument)
		var names []string
		for _, test := range plan {
			names = append(names, test.name)
		}
		s.AddUsersTo("acme", func(user kit.Object) {
			maps.Copy(user, kit.Object{"FirstName": "Jane", "LastName": "Doe", "Phone": "+44 20 7946 0000"})
		}, names...)
		keys := oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), kit.HTTPClient), s.Server.URL+"/oauth/jwks")
		for _, test := range plan {
			t.Run(test.name, func(t *testing.T) {
				defer func(before testing.TB) { s.T, s.Server.T = before, before }(s.T)
				s.T, s.Server.T = t, t
				own := &site{s.OneServer, t}
				if reason := test.run(&module{own.newBrowser(), test.name, keys}); reason != "" {
					t.Logf("not applicable: %s", reason)
				} else if !t.Failed() {
					t.Log("passed")
				}
			})
		}
	})
}

// request is an authorization request of the relying party, which authenticates with HTTP
// Basic.
func (m *module) request(scopes ...string) *authorizationRequest {
	a := m.authorizationRequest("rp", kit.ClientSecret, relyingParty, append([]string{"openid"}, scopes...)...)
	a.config.Endpoint.AuthStyle = oauth2.AuthStyleInHeader
	return a
}

// grant is what the relying party got for a code.
type grant struct {
	*oauth2.Token
	idToken string
	claims  map[string]any // of the ID token
}

// signInFor signs the user of the module in, and redeems the code.
func (m *module) signInFor(a *authorizationRequest, more ...string) grant {
	m.t.Helper()
	return m.redeem(a, m.signIn(a, m.user, more...))
}

// silently redeems a code that the browser gets by its session, without a question.
func (m *module) silently(a *authorizationRequest, more ...string) grant {
	m.t.Helper()
	return m.redeem(a, m.get(a.path(more...)).response(m.t, relyingParty))
}

// redeem redeems the code of a response. go-oidc verifies the ID token.
func (m *module) redeem(a *authorizationRequest, response url.Values) grant {
	m.t.Helper()
	if response.Get("state") != a.state || response.Get("iss") != "http://latchkey.test" {
		m.t.Errorf("got response %v, want state %q", response, a.state)
	}
	token, err := a.exchange(response.Get("code"))
	m.Must(err)
	raw, _ := token.Extra("id_token").(string)
	verifier := oidc.NewVerifier("http://latchkey.test", m.keys, &oidc.Config{ClientID: a.config.ClientID, Now: m.Clock.Now})
	id, err := verifier.Verify(context.Background(), raw)
	m.Must(err)
	m.Must(id.VerifyAccessToken(token.AccessToken))
	claims := map[string]any{}
	m.Must(id.Claims(&claims))
	if id.Subject == "" || claims["auth_time"] == nil {
		m.t.Errorf("got the claims %v", claims)
	}
	return grant{token, raw, claims}
}

// userinfo gets the claims from userinfo, and checks that the subject is that of the ID token.
func (m *module) userinfo(of grant) map[string]any {
	m.t.Helper()
	return m.userinfoAnswer(of, m.Server.Do(http.MethodGet, "/oauth/userinfo", "", "", "Authorization", "Bearer "+of.AccessToken))
}

func (m *module) userinfoAnswer(of grant, answer kit.Response) map[string]any {
	m.t.Helper()
	claims := kit.MustJSON(m.t, "userinfo", http.StatusOK, answer)
	if claims.Text("sub") != of.claims["sub"] {
		m.t.Errorf("got userinfo %s, ID token %v", answer.Body, of.claims)
	}
	members, _ := claims.At().(map[string]any)
	return members
}

// mustHave fails the test unless claims have these values: name, value, …
func (m *module) mustHave(claims map[string]any, want ...any) {
	m.t.Helper()
	for i := 0; i+1 < len(want); i += 2 {
		if got := claims[want[i].(string)]; got != want[i+1] {
			m.t.Errorf("claim %v: got %v, want %v", want[i], got, want[i+1])
		}
	}
}

// metadata returns a member of the discovery document.
func (m *module) metadata(name string) any {
	m.t.Helper()
	return kit.MustJSON(m.t, "discovery", http.StatusOK, m.Server.Do(http.MethodGet, "/.well-known/openid-configuration", "", "")).At(name)
}

// mustRefuse fails the test unless the browser is sent back with that error.
func (m *module) mustRefuse(a *authorizationRequest, code string, more ...string) {
	m.t.Helper()
	if got := m.get(a.path(more...)).response(m.t, relyingParty); got.Get("error") != code || got.Get("state") != a.state || got.Has("code") {
		m.t.Errorf("got response %v, want error %s", got, code)
	}
}
