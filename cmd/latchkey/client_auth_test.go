package main

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// clientDocument adds clients whose rules the tests try.
const clientDocument = `
ApiClients:
  - {ID: floor, AppName: Floor, Active: true, AccessTokenDuration: 10, AllowAnyBuyer: true, MinimumRequiredRoles: [Shopper, BuyerAdmin],
     GrantTypes: [password], AllowedCredentials: [otp, password]}
  - {ID: ceiling, AppName: Ceiling, Active: true, AccessTokenDuration: 10, RefreshTokenDuration: 120, AllowAnyBuyer: true,
     MaximumGrantedRoles: [Shopper, FullAccess], GrantTypes: [password, refresh_token], AllowedCredentials: [password]}
  - {ID: brief, AppName: No refresh grant, Active: true, AccessTokenDuration: 10, RefreshTokenDuration: 120, AllowAnyBuyer: true,
     GrantTypes: [password], AllowedCredentials: [password]}
  - {ID: fleeting, AppName: Disabled by a test, ClientSecret: shop-secret-shop-secret-shop-secret, Active: true, AccessTokenDuration: 60,
     RefreshTokenDuration: 1440, AllowAnyBuyer: true, GrantTypes: [password, refresh_token, client_credentials], AllowedCredentials: [otp, password]}
  - {ID: dormant, AppName: Never active, ClientSecret: shop-secret-shop-secret-shop-secret, Active: false, AllowAnyBuyer: true}
`

func TestClientAuthentication(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		w.apply(clientDocument)
		c := &clientTest{world: w, first: w.serve(wireIssuer), second: w.serve(wireIssuer)}
		c.auditor = w.adminClient(t, "--name", "auditor", "--role", "TokenIntrospection")
		t.Run("parallel", func(t *testing.T) {
			for name, test := range map[string]func(*testing.T){
				"alike": c.alike, "letter case": c.letterCase, "public": c.public, "last secret": c.lastSecret,
				"secret shown once": c.secretShownOnce, "disabled": c.disabled, "no grants": c.noGrants,
				"ceiling": c.ceiling, "codes only": c.codesOnly, "durations": c.durations,
			} {
				t.Run(name, func(t *testing.T) { t.Parallel(); test(t) })
			}
		})
		t.Run("floor", c.floor)
		t.Run("several secrets", c.severalSecrets)
		t.Run("end of a refresh token", c.endOfRefresh)
	})
}

// clientTest is two replicas of one server, and a client that may introspect
// every token.
type clientTest struct {
	*world
	first, second *node
	auditor       createdClient
}

func (c *clientTest) replicas() map[string]*node {
	return map[string]*node{"first": c.first, "second": c.second}
}

// active asks a replica whether a token is active.
func (c *clientTest) active(t *testing.T, n *node, token string) bool {
	t.Helper()
	a := n.form("/oauth/introspect", "client_id", c.auditor.ID, "client_secret", c.auditor.Secret, "token", token)
	if a.status != http.StatusOK {
		t.Errorf("introspection answered %d %s", a.status, a.body)
	}
	active, _ := a.wireBody(t)["active"].(bool)
	return active
}

// self asks for a token by client credentials.
func (n *node) self(id, secret string, more ...string) answer {
	return n.form("/oauth/token", append([]string{"grant_type", "client_credentials", "client_id", id, "client_secret", secret}, more...)...)
}

// alike is H6: no answer tells an unknown client from one whose secret was
// guessed wrong, whichever endpoint is asked. (That a client is inactive is told
// to whoever has its secret; see disabled.)
func (c *clientTest) alike(t *testing.T) {
	clients := map[string][2]string{
		"unknown": {"nobody", shopSecret}, "wrong secret": {"shop", "wrong"}, "no secret": {"shop", ""},
		"inactive, wrong": {"dormant", "wrong"}, "inactive, no secret": {"dormant", ""},
		"public with a secret": {"codes-only", shopSecret}, "public that never was": {"nobody-else", ""},
	}
	request := []string{"grant_type", "password", "username", "jane", "password", janesPassword, "token", "x"}
	for _, path := range []string{"/oauth/token", "/oauth/revoke", "/oauth/introspect"} {
		byForm := c.first.form(path, append(request, "client_id", "shop", "client_secret", "other")...)
		status := http.StatusUnauthorized
		if path == "/oauth/token" {
			status = http.StatusBadRequest
		}
		byForm.mustRefuse(t, status, wireInvalidClient)
		byHeader := c.first.do(http.MethodPost, path, formMedia, encode(request...), wireBasic("shop", "other")...)
		byHeader.mustRefuse(t, http.StatusUnauthorized, wireInvalidClient)
		for what, k := range clients {
			t.Run(path+" "+what, func(t *testing.T) {
				byForm.mustEqual(t, c.first.form(path, append(request, "client_id", k[0], "client_secret", k[1])...))
				byHeader.mustEqual(t, c.first.do(http.MethodPost, path, formMedia, encode(request...), wireBasic(k[0], k[1])...))
			})
		}
	}
}

