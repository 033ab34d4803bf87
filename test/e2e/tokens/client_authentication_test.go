package tokens

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"latchkey/test/e2e/kit"
)

// clientDocument adds clients with the rules that the tests use.
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
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		w.Apply(clientDocument)
		c := &clientTest{Fixture: w, first: w.Serve(kit.SharedIssuer), second: w.Serve(kit.SharedIssuer)}
		c.auditor = w.CreateClient(t, "--name", "auditor", "--role", "TokenIntrospection")
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

// clientTest has two replicas of one server, and a client that may introspect every token.
type clientTest struct {
	*kit.Fixture
	first, second *kit.Server
	auditor       kit.Client
}

func (c *clientTest) replicas() map[string]*kit.Server {
	return map[string]*kit.Server{"first": c.first, "second": c.second}
}

// active reports whether a replica regards a token as active.
func (c *clientTest) active(t *testing.T, n *kit.Server, token string) bool {
	t.Helper()
	a := n.Form("/oauth/introspect", "client_id", c.auditor.ID, "client_secret", c.auditor.Secret, "token", token)
	if a.Status != http.StatusOK {
		t.Errorf("introspection: got %d %s, want 200", a.Status, a.Body)
	}
	active, _ := a.JSON(t)["active"].(bool)
	return active
}

// alike tests that no endpoint distinguishes an unknown client from a client with a wrong
// secret. Only a caller with the right secret learns that a client is inactive; see disabled.
func (c *clientTest) alike(t *testing.T) {
	clients := map[string][2]string{
		"unknown": {"nobody", kit.ClientSecret}, "wrong secret": {"shop", "wrong"}, "no secret": {"shop", ""},
		"inactive, wrong": {"dormant", "wrong"}, "inactive, no secret": {"dormant", ""},
		"public with a secret": {"codes-only", kit.ClientSecret}, "public that never was": {"nobody-else", ""},
	}
	request := []string{"grant_type", "password", "username", "jane", "password", kit.Password, "token", "x"}
	for _, path := range []string{"/oauth/token", "/oauth/revoke", "/oauth/introspect"} {
		byForm := c.first.Form(path, append(request, "client_id", "shop", "client_secret", "other")...)
		status := http.StatusUnauthorized
		if path == "/oauth/token" {
			status = http.StatusBadRequest
		}
		byForm.MustRefuse(t, status, kit.InvalidClient)
		byHeader := c.first.Do(http.MethodPost, path, kit.FormMedia, kit.EncodeForm(request...), kit.BasicAuth("shop", "other")...)
		byHeader.MustRefuse(t, http.StatusUnauthorized, kit.InvalidClient)
		for what, k := range clients {
			t.Run(path+" "+what, func(t *testing.T) {
				byForm.MustEqual(t, c.first.Form(path, append(request, "client_id", k[0], "client_secret", k[1])...))
				byHeader.MustEqual(t, c.first.Do(http.MethodPost, path, kit.FormMedia, kit.EncodeForm(request...), kit.BasicAuth(k[0], k[1])...))
			})
		}
	}
}

// letterCase tests that client IDs match in any case. OrderCloud's client IDs are GUIDs, which
// people type in any case.
func (c *clientTest) letterCase(t *testing.T) {
	for _, id := range []string{"shop", "SHOP", "Shop"} {
		a := c.first.Form("/oauth/token", kit.WithField(plainJane(), "client_id", id)...)
		token := a.AccessToken(t)
		introspected := c.first.Form("/oauth/introspect", "client_id", strings.ToUpper(id), "client_secret", kit.ClientSecret, "token", token)
		if got := introspected.Field("client_id"); got != "shop" {
			t.Errorf("client %q: got client_id %q, want the registered one", id, got)
		}
		c.first.Form("/oauth/token", "grant_type", "refresh_token", "client_id", strings.ToUpper(id), "client_secret", kit.ClientSecret,
			"refresh_token", a.Field("refresh_token")).AccessToken(t)
		c.first.Do(http.MethodPost, "/oauth/token", kit.FormMedia, kit.EncodeForm(kit.WithoutField(kit.WithoutField(plainJane(), "client_secret"), "client_id")...)+"&client_id=sHoP",
			kit.BasicAuth(id, kit.ClientSecret)...).AccessToken(t)
	}
	c.first.Form("/oauth/token", kit.WithField(plainJane(), "client_secret", strings.ToUpper(kit.ClientSecret))...).MustRefuse(t, 400, kit.InvalidClient)
}

