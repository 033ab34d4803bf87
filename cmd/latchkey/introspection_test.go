package main

import (
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// TestMetadata is G1.
func TestMetadata(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "sqlite:"+filepath.Join(t.TempDir(), "latchkey.db"))
	for issuer, paths := range map[string][]string{
		"https://login.example.com":        {"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"},
		"https://example.com/shop/tenant1": {"/.well-known/oauth-authorization-server/shop/tenant1", "/shop/tenant1/.well-known/openid-configuration"},
	} {
		t.Run(issuer, func(t *testing.T) {
			n := w.serve("LATCHKEY_ISSUER=" + issuer)
			want := map[string]any{
				"issuer":                                        issuer,
				"token_endpoint":                                issuer + "/oauth/token",
				"jwks_uri":                                      issuer + "/oauth/jwks",
				"revocation_endpoint":                           issuer + "/oauth/revoke",
				"introspection_endpoint":                        issuer + "/oauth/introspect",
				"grant_types_supported":                         []any{"password", "client_credentials", "refresh_token", "urn:latchkey:params:oauth:grant-type:account-member", "urn:ietf:params:oauth:grant-type:token-exchange"},
				"response_types_supported":                      []any{},
				"token_endpoint_auth_methods_supported":         []any{"none", "client_secret_basic", "client_secret_post", "private_key_jwt"},
				"revocation_endpoint_auth_methods_supported":    []any{"none", "client_secret_basic", "client_secret_post", "private_key_jwt"},
				"introspection_endpoint_auth_methods_supported": []any{"client_secret_basic", "client_secret_post", "private_key_jwt"},

				"token_endpoint_auth_signing_alg_values_supported":         []any{"ES256", "EdDSA", "RS256", "PS256"},
				"revocation_endpoint_auth_signing_alg_values_supported":    []any{"ES256", "EdDSA", "RS256", "PS256"},
				"introspection_endpoint_auth_signing_alg_values_supported": []any{"ES256", "EdDSA", "RS256", "PS256"},

				"registration_endpoint": issuer + "/oauth/register",

				"dpop_signing_alg_values_supported": []any{"ES256", "EdDSA", "RS256", "PS256"},
			}
			for _, path := range paths {
				a := n.do(http.MethodGet, path, "", "")
				if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/json" || a.header.Get("Cache-Control") != "public, max-age=3600" {
					t.Errorf("%s: %d %v", path, a.status, a.header)
				}
				if diff := cmp.Diff(want, a.wireBody(t)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", path, diff)
				}
			}
			mustServe(t, n, issuer, want)
			n.stop() // servers of one database have one issuer
		})
	}
}

// mustServe walks the addresses of the metadata, as they reach a server whose
// proxy leaves paths alone.
func mustServe(t *testing.T, n *node, issuer string, metadata map[string]any) {
	t.Helper()
	path := func(member string) string {
		address, _ := metadata[member].(string)
		return strings.TrimPrefix(address, "https://"+strings.Split(issuer, "/")[2])
	}
	me := []string{"client_id", "shop", "client_secret", shopSecret}
	token := n.form(path("token_endpoint"), append(me, "grant_type", "password", "username", "jane", "password", janesPassword)...).mustIssue(t)
	n.fetchKeys(t, path("jwks_uri"))
	mustFault(t, n.call(http.MethodPost, path("registration_endpoint"), "", "{}"), http.StatusUnauthorized, "invalid_token")
	introspect := func() answer { return n.form(path("introspection_endpoint"), append(me, "token", token)...) }
	if a := introspect(); a.field("iss") != issuer || a.field("aud") != issuer {
		t.Errorf("introspection: %d %s", a.status, a.body)
	}
	if a := n.form(path("revocation_endpoint"), append(me, "token", token)...); a.status != http.StatusOK {
		t.Errorf("revocation: %d %s", a.status, a.body)
	}
	if a := introspect(); a.body != `{"active":false}` {
		t.Errorf("introspection after the revocation: %d %s", a.status, a.body)
	}
}