// letterCase: OrderCloud's client ids are GUIDs that people type in any case.
func (c *clientTest) letterCase(t *testing.T) {
	for _, id := range []string{"shop", "SHOP", "Shop"} {
		a := c.first.form("/oauth/token", wireWith(plainJane(), "client_id", id)...)
		token := a.mustIssue(t)
		introspected := c.first.form("/oauth/introspect", "client_id", strings.ToUpper(id), "client_secret", shopSecret, "token", token)
		if got := introspected.field("client_id"); got != "shop" {
			t.Errorf("client_id of the token for %q is %q, want as registered", id, got)
		}
		c.first.form("/oauth/token", "grant_type", "refresh_token", "client_id", strings.ToUpper(id), "client_secret", shopSecret,
			"refresh_token", a.field("refresh_token")).mustIssue(t)
		c.first.do(http.MethodPost, "/oauth/token", formMedia, encode(wireWithout(wireWithout(plainJane(), "client_secret"), "client_id")...)+"&client_id=sHoP",
			wireBasic(id, shopSecret)...).mustIssue(t)
	}
	c.first.form("/oauth/token", wireWith(plainJane(), "client_secret", strings.ToUpper(shopSecret))...).mustRefuse(t, 400, wireInvalidClient)
}

func plainJane() []string {
	return []string{"grant_type", "password", "client_id", "shop", "client_secret", shopSecret, "username", "jane", "password", janesPassword}
}

// public: a client without a secret must not be believed to have one, and its
// id alone is enough where that is enough for anything.
func (c *clientTest) public(t *testing.T) {
	k := c.adminClient(t, "--name", "public", "--public", "--grant", "password", "--grant", "refresh_token")
	if k.Secret != "" {
		t.Error("a public client was given a secret")
	}
	user := []string{"grant_type", "password", "username", "jane", "password", janesPassword}
	byForm := append([]string{"client_id", k.ID}, user...)
	a := c.first.form("/oauth/token", byForm...)
	token := a.mustIssue(t)
	c.first.do(http.MethodPost, "/oauth/token", formMedia, encode(user...), wireBasic(k.ID, "")...).mustIssue(t)
	c.first.form("/oauth/token", wireWith(byForm, "client_secret", "guess")...).mustRefuse(t, 400, wireInvalidClient)
	c.first.do(http.MethodPost, "/oauth/token", formMedia, encode(user...), wireBasic(k.ID, "guess")...).mustRefuse(t, 401, wireInvalidClient)

	c.first.form("/oauth/introspect", "client_id", k.ID, "token", token).mustRefuse(t, 401, wireInvalidClient)
	if a := c.first.form("/oauth/revoke", "client_id", k.ID, "token", a.field("refresh_token")); a.status != http.StatusOK || a.body != "" {
		t.Errorf("revocation answered %d %s", a.status, a.body)
	}
	if c.active(t, c.second, token) {
		t.Error("the token outlives its session")
	}
	code, _, errs := call(t, "client", "create", "--name", "x", "--public", "--grant", "client_credentials")
	if code != exitUsage || !strings.Contains(errs, "a public client cannot have the grant client_credentials") {
		t.Errorf("got %d %q", code, errs)
	}
}

