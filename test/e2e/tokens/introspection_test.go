package tokens

import (
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"latchkey/test/e2e/kit"
)

// TestMetadata tests that the metadata documents describe the server.
func TestMetadata(t *testing.T) {
	t.Parallel()
	w := kit.NewFixture(t, "sqlite:"+filepath.Join(t.TempDir(), "latchkey.db"))
	for issuer, paths := range map[string][]string{
		"https://login.example.com":        {"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"},
		"https://example.com/shop/tenant1": {"/.well-known/oauth-authorization-server/shop/tenant1", "/shop/tenant1/.well-known/openid-configuration"},
	} {
		t.Run(issuer, func(t *testing.T) {
			n := w.Serve("LATCHKEY_ISSUER=" + issuer)
			want := map[string]any{
				"issuer":                                        issuer,
				"token_endpoint":                                issuer + "/oauth/token",
				"jwks_uri":                                      issuer + "/oauth/jwks",
				"revocation_endpoint":                           issuer + "/oauth/revoke",
				"introspection_endpoint":                        issuer + "/oauth/introspect",
				"grant_types_supported":                         []any{"authorization_code", "password", "client_credentials", "refresh_token", "urn:latchkey:params:oauth:grant-type:account-member", "urn:ietf:params:oauth:grant-type:token-exchange"},
				"response_types_supported":                      []any{"code"},
				"token_endpoint_auth_methods_supported":         []any{"none", "client_secret_basic", "client_secret_post", "private_key_jwt"},
				"revocation_endpoint_auth_methods_supported":    []any{"none", "client_secret_basic", "client_secret_post", "private_key_jwt"},
				"introspection_endpoint_auth_methods_supported": []any{"client_secret_basic", "client_secret_post", "private_key_jwt"},

				"token_endpoint_auth_signing_alg_values_supported":         []any{"ES256", "EdDSA", "RS256", "PS256"},
				"revocation_endpoint_auth_signing_alg_values_supported":    []any{"ES256", "EdDSA", "RS256", "PS256"},
				"introspection_endpoint_auth_signing_alg_values_supported": []any{"ES256", "EdDSA", "RS256", "PS256"},

				"registration_endpoint": issuer + "/oauth/register",

				"dpop_signing_alg_values_supported": []any{"ES256", "EdDSA", "RS256", "PS256"},

				"authorization_endpoint":                         issuer + "/oauth/authorize",
				"pushed_authorization_request_endpoint":          issuer + "/oauth/par",
				"userinfo_endpoint":                              issuer + "/oauth/userinfo",
				"end_session_endpoint":                           issuer + "/oauth/end_session",
				"backchannel_logout_supported":                   true,
				"backchannel_logout_session_supported":           true,
				"authorization_response_iss_parameter_supported": true,
				"claims_parameter_supported":                     false,
				"request_parameter_supported":                    false,
				"request_uri_parameter_supported":                false,
				"code_challenge_methods_supported":               []any{"S256"},
				"response_modes_supported":                       []any{"query", "form_post"},
				"prompt_values_supported":                        []any{"none", "login", "consent", "select_account"},
				"acr_values_supported":                           []any{"urn:latchkey:acr:otp", "urn:latchkey:acr:pwd"},
				"scopes_supported":                               []any{"openid", "profile", "email", "phone", "offline_access"},
				"subject_types_supported":                        []any{"public"},
				"id_token_signing_alg_values_supported":          []any{"RS256", "ES256", "EdDSA"},
				"ui_locales_supported":                           []any{"de", "en"},
				"claims_supported": []any{
					"sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid", "at_hash",
					"name", "given_name", "middle_name", "family_name", "preferred_username", "locale",
					"email", "email_verified", "phone_number",
				},
			}
			for _, path := range paths {
				a := n.Do(http.MethodGet, path, "", "")
				if a.Status != http.StatusOK || a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Cache-Control") != "public, max-age=3600" {
					t.Errorf("%s: got %d %v, want 200", path, a.Status, a.Header)
				}
				if diff := cmp.Diff(want, a.JSON(t)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", path, diff)
				}
			}
			mustServe(t, n, issuer, want)
			n.Stop() // servers that share a database must have the same issuer
		})
	}
}