func plainJane() []string {
	return []string{"grant_type", "password", "client_id", "shop", "client_secret", kit.ClientSecret, "username", "jane", "password", kit.Password}
}

// public tests that a client without a secret is refused with one, and that its ID alone is
// enough where no secret is needed.
func (c *clientTest) public(t *testing.T) {
	k := c.CreateClient(t, "--name", "public", "--public", "--grant", "password", "--grant", "refresh_token")
	if k.Secret != "" {
		t.Error("got a secret for a public client, want none")
	}
	user := []string{"grant_type", "password", "username", "jane", "password", kit.Password}
	byForm := append([]string{"client_id", k.ID}, user...)
	a := c.first.Form("/oauth/token", byForm...)
	token := a.AccessToken(t)
	c.first.Do(http.MethodPost, "/oauth/token", kit.FormMedia, kit.EncodeForm(user...), kit.BasicAuth(k.ID, "")...).AccessToken(t)
	c.first.Form("/oauth/token", kit.WithField(byForm, "client_secret", "guess")...).MustRefuse(t, 400, kit.InvalidClient)
	c.first.Do(http.MethodPost, "/oauth/token", kit.FormMedia, kit.EncodeForm(user...), kit.BasicAuth(k.ID, "guess")...).MustRefuse(t, 401, kit.InvalidClient)

	c.first.Form("/oauth/introspect", "client_id", k.ID, "token", token).MustRefuse(t, 401, kit.InvalidClient)
	if a := c.first.Form("/oauth/revoke", "client_id", k.ID, "token", a.Field("refresh_token")); a.Status != http.StatusOK || a.Body != "" {
		t.Errorf("revocation: got %d %s, want an empty 200", a.Status, a.Body)
	}
	if c.active(t, c.second, token) {
		t.Error("the access token is active after the revocation, want it inactive")
	}
}

// lastSecret tests that a confidential client does not become public when its only secret is
// deleted.
func (c *clientTest) lastSecret(t *testing.T) {
	k := c.CreateClient(t, "--name", "bare", "--grant", "client_credentials", "--role", "Bare")
	c.first.ClientCredentials(k.ID, k.Secret).AccessToken(t)
	c.Command(t, "client", "secret", "delete", k.ID, c.secretIDs(t, k.ID)["first"])
	for name, n := range c.replicas() {
		kit.Eventually(t, name+" replica refuses the deleted secret", func() bool { return n.ClientCredentials(k.ID, k.Secret).Status != http.StatusOK })
		for _, secret := range []string{k.Secret, "", "x"} {
			n.ClientCredentials(k.ID, secret).MustRefuse(t, 400, kit.InvalidClient)
		}
	}
}