// lastSecret: a confidential client does not become public by losing its only
// secret.
func (c *clientTest) lastSecret(t *testing.T) {
	k := c.adminClient(t, "--name", "bare", "--grant", "client_credentials", "--role", "Bare")
	c.first.self(k.ID, k.Secret).mustIssue(t)
	c.admin(t, "client", "secret", "delete", k.ID, c.secretIDs(t, k.ID)["first"])
	for name, n := range c.replicas() {
		wireSoon(t, name+" replica refuses the deleted secret", func() bool { return n.self(k.ID, k.Secret).status != http.StatusOK })
		for _, secret := range []string{k.Secret, "", "x"} {
			n.self(k.ID, secret).mustRefuse(t, 400, wireInvalidClient)
		}
	}
}

// secretIDs returns the ids of a client's secrets by their names.
func (c *clientTest) secretIDs(t *testing.T, clientID string) map[string]string {
	t.Helper()
	var clients []clientView
	if err := json.Unmarshal([]byte(c.admin(t, "client", "list", "--output", "json")), &clients); err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{}
	for _, k := range clients {
		for _, s := range k.Secrets {
			if k.ID == clientID {
				ids[s.Name] = s.ID
			}
		}
	}
	return ids
}

// secretShownOnce is H1: a generated secret has at least 128 random bits and
// nothing can show it again.
func (c *clientTest) secretShownOnce(t *testing.T) {
	k := c.adminClient(t, "--name", "secretive", "--grant", "client_credentials", "--role", "Secretive")
	if raw, err := base64.RawURLEncoding.DecodeString(k.Secret); err != nil || len(raw) < 16 {
		t.Errorf("secret %q has %d bytes, %v, want at least 16", k.Secret, len(raw), err)
	}
	c.first.self(k.ID, k.Secret).mustIssue(t)
	c.first.self(k.ID, "x"+k.Secret).mustRefuse(t, 400, wireInvalidClient)
	for what, text := range map[string]string{
		"list": c.admin(t, "client", "list"), "list in JSON": c.admin(t, "client", "list", "--output", "json"), "log": c.log.String(),
	} {
		if strings.Contains(text, k.Secret) {
			t.Errorf("the %s tells the secret", what)
		}
	}
}

// disabled checks that neither a disabled client nor its tokens work on any replica. After
// it is enabled again, users can sign in through it, and its former tokens stay invalid.
func (c *clientTest) disabled(t *testing.T) {
	user := wireWith(plainJane(), "client_id", "fleeting")
	a := c.first.form("/oauth/token", user...)
	token, refresh := a.mustIssue(t), wireWith([]string{"grant_type", "refresh_token", "client_id", "fleeting", "client_secret", shopSecret}, "refresh_token", a.field("refresh_token"))
	if !c.active(t, c.first, token) || !c.active(t, c.second, token) {
		t.Fatal("the token is not active")
	}
	c.admin(t, "client", "disable", "FLEETING")
	for name, n := range c.replicas() {
		wireSoon(t, name+" replica has its tokens inactive", func() bool { return !c.active(t, n, token) })
		n.form("/oauth/token", user...).mustRefuse(t, 400, wireInactiveClient)
		n.form("/oauth/token", refresh...).mustRefuse(t, 400, wireInactiveClient)
		n.do(http.MethodPost, "/oauth/token", formMedia, "grant_type=client_credentials", wireBasic("fleeting", shopSecret)...).mustRefuse(t, 401, wireInactiveClient)
		n.form("/oauth/introspect", "client_id", "fleeting", "client_secret", shopSecret, "token", token).mustRefuse(t, 401, wireInactiveClient)
		mustRefuseCode(t, n.askForCodeThrough("fleeting", "jane", ""), "PasswordReset.MissingOrInvalidClientID", "ClientID is missing or invalid.")
	}
	c.admin(t, "client", "enable", "fleeting")
	wireSoon(t, "the client works again", func() bool { return c.first.form("/oauth/token", user...).status == http.StatusOK })
	if a := c.first.form("/oauth/token", refresh...); a.status != http.StatusBadRequest || a.field("error") != "invalid_grant" {
		t.Errorf("former refresh token: %d %s, want invalid_grant", a.status, a.body)
	}
}