// mustServe requests the URLs of the metadata from a server behind a proxy that does not change
// paths.
func mustServe(t *testing.T, n *kit.Server, issuer string, metadata map[string]any) {
	t.Helper()
	path := func(member string) string {
		address, _ := metadata[member].(string)
		return strings.TrimPrefix(address, "https://"+strings.Split(issuer, "/")[2])
	}
	me := []string{"client_id", "shop", "client_secret", kit.ClientSecret}
	token := n.Form(path("token_endpoint"), append(me, "grant_type", "password", "username", "jane", "password", kit.Password)...).AccessToken(t)
	n.FetchKeys(t, path("jwks_uri"))
	mustFault(t, n.SendJSON(http.MethodPost, path("registration_endpoint"), "", "{}"), http.StatusUnauthorized, "invalid_token")
	introspect := func() kit.Response { return n.Form(path("introspection_endpoint"), append(me, "token", token)...) }
	if a := introspect(); a.Field("iss") != issuer || a.Field("aud") != issuer {
		t.Errorf("introspection: got %d %s", a.Status, a.Body)
	}
	if a := n.Form(path("revocation_endpoint"), append(me, "token", token)...); a.Status != http.StatusOK {
		t.Errorf("revocation: got %d %s, want 200", a.Status, a.Body)
	}
	if a := introspect(); a.Body != `{"active":false}` {
		t.Errorf("introspection after the revocation: got %d %s", a.Status, a.Body)
	}
}

func TestIntrospectionAndRevocation(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		c := &clientTest{Fixture: w, first: w.Serve(kit.SharedIssuer), second: w.Serve(kit.SharedIssuer)}
		c.auditor = w.CreateClient(t, "--name", "auditor", "--role", "TokenIntrospection")
		t.Run("parallel", func(t *testing.T) {
			for name, test := range map[string]func(*testing.T){
				"callers": c.callers, "answers": c.answers, "foreign": c.foreign, "requests": c.revocationRequests,
				"refresh token": c.revokedRefresh, "access token": c.revokedAccess,
			} {
				t.Run(name, func(t *testing.T) { t.Parallel(); test(t) })
			}
		})
		t.Run("locked", c.locked)
		t.Run("user disabled", c.userDisabled)
		t.Run("buyer disabled", c.buyerDisabled)
		t.Run("expired", c.expired)
	})
}

// callers tests who may introspect.
func (c *clientTest) callers(t *testing.T) {
	token := c.first.SignIn("jane", kit.Password).AccessToken(t)
	body := kit.EncodeForm("token", token)
	for what, header := range map[string][]string{
		"nobody": nil, "wrong secret": kit.BasicAuth("shop", "wrong"), "unknown client": kit.BasicAuth("nobody", "x"), "public client": kit.BasicAuth("codes-only", ""),
		"the token itself": {"Authorization", "Bearer " + token},
	} {
		t.Run(what, func(t *testing.T) {
			c.first.Do(http.MethodPost, "/oauth/introspect", kit.FormMedia, body, header...).MustRefuse(t, 401, kit.InvalidClient)
		})
	}
	if a := c.first.Do(http.MethodPost, "/oauth/introspect", kit.FormMedia, body, kit.BasicAuth("shop", kit.ClientSecret)...); a.Field("username") != "jane" {
		t.Errorf("by header: got %d %s", a.Status, a.Body)
	}
	me := []string{"client_id", "shop", "client_secret", kit.ClientSecret}
	c.first.Do(http.MethodGet, "/oauth/introspect?"+kit.EncodeForm(append(me, "token", token)...), "", "").MustRefuse(t, 405, kit.MethodNotAllowed)
	c.first.Form("/oauth/introspect", me...).MustRefuse(t, 400, kit.TokenMissing)
	c.first.Form("/oauth/introspect?"+body, me...).MustRefuse(t, 400, kit.TokenMissing)
	c.first.Form("/oauth/introspect", append(me, "token", token, "token", token)...).MustRefuse(t, 400, kit.RepeatedParameter)
	c.first.Do(http.MethodPost, "/oauth/introspect", kit.FormMedia, kit.EncodeForm(append(me, "token", token)...), kit.BasicAuth("shop", kit.ClientSecret)...).MustRefuse(t, 400, kit.TwoAuthentications)
	c.first.Do(http.MethodPost, "/oauth/introspect", "application/json", `{"token":"x"}`, kit.BasicAuth("shop", kit.ClientSecret)...).MustRefuse(t, 415, kit.WrongMediaType)
}