func TestIntrospectionAndRevocation(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		c := &clientTest{world: w, first: w.serve(wireIssuer), second: w.serve(wireIssuer)}
		c.auditor = w.adminClient(t, "--name", "auditor", "--role", "TokenIntrospection")
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

// callers is the first half of G2: who may ask at all.
func (c *clientTest) callers(t *testing.T) {
	token := c.first.signIn("jane", janesPassword).mustIssue(t)
	body := encode("token", token)
	for what, header := range map[string][]string{
		"nobody": nil, "wrong secret": wireBasic("shop", "wrong"), "unknown client": wireBasic("nobody", "x"), "public client": wireBasic("codes-only", ""),
		"the token itself": {"Authorization", "Bearer " + token},
	} {
		t.Run(what, func(t *testing.T) {
			c.first.do(http.MethodPost, "/oauth/introspect", formMedia, body, header...).mustRefuse(t, 401, wireInvalidClient)
		})
	}
	if a := c.first.do(http.MethodPost, "/oauth/introspect", formMedia, body, wireBasic("shop", shopSecret)...); a.field("username") != "jane" {
		t.Errorf("by header: %d %s", a.status, a.body)
	}
	me := []string{"client_id", "shop", "client_secret", shopSecret}
	c.first.do(http.MethodGet, "/oauth/introspect?"+encode(append(me, "token", token)...), "", "").mustRefuse(t, 405, wireMethod)
	c.first.form("/oauth/introspect", me...).mustRefuse(t, 400, wireTokenMissing)
	c.first.form("/oauth/introspect?"+body, me...).mustRefuse(t, 400, wireTokenMissing)
	c.first.form("/oauth/introspect", append(me, "token", token, "token", token)...).mustRefuse(t, 400, wireRepeated)
	c.first.do(http.MethodPost, "/oauth/introspect", formMedia, encode(append(me, "token", token)...), wireBasic("shop", shopSecret)...).mustRefuse(t, 400, wireTwoWays)
	c.first.do(http.MethodPost, "/oauth/introspect", "application/json", `{"token":"x"}`, wireBasic("shop", shopSecret)...).mustRefuse(t, 415, wireMediaType)
}

// answers is the other half of G2: the members of RFC 7662 §2.2, and nothing
// at all about what is not active.
func (c *clientTest) answers(t *testing.T) {
	a := c.first.signIn("jane", janesPassword, "scope", "Shopper")
	access := c.second.introspect(a.mustIssue(t))
	body := access.wireBody(t)
	issued := wireTake[float64](t, body, "iat")
	for name, ahead := range map[string]float64{"exp": 3600, "nbf": -10} {
		if got := wireTake[float64](t, body, name) - issued; got != ahead {
			t.Errorf("%s is iat + %v, want + %v", name, got, ahead)
		}
	}
	sub, authenticated := wireTake[string](t, body, "sub"), wireTake[float64](t, body, "auth_time")
	if wireTake[string](t, body, "jti") == "" || uuid.Validate(sub) != nil || authenticated > issued || authenticated < issued-10 {
		t.Errorf("introspection: %s", access.body)
	}
	want := map[string]any{
		"active": true, "scope": "Shopper", "client_id": "shop", "username": "jane", "token_type": "bearer",
		"aud": "https://login.example.com", "iss": "https://login.example.com", "amr": []any{"pwd"},
	}
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("access token (-want +got):\n%s", diff)
	}
	if access.header.Get("Cache-Control") != "no-store" || access.header.Get("Pragma") != "no-cache" || access.header.Get("Content-Type") != "application/json;charset=UTF-8" {
		t.Errorf("headers %v", access.header)
	}

	body = c.second.introspect(a.field("refresh_token")).wireBody(t)
	if got := wireTake[float64](t, body, "exp") - wireTake[float64](t, body, "iat"); got != 86_400 {
		t.Errorf("the refresh token lives for %v s, want 86400", got)
	}
	delete(body, "auth_time")
	want = map[string]any{
		"active": true, "scope": "Shopper", "client_id": "shop", "username": "jane", "token_type": "refresh_token", "sub": sub,
		"iss": "https://login.example.com", "amr": []any{"pwd"},
	}
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("refresh token (-want +got):\n%s", diff)
	}
	for _, unknown := range []string{"x", "lkr_x", "lkr_a.1.b.c.d", a.field("access_token") + "x", a.field("refresh_token") + "x", strings.Repeat("x", 60_000)} {
		if a := c.first.introspect(unknown); a.status != http.StatusOK || a.body != `{"active":false}` {
			t.Errorf("token %.20q: %d %s", unknown, a.status, a.body)
		}
	}
}