// mustRefuseCode holds a refused request for a one-time password to the
// vendor's shape.
func mustRefuseCode(t *testing.T, a answer, code, message string) {
	t.Helper()
	want := map[string]any{"Errors": []any{map[string]any{"ErrorCode": code, "Message": message, "Data": nil}}}
	if diff := cmp.Diff(want, a.wireBody(t)); a.status != http.StatusBadRequest || diff != "" {
		t.Errorf("status %d, want 400; body (-want +got):\n%s", a.status, diff)
	}
	if got := a.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control %q, want no-store", got)
	}
}

// noGrants is B15: a new client may do nothing that nobody switched on.
func (c *clientTest) noGrants(t *testing.T) {
	k := c.adminClient(t, "--name", "new")
	id := []string{"client_id", k.ID, "client_secret", k.Secret}
	for _, grant := range [][]string{
		{"grant_type", "password", "username", "jane", "password", janesPassword},
		{"grant_type", "client_credentials"},
		{"grant_type", "refresh_token", "refresh_token", c.first.signIn("jane", janesPassword).field("refresh_token")},
	} {
		c.first.form("/oauth/token", append(grant, id...)...).mustRefuse(t, 400, wireUnauthorizedClient)
	}
	mustRefuseCode(t, c.first.askForCodeThrough(k.ID, "jane", ""),
		"OneTimePasswordRequest.NotEnabled", "One-time passwords are not enabled for this API client.")
}

// ceiling is H8: MaximumGrantedRoles cuts, at the sign-in and at every refresh.
func (c *clientTest) ceiling(t *testing.T) {
	user := []string{"grant_type", "password", "client_id", "ceiling", "username", "jane", "password", janesPassword}
	a := c.first.form("/oauth/token", user...)
	for range 2 {
		body := c.introspected(t, a.mustIssue(t))
		if body["scope"] != "Shopper" || a.field("scope") != "Shopper" {
			t.Errorf("scope %v, answered %q, want Shopper", body["scope"], a.field("scope"))
		}
		a = c.first.form("/oauth/token", "grant_type", "refresh_token", "client_id", "ceiling", "refresh_token", a.field("refresh_token"))
	}
	c.first.form("/oauth/token", wireWith(user, "scope", "MeAdmin FullAccess")...).mustRefuse(t, 400, wireNoRoleFits)
	c.first.form("/oauth/token", wireWith(user, "scope", "MeAdmin Shopper")...).mustIssue(t)
}

func (c *clientTest) introspected(t *testing.T, token string) map[string]any {
	t.Helper()
	return c.first.form("/oauth/introspect", "client_id", c.auditor.ID, "client_secret", c.auditor.Secret, "token", token).wireBody(t)
}

// durations is the rest of H8: the life of tokens is the client's, and without
// the refresh grant there is no refresh token.
func (c *clientTest) durations(t *testing.T) {
	a := c.first.form("/oauth/token", "grant_type", "password", "client_id", "brief", "username", "jane", "password", janesPassword)
	body := c.introspected(t, a.mustIssue(t))
	exp, _ := body["exp"].(float64)
	iat, _ := body["iat"].(float64)
	if exp-iat != 600 {
		t.Errorf("the token lives for %v s, want 600", exp-iat)
	}
	want := map[string]any{"token_type": "bearer", "expires_in": 600.0, "scope": "MeAdmin Shopper"}
	isToken := cmpopts.IgnoreMapEntries(func(name string, _ any) bool { return name == "access_token" })
	if diff := cmp.Diff(want, a.wireBody(t), isToken, cmpopts.EquateApprox(0, 5)); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
}

// codesOnly: a client that allows one-time passwords only takes no permanent
// password, and says no more than that it is wrong.
func (c *clientTest) codesOnly(t *testing.T) {
	user := []string{"grant_type", "password", "client_id", "codes-only", "username", "john"}
	c.first.form("/oauth/token", wireWith(user, "password", janesPassword)...).mustRefuse(t, 400, wireWrongCredentials)
	if a := c.first.askForCodeThrough("codes-only", "john", ""); a.status != http.StatusNoContent {
		t.Fatalf("asked for a code: %d %s", a.status, a.body)
	}
	code := c.inbox.next(t).EventBody.OneTimePassword
	c.first.form("/oauth/token", wireWith(user, "password", code)...).mustIssue(t)
	mustRefuseCode(t, c.first.askForCodeThrough("brief", "john", ""),
		"OneTimePasswordRequest.NotEnabled", "One-time passwords are not enabled for this API client.")
}