// answers tests the members of RFC 7662 §2.2, and that an inactive token has no members except
// active.
func (c *clientTest) answers(t *testing.T) {
	a := c.first.SignIn("jane", kit.Password, "scope", "Shopper")
	access := c.second.Introspect(a.AccessToken(t))
	body := access.JSON(t)
	issued := wireTake[float64](t, body, "iat")
	for name, ahead := range map[string]float64{"exp": 3600, "nbf": -10} {
		if got := wireTake[float64](t, body, name) - issued; got != ahead {
			t.Errorf("%s: got iat + %v, want iat + %v", name, got, ahead)
		}
	}
	sub, authenticated := wireTake[string](t, body, "sub"), wireTake[float64](t, body, "auth_time")
	if wireTake[string](t, body, "jti") == "" || uuid.Validate(sub) != nil || authenticated > issued || authenticated < issued-10 {
		t.Errorf("introspection: got %s", access.Body)
	}
	want := map[string]any{
		"active": true, "scope": "Shopper", "client_id": "shop", "username": "jane", "token_type": "bearer",
		"aud": "https://login.example.com", "iss": "https://login.example.com", "amr": []any{"pwd"},
	}
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("access token (-want +got):\n%s", diff)
	}
	if access.Header.Get("Cache-Control") != "no-store" || access.Header.Get("Pragma") != "no-cache" || access.Header.Get("Content-Type") != "application/json;charset=UTF-8" {
		t.Errorf("got the headers %v", access.Header)
	}

	body = c.second.Introspect(a.Field("refresh_token")).JSON(t)
	if got := wireTake[float64](t, body, "exp") - wireTake[float64](t, body, "iat"); got != 86_400 {
		t.Errorf("got a lifetime of the refresh token of %v s, want 86400", got)
	}
	delete(body, "auth_time")
	want = map[string]any{
		"active": true, "scope": "Shopper", "client_id": "shop", "username": "jane", "token_type": "refresh_token", "sub": sub,
		"iss": "https://login.example.com", "amr": []any{"pwd"},
	}
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("refresh token (-want +got):\n%s", diff)
	}
	for _, unknown := range []string{"x", "lkr_x", "lkr_a.1.b.c.d", a.Field("access_token") + "x", a.Field("refresh_token") + "x", strings.Repeat("x", 60_000)} {
		if a := c.first.Introspect(unknown); a.Status != http.StatusOK || a.Body != `{"active":false}` {
			t.Errorf("token %.20q: got %d %s, want 200", unknown, a.Status, a.Body)
		}
	}
}

// foreign tests introspection and revocation by other clients.
func (c *clientTest) foreign(t *testing.T) {
	a := c.first.SignIn("jane", kit.Password)
	other := []string{"client_id", "other", "client_secret", kit.ClientSecret}
	for _, token := range []string{a.AccessToken(t), a.Field("refresh_token")} {
		if a := c.first.Form("/oauth/introspect", append(other, "token", token)...); a.Body != `{"active":false}` {
			t.Errorf("introspection by another client: got %s", a.Body)
		}
		c.first.Form("/oauth/revoke", append(other, "token", token)...).MustRefuse(t, 400, kit.ForeignToken)
		c.first.Form("/oauth/revoke", "client_id", "codes-only", "token", token).MustRefuse(t, 400, kit.ForeignToken)
		if a := c.first.Introspect(token); a.Field("username") != "jane" {
			t.Errorf("after a foreign revocation: got %s", a.Body)
		}
	}
	if !c.active(t, c.second, a.Field("access_token")) {
		t.Error("a client with the role TokenIntrospection: got an inactive token, want an active one")
	}
	if c.active(t, c.second, a.Field("refresh_token")) {
		t.Error("the refresh token of another client: got an active token, want an inactive one")
	}
	c.first.Form("/oauth/token", append(other, "grant_type", "refresh_token", "refresh_token", a.Field("refresh_token"))...).MustRefuse(t, 400, kit.InvalidRefreshToken)
	c.first.Refresh(a.Field("refresh_token")).AccessToken(t)
}