// secretIDs returns the IDs of a client's secrets by their names.
func (c *clientTest) secretIDs(t *testing.T, clientID string) map[string]string {
	t.Helper()
	var clients []struct {
		ID      string `json:"client_id"`
		Secrets []struct {
			ID   string `json:"secret_id"`
			Name string
		}
	}
	if err := json.Unmarshal([]byte(c.Command(t, "client", "list", "--output", "json")), &clients); err != nil {
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

// secretShownOnce tests that a generated secret has at least 128 random bits and is never shown
// again.
func (c *clientTest) secretShownOnce(t *testing.T) {
	k := c.CreateClient(t, "--name", "secretive", "--grant", "client_credentials", "--role", "Secretive")
	if raw, err := base64.RawURLEncoding.DecodeString(k.Secret); err != nil || len(raw) < 16 {
		t.Errorf("secret %q: got %d bytes, %v, want at least 16", k.Secret, len(raw), err)
	}
	c.first.ClientCredentials(k.ID, k.Secret).AccessToken(t)
	c.first.ClientCredentials(k.ID, "x"+k.Secret).MustRefuse(t, 400, kit.InvalidClient)
	for what, text := range map[string]string{
		"list": c.Command(t, "client", "list"), "list in JSON": c.Command(t, "client", "list", "--output", "json"), "log": c.Log.String(),
	} {
		if strings.Contains(text, k.Secret) {
			t.Errorf("the %s contains the secret, want it hidden", what)
		}
	}
}

// disabled tests that neither a disabled client nor its tokens work on any replica. When it is
// enabled again, users can sign in through it, and its former tokens stay invalid.
func (c *clientTest) disabled(t *testing.T) {
	user := kit.WithField(plainJane(), "client_id", "fleeting")
	a := c.first.Form("/oauth/token", user...)
	token, refresh := a.AccessToken(t), kit.WithField([]string{"grant_type", "refresh_token", "client_id", "fleeting", "client_secret", kit.ClientSecret}, "refresh_token", a.Field("refresh_token"))
	if !c.active(t, c.first, token) || !c.active(t, c.second, token) {
		t.Fatal("got an inactive token, want an active one")
	}
	c.Command(t, "client", "disable", "FLEETING")
	for name, n := range c.replicas() {
		kit.Eventually(t, name+" replica has its tokens inactive", func() bool { return !c.active(t, n, token) })
		n.Form("/oauth/token", user...).MustRefuse(t, 400, kit.InactiveClient)
		n.Form("/oauth/token", refresh...).MustRefuse(t, 400, kit.InactiveClient)
		n.Do(http.MethodPost, "/oauth/token", kit.FormMedia, "grant_type=client_credentials", kit.BasicAuth("fleeting", kit.ClientSecret)...).MustRefuse(t, 401, kit.InactiveClient)
		n.Form("/oauth/introspect", "client_id", "fleeting", "client_secret", kit.ClientSecret, "token", token).MustRefuse(t, 401, kit.InactiveClient)
		kit.MustRefuseCode(t, n.RequestCodeThrough("fleeting", "jane", ""), "PasswordReset.MissingOrInvalidClientID", "ClientID is missing or invalid.")
	}
	c.Command(t, "client", "enable", "fleeting")
	kit.Eventually(t, "the client works again", func() bool { return c.first.Form("/oauth/token", user...).Status == http.StatusOK })
	if a := c.first.Form("/oauth/token", refresh...); a.Status != http.StatusBadRequest || a.Field("error") != "invalid_grant" {
		t.Errorf("former refresh token: got %d %s, want invalid_grant", a.Status, a.Body)
	}
}

// noGrants tests that a new client may do only what was enabled for it.
func (c *clientTest) noGrants(t *testing.T) {
	k := c.CreateClient(t, "--name", "new")
	id := []string{"client_id", k.ID, "client_secret", k.Secret}
	for _, grant := range [][]string{
		{"grant_type", "password", "username", "jane", "password", kit.Password},
		{"grant_type", "client_credentials"},
		{"grant_type", "refresh_token", "refresh_token", c.first.SignIn("jane", kit.Password).Field("refresh_token")},
	} {
		c.first.Form("/oauth/token", append(grant, id...)...).MustRefuse(t, 400, kit.UnauthorizedClient)
	}
	kit.MustRefuseCode(t, c.first.RequestCodeThrough(k.ID, "jane", ""),
		"OneTimePasswordRequest.NotEnabled", "One-time passwords are not enabled for this API client.")
}

// ceiling tests that MaximumGrantedRoles limits the roles at the sign-in and at every refresh.
func (c *clientTest) ceiling(t *testing.T) {
	user := []string{"grant_type", "password", "client_id", "ceiling", "username", "jane", "password", kit.Password}
	a := c.first.Form("/oauth/token", user...)
	for range 2 {
		body := c.introspected(t, a.AccessToken(t))
		if body["scope"] != "Shopper" || a.Field("scope") != "Shopper" {
			t.Errorf("got the scope %v in the token and %q in the answer, want Shopper", body["scope"], a.Field("scope"))
		}
		a = c.first.Form("/oauth/token", "grant_type", "refresh_token", "client_id", "ceiling", "refresh_token", a.Field("refresh_token"))
	}
	c.first.Form("/oauth/token", kit.WithField(user, "scope", "MeAdmin FullAccess")...).MustRefuse(t, 400, kit.NoRoleFits)
	c.first.Form("/oauth/token", kit.WithField(user, "scope", "MeAdmin Shopper")...).AccessToken(t)
}

func (c *clientTest) introspected(t *testing.T, token string) map[string]any {
	t.Helper()
	return c.first.Form("/oauth/introspect", "client_id", c.auditor.ID, "client_secret", c.auditor.Secret, "token", token).JSON(t)
}

// durations tests that the client determines the lifetime of tokens, and that there is no
// refresh token without the refresh grant.
func (c *clientTest) durations(t *testing.T) {
	a := c.first.Form("/oauth/token", "grant_type", "password", "client_id", "brief", "username", "jane", "password", kit.Password)
	body := c.introspected(t, a.AccessToken(t))
	exp, _ := body["exp"].(float64)
	iat, _ := body["iat"].(float64)
	if exp-iat != 600 {
		t.Errorf("got a lifetime of %v s, want 600", exp-iat)
	}
	want := map[string]any{"token_type": "bearer", "expires_in": 600.0, "scope": "MeAdmin Shopper"}
	isToken := cmpopts.IgnoreMapEntries(func(name string, _ any) bool { return name == "access_token" })
	if diff := cmp.Diff(want, a.JSON(t), isToken, cmpopts.EquateApprox(0, 5)); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
}

// codesOnly tests that a client that allows only one-time passwords refuses a permanent
// password as a wrong one.
func (c *clientTest) codesOnly(t *testing.T) {
	user := []string{"grant_type", "password", "client_id", "codes-only", "username", "john"}
	c.first.Form("/oauth/token", kit.WithField(user, "password", kit.Password)...).MustRefuse(t, 400, kit.WrongCredentials)
	if a := c.first.RequestCodeThrough("codes-only", "john", ""); a.Status != http.StatusNoContent {
		t.Fatalf("request for a code: got %d %s, want 204", a.Status, a.Body)
	}
	code := c.Inbox.Next(t).EventBody.OneTimePassword
	c.first.Form("/oauth/token", kit.WithField(user, "password", code)...).AccessToken(t)
	kit.MustRefuseCode(t, c.first.RequestCodeThrough("brief", "john", ""),
		"OneTimePasswordRequest.NotEnabled", "One-time passwords are not enabled for this API client.")
}

// floor tests that a user who lacks a role that the client requires is refused, and that the
// code is not used.
func (c *clientTest) floor(t *testing.T) {
	user := []string{"grant_type", "password", "client_id", "floor", "username", "jane"}
	c.first.Form("/oauth/token", kit.WithField(user, "password", "wrong")...).MustRefuse(t, 400, kit.WrongCredentials)
	if a := c.first.RequestCodeThrough("floor", "jane", ""); a.Status != http.StatusNoContent {
		t.Fatalf("request for a code: got %d %s, want 204", a.Status, a.Body)
	}
	withCode := kit.WithField(user, "password", c.Inbox.Next(t).EventBody.OneTimePassword)
	c.first.Form("/oauth/token", withCode...).MustRefuse(t, 400, kit.RolesMissing)
	c.second.Form("/oauth/token", kit.WithField(withCode, "scope", "Shopper")...).MustRefuse(t, 400, kit.RolesMissing)
	c.Apply(`{ApiClients: [{ID: floor, AppName: Floor, Active: true, AccessTokenDuration: 10, AllowAnyBuyer: true, MinimumRequiredRoles: [Shopper],
		GrantTypes: [password], AllowedCredentials: [otp, password]}]}`)
	kit.Eventually(t, "the floor is lowered", func() bool { return c.first.Form("/oauth/token", withCode...).Status == http.StatusOK })
	c.first.Form("/oauth/token", withCode...).MustRefuse(t, 400, kit.WrongCredentials)
}

// severalSecrets tests that each of several secrets is accepted until it expires or is deleted.
func (c *clientTest) severalSecrets(t *testing.T) {
	k := c.CreateClient(t, "--name", "rotating", "--grant", "client_credentials", "--role", "Rotating")
	add := func(args ...string) (s struct {
		ID     string `json:"secret_id"`
		Secret string `json:"client_secret"`
	},
	) {
		if err := json.Unmarshal([]byte(c.Command(t, append([]string{"client", "secret", "add", k.ID}, args...)...)), &s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	second, brief := add("--name", "second"), add("--name", "brief", "--expires-in", "1h")
	for name, n := range c.replicas() {
		kit.Eventually(t, name+" replica knows the secrets", func() bool { return n.ClientCredentials(k.ID, brief.Secret).Status == http.StatusOK })
		for _, secret := range []string{k.Secret, second.Secret, brief.Secret} {
			n.ClientCredentials(k.ID, secret).AccessToken(t)
			n.Do(http.MethodPost, "/oauth/token", kit.FormMedia, "grant_type=client_credentials", kit.BasicAuth(k.ID, secret)...).AccessToken(t)
		}
		n.ClientCredentials(k.ID, second.ID).MustRefuse(t, 400, kit.InvalidClient)
		n.ClientCredentials("shop", second.Secret).MustRefuse(t, 400, kit.InvalidClient)
	}
	c.Command(t, "client", "secret", "delete", k.ID, c.secretIDs(t, k.ID)["first"])
	c.Clock.Advance(time.Hour + time.Second)
	for name, n := range c.replicas() {
		kit.Eventually(t, name+" replica refuses the deleted secret", func() bool { return n.ClientCredentials(k.ID, k.Secret).Status != http.StatusOK })
		n.ClientCredentials(k.ID, k.Secret).MustRefuse(t, 400, kit.InvalidClient)
		n.ClientCredentials(k.ID, brief.Secret).MustRefuse(t, 400, kit.InvalidClient)
		n.ClientCredentials(k.ID, second.Secret).AccessToken(t)
	}
}

// endOfRefresh tests that the lifetime of a refresh token starts at the sign-in.
func (c *clientTest) endOfRefresh(t *testing.T) {
	a := c.first.Form("/oauth/token", "grant_type", "password", "client_id", "ceiling", "username", "jane", "password", kit.Password)
	token := a.AccessToken(t)
	for _, wait := range []time.Duration{time.Hour, 59 * time.Minute} {
		c.Clock.Advance(wait)
		a = c.first.Form("/oauth/token", "grant_type", "refresh_token", "client_id", "ceiling", "refresh_token", a.Field("refresh_token"))
		a.AccessToken(t)
	}
	if c.active(t, c.first, token) {
		t.Error("the first access token is active after two hours, want it inactive")
	}
	c.Clock.Advance(time.Minute)
	c.first.Form("/oauth/token", "grant_type", "refresh_token", "client_id", "ceiling", "refresh_token", a.Field("refresh_token")).MustRefuse(t, 400, kit.InvalidRefreshToken)
}