// floor is H8: a user who lacks a role that the client demands is refused, and
// the code is not used up.
func (c *clientTest) floor(t *testing.T) {
	user := []string{"grant_type", "password", "client_id", "floor", "username", "jane"}
	c.first.form("/oauth/token", wireWith(user, "password", "wrong")...).mustRefuse(t, 400, wireWrongCredentials)
	if a := c.first.askForCodeThrough("floor", "jane", ""); a.status != http.StatusNoContent {
		t.Fatalf("asked for a code: %d %s", a.status, a.body)
	}
	withCode := wireWith(user, "password", c.inbox.next(t).EventBody.OneTimePassword)
	c.first.form("/oauth/token", withCode...).mustRefuse(t, 400, wireRolesMissing)
	c.second.form("/oauth/token", wireWith(withCode, "scope", "Shopper")...).mustRefuse(t, 400, wireRolesMissing)
	c.apply(`{ApiClients: [{ID: floor, AppName: Floor, Active: true, AccessTokenDuration: 10, AllowAnyBuyer: true, MinimumRequiredRoles: [Shopper],
		GrantTypes: [password], AllowedCredentials: [otp, password]}]}`)
	wireSoon(t, "the floor is lowered", func() bool { return c.first.form("/oauth/token", withCode...).status == http.StatusOK })
	c.first.form("/oauth/token", withCode...).mustRefuse(t, 400, wireWrongCredentials)
}

// severalSecrets is H2.
func (c *clientTest) severalSecrets(t *testing.T) {
	k := c.adminClient(t, "--name", "rotating", "--grant", "client_credentials", "--role", "Rotating")
	add := func(args ...string) (s issuedSecret) {
		if err := json.Unmarshal([]byte(c.admin(t, append([]string{"client", "secret", "add", k.ID}, args...)...)), &s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	second, brief := add("--name", "second"), add("--name", "brief", "--expires-in", "1h")
	for name, n := range c.replicas() {
		wireSoon(t, name+" replica knows the secrets", func() bool { return n.self(k.ID, brief.Secret).status == http.StatusOK })
		for _, secret := range []string{k.Secret, second.Secret, brief.Secret} {
			n.self(k.ID, secret).mustIssue(t)
			n.do(http.MethodPost, "/oauth/token", formMedia, "grant_type=client_credentials", wireBasic(k.ID, secret)...).mustIssue(t)
		}
		n.self(k.ID, second.ID).mustRefuse(t, 400, wireInvalidClient)
		n.self("shop", second.Secret).mustRefuse(t, 400, wireInvalidClient)
	}
	c.admin(t, "client", "secret", "delete", k.ID, c.secretIDs(t, k.ID)["first"])
	c.clock.advance(time.Hour + time.Second)
	for name, n := range c.replicas() {
		wireSoon(t, name+" replica refuses the deleted secret", func() bool { return n.self(k.ID, k.Secret).status != http.StatusOK })
		n.self(k.ID, k.Secret).mustRefuse(t, 400, wireInvalidClient)
		n.self(k.ID, brief.Secret).mustRefuse(t, 400, wireInvalidClient)
		n.self(k.ID, second.Secret).mustIssue(t)
	}
}

// endOfRefresh: the life of a refresh token counts from the sign-in.
func (c *clientTest) endOfRefresh(t *testing.T) {
	a := c.first.form("/oauth/token", "grant_type", "password", "client_id", "ceiling", "username", "jane", "password", janesPassword)
	token := a.mustIssue(t)
	for _, wait := range []time.Duration{time.Hour, 59 * time.Minute} {
		c.clock.advance(wait)
		a = c.first.form("/oauth/token", "grant_type", "refresh_token", "client_id", "ceiling", "refresh_token", a.field("refresh_token"))
		a.mustIssue(t)
	}
	if c.active(t, c.first, token) {
		t.Error("the first access token is active after two hours")
	}
	c.clock.advance(time.Minute)
	c.first.form("/oauth/token", "grant_type", "refresh_token", "client_id", "ceiling", "refresh_token", a.field("refresh_token")).mustRefuse(t, 400, wireRefreshToken)
}