// revocationRequests tests revocation with unknown tokens, hints and malformed requests.
func (c *clientTest) revocationRequests(t *testing.T) {
	me := []string{"client_id", "shop", "client_secret", kit.ClientSecret}
	c.first.Form("/oauth/revoke", me...).MustRefuse(t, 400, kit.TokenMissing)
	c.first.Form("/oauth/revoke", append(me, "token", "")...).MustRefuse(t, 400, kit.TokenMissing)
	c.first.Form("/oauth/revoke?token=x", me...).MustRefuse(t, 400, kit.TokenMissing)
	c.first.Do(http.MethodGet, "/oauth/revoke?"+kit.EncodeForm(append(me, "token", "x")...), "", "").MustRefuse(t, 405, kit.MethodNotAllowed)
	c.first.Form("/oauth/revoke", "token", "x").MustRefuse(t, 401, kit.InvalidClient)
	c.first.Form("/oauth/revoke", append(me, "token", "x", "token", "y")...).MustRefuse(t, 400, kit.RepeatedParameter)
	for _, token := range []string{"x", "lkr_x", "lkr_a.1.b.c.d", "\x00\xff", strings.Repeat("x", 60_000)} {
		if a := c.first.Form("/oauth/revoke", append(me, "token", token)...); a.Status != http.StatusOK || a.Body != "" || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("token %.20q: got %d %s %v", token, a.Status, a.Body, a.Header)
		}
	}
	// A wrong or unknown hint has no effect (RFC 7009 §2.1).
	for _, hint := range []string{"refresh_token", "access_token", "nonsense", "\x00"} {
		a := c.first.SignIn("jane", kit.Password)
		for _, token := range []string{a.AccessToken(t), a.Field("refresh_token")} {
			for range 2 { // the second revocation has the same answer
				if a := c.first.Form("/oauth/revoke", append(me, "token", token, "token_type_hint", hint)...); a.Status != http.StatusOK || a.Body != "" {
					t.Errorf("hint %q: got %d %s, want 200", hint, a.Status, a.Body)
				}
			}
			if a := c.second.Introspect(token); a.Body != `{"active":false}` {
				t.Errorf("hint %q: got %s, want an inactive token", hint, a.Body)
			}
		}
	}
}

// revokedRefresh tests that the revocation of a refresh token ends all tokens of its session at
// once on every replica.
func (c *clientTest) revokedRefresh(t *testing.T) {
	first := c.first.SignIn("jane", kit.Password)
	other := c.first.SignIn("jane", kit.Password)
	second := c.second.Refresh(first.Field("refresh_token"))
	tokens := []string{first.AccessToken(t), second.AccessToken(t), second.Field("refresh_token")}
	for _, token := range tokens {
		if a := c.second.Introspect(token); a.Field("username") != "jane" {
			t.Fatalf("got %s, want an active token", a.Body)
		}
	}
	if a := c.first.Form("/oauth/revoke", "client_id", "SHOP", "client_secret", kit.ClientSecret, "token", second.Field("refresh_token")); a.Status != http.StatusOK {
		t.Fatalf("revocation: got %d %s, want 200", a.Status, a.Body)
	}
	for _, token := range tokens {
		if a := c.second.Introspect(token); a.Body != `{"active":false}` {
			t.Errorf("got %s, want an inactive token", a.Body)
		}
	}
	c.second.Refresh(second.Field("refresh_token")).MustRefuse(t, 400, kit.InvalidRefreshToken)
	if a := c.second.Introspect(other.AccessToken(t)); a.Field("username") != "jane" {
		t.Errorf("the token of another session: got %s, want it active", a.Body)
	}
}