// foreign is G4 and the client's part of G6.
func (c *clientTest) foreign(t *testing.T) {
	a := c.first.signIn("jane", janesPassword)
	other := []string{"client_id", "other", "client_secret", shopSecret}
	for _, token := range []string{a.mustIssue(t), a.field("refresh_token")} {
		if a := c.first.form("/oauth/introspect", append(other, "token", token)...); a.body != `{"active":false}` {
			t.Errorf("introspection by another client: %s", a.body)
		}
		c.first.form("/oauth/revoke", append(other, "token", token)...).mustRefuse(t, 400, wireForeignToken)
		c.first.form("/oauth/revoke", "client_id", "codes-only", "token", token).mustRefuse(t, 400, wireForeignToken)
		if a := c.first.introspect(token); a.field("username") != "jane" {
			t.Errorf("after a foreign revocation: %s", a.body)
		}
	}
	if !c.active(t, c.second, a.field("access_token")) {
		t.Error("a client with the role TokenIntrospection does not see the token")
	}
	if c.active(t, c.second, a.field("refresh_token")) {
		t.Error("a client sees the refresh token of another")
	}
	c.first.form("/oauth/token", append(other, "grant_type", "refresh_token", "refresh_token", a.field("refresh_token"))...).mustRefuse(t, 400, wireRefreshToken)
	c.first.refresh(a.field("refresh_token")).mustIssue(t)
}

// revocationRequests is the rest of G6.
func (c *clientTest) revocationRequests(t *testing.T) {
	me := []string{"client_id", "shop", "client_secret", shopSecret}
	c.first.form("/oauth/revoke", me...).mustRefuse(t, 400, wireTokenMissing)
	c.first.form("/oauth/revoke", append(me, "token", "")...).mustRefuse(t, 400, wireTokenMissing)
	c.first.form("/oauth/revoke?token=x", me...).mustRefuse(t, 400, wireTokenMissing)
	c.first.do(http.MethodGet, "/oauth/revoke?"+encode(append(me, "token", "x")...), "", "").mustRefuse(t, 405, wireMethod)
	c.first.form("/oauth/revoke", "token", "x").mustRefuse(t, 401, wireInvalidClient)
	c.first.form("/oauth/revoke", append(me, "token", "x", "token", "y")...).mustRefuse(t, 400, wireRepeated)
	for _, token := range []string{"x", "lkr_x", "lkr_a.1.b.c.d", "\x00\xff", strings.Repeat("x", 60_000)} {
		if a := c.first.form("/oauth/revoke", append(me, "token", token)...); a.status != http.StatusOK || a.body != "" || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("token %.20q: %d %s %v", token, a.status, a.body, a.header)
		}
	}
	// A wrong or unknown hint does no harm (RFC 7009 §2.1).
	for _, hint := range []string{"refresh_token", "access_token", "nonsense", "\x00"} {
		a := c.first.signIn("jane", janesPassword)
		for _, token := range []string{a.mustIssue(t), a.field("refresh_token")} {
			for range 2 { // the second time it is no longer there, which is as good
				if a := c.first.form("/oauth/revoke", append(me, "token", token, "token_type_hint", hint)...); a.status != http.StatusOK || a.body != "" {
					t.Errorf("hint %q: %d %s", hint, a.status, a.body)
				}
			}
			if a := c.second.introspect(token); a.body != `{"active":false}` {
				t.Errorf("hint %q: the token is still active: %s", hint, a.body)
			}
		}
	}
}

// revokedRefresh is G8, and G5 across replicas: the next question finds
// everything of the session ended.
func (c *clientTest) revokedRefresh(t *testing.T) {
	first := c.first.signIn("jane", janesPassword)
	other := c.first.signIn("jane", janesPassword)
	second := c.second.refresh(first.field("refresh_token"))
	tokens := []string{first.mustIssue(t), second.mustIssue(t), second.field("refresh_token")}
	for _, token := range tokens {
		if a := c.second.introspect(token); a.field("username") != "jane" {
			t.Fatalf("not active: %s", a.body)
		}
	}
	if a := c.first.form("/oauth/revoke", "client_id", "SHOP", "client_secret", shopSecret, "token", second.field("refresh_token")); a.status != http.StatusOK {
		t.Fatalf("revocation: %d %s", a.status, a.body)
	}
	for _, token := range tokens {
		if a := c.second.introspect(token); a.body != `{"active":false}` {
			t.Errorf("still active: %s", a.body)
		}
	}
	c.second.refresh(second.field("refresh_token")).mustRefuse(t, 400, wireRefreshToken)
	if a := c.second.introspect(other.mustIssue(t)); a.field("username") != "jane" {
		t.Errorf("another session ended too: %s", a.body)
	}
}

// revokedAccess: an access token that is revoked takes nothing else along.
func (c *clientTest) revokedAccess(t *testing.T) {
	a := c.first.signIn("jane", janesPassword)
	token := a.mustIssue(t)
	if a := c.first.form("/oauth/revoke", "client_id", "shop", "client_secret", shopSecret, "token", token); a.status != http.StatusOK {
		t.Fatalf("revocation: %d %s", a.status, a.body)
	}
	if a := c.second.introspect(token); a.body != `{"active":false}` {
		t.Errorf("still active: %s", a.body)
	}
	next := c.second.refresh(a.field("refresh_token")).mustIssue(t)
	if a := c.first.introspect(next); a.field("username") != "jane" {
		t.Errorf("the next token: %s", a.body)
	}
}

// session signs a user in and returns its tokens.
func (c *clientTest) session(t *testing.T, username string) (tokens []string) {
	t.Helper()
	a := c.first.signIn(username, janesPassword)
	tokens = []string{a.mustIssue(t), a.field("refresh_token")}
	for _, token := range tokens {
		if a := c.second.introspect(token); a.field("username") != username {
			t.Fatalf("not active: %s", a.body)
		}
	}
	return tokens
}

// mustHaveEnded holds tokens to be inactive on every replica, now.
func (c *clientTest) mustHaveEnded(t *testing.T, tokens []string) {
	t.Helper()
	for name, n := range c.replicas() {
		for _, token := range tokens {
			if a := n.introspect(token); a.body != `{"active":false}` {
				t.Errorf("still active on the %s replica: %s", name, a.body)
			}
		}
		n.refresh(tokens[1]).mustRefuse(t, 400, wireRefreshToken)
	}
}

// locked, userDisabled, buyerDisabled and expired are the rest of G5.
func (c *clientTest) locked(t *testing.T) {
	tokens := c.session(t, "john")
	for range 10 {
		c.first.form("/oauth/token", "grant_type", "password", "client_id", "codes-only", "username", "john", "password", "wrong").mustRefuse(t, 400, wireWrongCredentials)
	}
	c.mustHaveEnded(t, tokens)
	c.admin(t, "user", "unlock", "john")
	for name, n := range c.replicas() {
		if a := n.introspect(tokens[0]); a.field("username") != "john" {
			t.Errorf("after the unlock, %s replica: %s", name, a.body)
		}
	}
}

func (c *clientTest) userDisabled(t *testing.T) {
	tokens := c.session(t, "john")
	user := `{Buyers: [{ID: acme, Name: Acme Ltd, Active: true, Users: [{ID: john, Username: john, FirstName: John, LastName: Doe, Email: doe@example.com, Active: ACTIVE}]}]}`
	c.apply(strings.ReplaceAll(user, "ACTIVE", "false"))
	c.mustHaveEnded(t, tokens)
	c.apply(strings.ReplaceAll(user, "ACTIVE", "true"))
	c.first.signIn("john", janesPassword).mustIssue(t)
}

func (c *clientTest) buyerDisabled(t *testing.T) {
	tokens := slices.Concat(c.session(t, "jane"), c.session(t, "john"))
	c.apply(`{Buyers: [{ID: acme, Name: Acme Ltd, Active: false}]}`)
	c.mustHaveEnded(t, tokens)
	c.first.signIn("jane", janesPassword).mustRefuse(t, 400, wireWrongCredentials)
	c.apply(`{Buyers: [{ID: acme, Name: Acme Ltd, Active: true}]}`)
}

func (c *clientTest) expired(t *testing.T) {
	tokens := c.session(t, "jane")
	c.clock.advance(time.Hour)
	for name, n := range c.replicas() {
		if a := n.introspect(tokens[0]); a.body != `{"active":false}` {
			t.Errorf("%s replica, after an hour: %s", name, a.body)
		}
		if a := n.introspect(tokens[1]); a.field("username") != "jane" {
			t.Errorf("%s replica, the refresh token after an hour: %s", name, a.body)
		}
	}
	c.clock.advance(23 * time.Hour)
	c.mustHaveEnded(t, tokens)
}