// revokedAccess tests that the revocation of an access token ends no other token.
func (c *clientTest) revokedAccess(t *testing.T) {
	a := c.first.SignIn("jane", kit.Password)
	token := a.AccessToken(t)
	if a := c.first.Form("/oauth/revoke", "client_id", "shop", "client_secret", kit.ClientSecret, "token", token); a.Status != http.StatusOK {
		t.Fatalf("revocation: got %d %s, want 200", a.Status, a.Body)
	}
	if a := c.second.Introspect(token); a.Body != `{"active":false}` {
		t.Errorf("got %s, want an inactive token", a.Body)
	}
	next := c.second.Refresh(a.Field("refresh_token")).AccessToken(t)
	if a := c.first.Introspect(next); a.Field("username") != "jane" {
		t.Errorf("the next token: got %s", a.Body)
	}
}

// session signs a user in and returns the tokens.
func (c *clientTest) session(t *testing.T, username string) (tokens []string) {
	t.Helper()
	a := c.first.SignIn(username, kit.Password)
	tokens = []string{a.AccessToken(t), a.Field("refresh_token")}
	for _, token := range tokens {
		if a := c.second.Introspect(token); a.Field("username") != username {
			t.Fatalf("got %s, want an active token", a.Body)
		}
	}
	return tokens
}

// mustHaveEnded checks that tokens are inactive on every replica.
func (c *clientTest) mustHaveEnded(t *testing.T, tokens []string) {
	t.Helper()
	for name, n := range c.replicas() {
		for _, token := range tokens {
			if a := n.Introspect(token); a.Body != `{"active":false}` {
				t.Errorf("%s replica: got %s, want an inactive token", name, a.Body)
			}
		}
		n.Refresh(tokens[1]).MustRefuse(t, 400, kit.InvalidRefreshToken)
	}
}

// locked tests that a lock ends the tokens of its login, and that an unlock restores them.
// userDisabled, buyerDisabled and expired test other events that end tokens.
func (c *clientTest) locked(t *testing.T) {
	tokens := c.session(t, "john")
	for range 10 {
		c.first.Form("/oauth/token", "grant_type", "password", "client_id", "codes-only", "username", "john", "password", "wrong").MustRefuse(t, 400, kit.WrongCredentials)
	}
	c.mustHaveEnded(t, tokens)
	c.Command(t, "user", "unlock", "john")
	for name, n := range c.replicas() {
		if a := n.Introspect(tokens[0]); a.Field("username") != "john" {
			t.Errorf("after the unlock, %s replica: got %s", name, a.Body)
		}
	}
}

func (c *clientTest) userDisabled(t *testing.T) {
	tokens := c.session(t, "john")
	user := `{Buyers: [{ID: acme, Name: Acme Ltd, Active: true, Users: [{ID: john, Username: john, FirstName: John, LastName: Doe, Email: doe@example.com, Active: ACTIVE}]}]}`
	c.Apply(strings.ReplaceAll(user, "ACTIVE", "false"))
	c.mustHaveEnded(t, tokens)
	c.Apply(strings.ReplaceAll(user, "ACTIVE", "true"))
	c.first.SignIn("john", kit.Password).AccessToken(t)
}

func (c *clientTest) buyerDisabled(t *testing.T) {
	tokens := slices.Concat(c.session(t, "jane"), c.session(t, "john"))
	c.Apply(`{Buyers: [{ID: acme, Name: Acme Ltd, Active: false}]}`)
	c.mustHaveEnded(t, tokens)
	c.first.SignIn("jane", kit.Password).MustRefuse(t, 400, kit.WrongCredentials)
	c.Apply(`{Buyers: [{ID: acme, Name: Acme Ltd, Active: true}]}`)
}

func (c *clientTest) expired(t *testing.T) {
	tokens := c.session(t, "jane")
	c.Clock.Advance(time.Hour)
	for name, n := range c.replicas() {
		if a := n.Introspect(tokens[0]); a.Body != `{"active":false}` {
			t.Errorf("%s replica, after an hour: got %s", name, a.Body)
		}
		if a := n.Introspect(tokens[1]); a.Field("username") != "jane" {
			t.Errorf("%s replica, the refresh token after an hour: got %s", name, a.Body)
		}
	}
	c.Clock.Advance(23 * time.Hour)
	c.mustHaveEnded(t, tokens)
}
