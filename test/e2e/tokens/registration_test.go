package tokens

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"latchkey/test/e2e/kit"
)

// TestClientRegistration tests that clients register themselves and manage their registration
// (RFC 7591, RFC 7592).
func TestClientRegistration(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		r := &registrationTest{Fixture: w, first: w.Serve(kit.SharedIssuer), second: w.Serve(kit.SharedIssuer)}
		r.root = r.token(t, "root", "FullAccess")
		r.registrar = r.token(t, "registrar", "ClientRegistration", "Reader")
		r.callers(t)
		r.life(t)
		r.methods(t)
		r.faults(t)
		r.beyond(t)
		r.replacements(t)
		r.deletion(t)
		r.admission(t)
	})
}

// registrationTest has two replicas and the initial access tokens of two clients.
type registrationTest struct {
	*kit.Fixture
	first, second   *kit.Server
	root, registrar string
}

// token creates a client with those roles and returns an access token of it.
func (r *registrationTest) token(t *testing.T, name string, roles ...string) string {
	t.Helper()
	args := []string{"--name", name, "--grant", "client_credentials"}
	for _, role := range roles {
		args = append(args, "--role", role)
	}
	k := r.CreateClient(t, args...)
	return r.first.ClientCredentials(k.ID, k.Secret).AccessToken(t)
}

// registration is the answer to a client about itself.
type registration struct {
	ID       string   `json:"client_id"`
	IssuedAt int64    `json:"client_id_issued_at"`
	Secret   string   `json:"client_secret"`
	Expires  *int64   `json:"client_secret_expires_at"`
	Token    string   `json:"registration_access_token"`
	URI      string   `json:"registration_client_uri"`
	Name     string   `json:"client_name"`
	Grants   []string `json:"grant_types"`
	Types    []string `json:"response_types"`
	Method   string   `json:"token_endpoint_auth_method"`
	Scope    string   `json:"scope"`
	DPoP     bool     `json:"dpop_bound_access_tokens"`
	JWKS     any      `json:"jwks"`
}

// path returns the path at which the client is managed.
func (g registration) path() string { return strings.TrimPrefix(g.URI, testIssuer) }

func (r *registrationTest) mustTell(t *testing.T, a kit.Response, status int) registration {
	t.Helper()
	if a.Status != status || a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Content-Type") != "application/json;charset=UTF-8" {
		t.Fatalf("got %d %v %s, want %d", a.Status, a.Header, a.Body, status)
	}
	var g registration
	if err := json.Unmarshal([]byte(a.Body), &g); err != nil {
		t.Fatal(err)
	}
	return g
}

// register registers a client with the token of the registrar.
func (r *registrationTest) register(t *testing.T, metadata string) registration {
	t.Helper()
	return r.mustTell(t, r.first.SendJSON(http.MethodPost, "/oauth/register", r.registrar, metadata), http.StatusCreated)
}

func mustFault(t *testing.T, a kit.Response, status int, code string) {
	t.Helper()
	if a.Status != status || a.Field("error") != code || a.Field("error_description") == "" || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %d %s, want %d %s", a.Status, a.Body, status, code)
	}
	challenge := a.Header.Get("WWW-Authenticate")
	if wants := status == http.StatusUnauthorized || status == http.StatusForbidden; wants != strings.HasPrefix(challenge, "Bearer ") {
		t.Errorf("got %d with the challenge %q", status, challenge)
	}
}

// callers tests that only callers with the role may register clients.
func (r *registrationTest) callers(t *testing.T) {
	const body = `{"client_name":"nobody's"}`
	shopper := r.first.SignIn("jane", kit.Password).AccessToken(t)
	for what, test := range map[string]struct {
		token  string
		status int
		code   string
	}{
		"no token":          {"", 401, "invalid_token"},
		"rubbish":           {"rubbish", 401, "invalid_token"},
		"no such role":      {r.token(t, "reader", "Reader", "ApiClientAdmin"), 403, "insufficient_scope"},
		"no role":           {r.token(t, "nothing"), 403, "insufficient_scope"},
		"a shopper":         {shopper, 403, "insufficient_scope"},
		"a shopper, raised": {r.raisedShopper(t), 403, "insufficient_scope"},
	} {
		t.Log(what)
		mustFault(t, r.first.SendJSON(http.MethodPost, "/oauth/register", test.token, body), test.status, test.code)
	}
	if strings.Contains(r.Command(t, "client", "list"), "nobody's") {
		t.Error("the client was registered, want a refusal")
	}
}

// raisedShopper returns a token of a user of a buyer who was given the role. Clients that she
// registers would act as the seller.
func (r *registrationTest) raisedShopper(t *testing.T) string {
	t.Helper()
	r.Apply(`SecurityProfiles: [{ID: raised, Name: Raised, Roles: [ClientRegistration], Assignments: [{BuyerID: acme, UserID: john}]}]`)
	var a kit.Response
	kit.Eventually(t, "john has the role", func() bool {
		a = r.first.SignIn("john", kit.Password)
		return strings.Contains(a.Field("scope"), "ClientRegistration")
	})
	return a.AccessToken(t)
}

// life tests that a registered client works on every replica, and that its registration can be
// read without its secret.
func (r *registrationTest) life(t *testing.T) {
	g := r.register(t, `{"client_name":"Reporting","scope":"Reader","software_id":"unknown to us","contacts":["a@example.com"],"redirect_uris":[]}`)
	if g.Secret == "" || g.Expires == nil || *g.Expires != 0 || g.IssuedAt == 0 || len(g.Token) < 43 || g.URI != testIssuer+"/oauth/register/"+g.ID {
		t.Errorf("got %+v", g)
	}
	want := registration{
		Name: "Reporting", Grants: []string{"client_credentials"}, Types: []string{}, Method: "client_secret_basic", Scope: "Reader",
		ID: g.ID, IssuedAt: g.IssuedAt, Secret: g.Secret, Expires: g.Expires, Token: g.Token, URI: g.URI,
	}
	if diff := cmp.Diff(want, g); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	for _, n := range []*kit.Server{r.first, r.second} {
		token := n.ClientCredentials(g.ID, g.Secret).AccessToken(t)
		if got := n.Form("/oauth/introspect", "client_id", g.ID, "client_secret", g.Secret, "token", token); got.Field("scope") != "Reader" {
			t.Errorf("scope: got %s", got.Body)
		}
		read := n.SendJSON(http.MethodGet, g.path(), g.Token, "")
		want.Secret, want.Expires = "", nil
		if diff := cmp.Diff(want, r.mustTell(t, read, http.StatusOK)); diff != "" {
			t.Errorf("read back (-want +got):\n%s", diff)
		}
	}
	other := r.register(t, `{}`)
	for what, token := range map[string]string{"none": "", "initial": r.registrar, "full access": r.root, "another client's": other.Token, "secret": g.Secret} {
		t.Log(what)
		for method, body := range map[string]string{http.MethodGet: "", http.MethodPut: `{"client_id":"` + g.ID + `"}`, http.MethodDelete: ""} {
			mustFault(t, r.first.SendJSON(method, g.path(), token, body), 401, "invalid_token")
		}
	}
	unknown, wrong := r.first.SendJSON(http.MethodGet, "/oauth/register/nobody", g.Token, ""), r.first.SendJSON(http.MethodGet, other.path(), g.Token, "")
	if unknown.Status != wrong.Status || unknown.Body != wrong.Body {
		t.Errorf("got %d %s for an unknown client, and %d %s for a wrong token; want the same", unknown.Status, unknown.Body, wrong.Status, wrong.Body)
	}
	if got := r.first.SendJSON(http.MethodGet, "/v1/apiclients", g.Token, ""); got.Status != http.StatusUnauthorized {
		t.Errorf("a registration access token elsewhere: got %d %s, want 401", got.Status, got.Body)
	}
	audit := r.Log.String()
	if !strings.Contains(audit, `"audit":"client.registered"`) || !strings.Contains(audit, "ApiClient/"+g.ID) {
		t.Error("got no audit event of the registration")
	}
	for what, secret := range map[string]string{"client secret": g.Secret, "registration access token": g.Token} {
		if strings.Contains(audit, secret) {
			t.Errorf("the %s is in the log, want it hidden", what)
		}
	}
}

// methods tests that each advertised authentication method can be registered and works.
func (r *registrationTest) methods(t *testing.T) {
	post := r.register(t, `{"token_endpoint_auth_method":"client_secret_post"}`)
	r.first.ClientCredentials(post.ID, post.Secret).AccessToken(t)
	if read := r.mustTell(t, r.second.SendJSON(http.MethodGet, post.path(), post.Token, ""), http.StatusOK); post.Method != "client_secret_post" || read.Method != post.Method {
		t.Errorf("got the method %q, and read back %q", post.Method, read.Method)
	}
	none := r.register(t, `{"token_endpoint_auth_method":"none","grant_types":["password","refresh_token"]}`)
	if none.Secret != "" || none.Expires != nil || none.Method != "none" {
		t.Errorf("got %+v", none)
	}
	a := newAsserter(r.Fixture, t, "template")
	set, err := json.Marshal(a.public())
	if err != nil {
		t.Fatal(err)
	}
	signed := r.register(t, `{"token_endpoint_auth_method":"private_key_jwt","dpop_bound_access_tokens":false,"jwks":`+string(set)+`}`)
	a.id = signed.ID
	if signed.Secret != "" || signed.JWKS == nil {
		t.Errorf("got %+v", signed)
	}
	asserted(r.second, "/oauth/token", a.sign(jose.ES256, "curve", a.claims(nil))).AccessToken(t)
	bound := r.register(t, `{"dpop_bound_access_tokens":true}`)
	if !bound.DPoP {
		t.Errorf("got %+v", bound)
	}
}

// faults tests that errors about bad metadata name the member, and that no client is
// registered.
func (r *registrationTest) faults(t *testing.T) {
	private, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: newAsserter(r.Fixture, t, "leaky").keys["curve"]}}})
	if err != nil {
		t.Fatal(err)
	}
	before := strings.Count(r.Command(t, "client", "list"), "\n")
	for what, body := range map[string]string{
		"no JSON":               `client_name=x`,
		"list":                  `[]`,
		"text":                  `"x"`,
		"null":                  `null`,
		"wrong type":            `{"client_name":7}`,
		"grants of wrong type":  `{"grant_types":"password"}`,
		"unknown grant":         `{"grant_types":["device_code"]}`,
		"implicit":              `{"grant_types":["implicit"]}`,
		"response type":         `{"response_types":["code"]}`,
		"unknown method":        `{"token_endpoint_auth_method":"client_secret_jwt"}`,
		"keys without method":   `{"jwks":{"keys":[]}}`,
		"method without keys":   `{"token_endpoint_auth_method":"private_key_jwt"}`,
		"no keys":               `{"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[]}}`,
		"private keys":          `{"token_endpoint_auth_method":"private_key_jwt","jwks":` + string(private) + `}`,
		"keys elsewhere":        `{"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"` + r.Inbox.URL + `"}`,
		"public, default grant": `{"token_endpoint_auth_method":"none"}`,
		"scope":                 `{"scope":"a\"b"}`,
		"long name":             `{"client_name":"` + strings.Repeat("x", 201) + `"}`,
		"name of two lines":     `{"client_name":"a\nb"}`,
	} {
		t.Log(what)
		mustFault(t, r.first.SendJSON(http.MethodPost, "/oauth/register", r.registrar, body), 400, "invalid_client_metadata")
	}
	mustFault(t, r.first.SendJSON(http.MethodPost, "/oauth/register", r.registrar, `{"redirect_uris":["https://app.example/cb#fragment"]}`), 400, "invalid_redirect_uri")
	mustFault(t, r.first.Do(http.MethodPost, "/oauth/register", kit.FormMedia, "client_name=x", "Authorization", "Bearer "+r.registrar), 415, "invalid_request")
	mustFault(t, r.first.SendJSON(http.MethodPost, "/oauth/register", r.registrar, `{"client_name":"`+strings.Repeat("x", 200_000)+`"}`), 413, "invalid_request")
	if after := strings.Count(r.Command(t, "client", "list"), "\n"); after != before {
		t.Errorf("got %d new clients, want none", after-before)
	}
}

// beyond tests that a registrar cannot give a client more than it has itself.
func (r *registrationTest) beyond(t *testing.T) {
	for _, scope := range []string{"FullAccess", "Reader Writer", "ApiClientAdmin"} {
		mustFault(t, r.first.SendJSON(http.MethodPost, "/oauth/register", r.registrar, `{"scope":"`+scope+`"}`), 400, "invalid_client_metadata")
	}
	g := r.mustTell(t, r.first.SendJSON(http.MethodPost, "/oauth/register", r.root, `{"scope":"Reader Writer"}`), http.StatusCreated)
	if g.Scope != "Reader Writer" {
		t.Errorf("got the scope %q", g.Scope)
	}
	bare := r.register(t, `{}`)
	token := r.first.ClientCredentials(bare.ID, bare.Secret).AccessToken(t)
	for _, path := range []string{"/v1/apiclients", "/v1/buyers"} {
		if got := r.first.SendJSON(http.MethodGet, path, token, ""); got.Status != http.StatusForbidden {
			t.Errorf("a client without scope at %s: got %d %s, want 403", path, got.Status, got.Body)
		}
	}
	mustFault(t, r.first.SendJSON(http.MethodPost, "/oauth/register", token, `{}`), 403, "insufficient_scope")
}

// replacements tests that PUT replaces all metadata of a client, and gives it nothing that it
// was not registered with.
func (r *registrationTest) replacements(t *testing.T) {
	g := r.mustTell(t, r.first.SendJSON(http.MethodPost, "/oauth/register", r.root,
		`{"client_name":"Old","scope":"Reader Writer","grant_types":["client_credentials","password"]}`), http.StatusCreated)
	put := func(members string) kit.Response {
		return r.second.SendJSON(http.MethodPut, g.path(), g.Token, `{"client_id":"`+g.ID+`"`+members+`}`)
	}
	for what, members := range map[string]string{
		"more scope":       `,"scope":"Reader Writer FullAccess"`,
		"more grants":      `,"grant_types":["client_credentials","refresh_token"]`,
		"wrong secret":     `,"client_secret":"wrong"`,
		"redirects":        `,"response_types":["code"]`,
		"another's method": `,"token_endpoint_auth_method":"tls_client_auth"`,
	} {
		t.Log(what)
		mustFault(t, put(members), 400, "invalid_client_metadata")
	}
	mustFault(t, r.first.SendJSON(http.MethodPut, g.path(), g.Token, `{"client_name":"No id"}`), 400, "invalid_client_metadata")
	mustFault(t, put(`,"client_name":"A","client_name":"B"`), 400, "invalid_client_metadata")
	mustFault(t, put(`,"scope":"Reader","SCOPE":"Reader Writer"`), 400, "invalid_client_metadata")
	mustFault(t, r.first.SendJSON(http.MethodPut, g.path(), g.Token, `{"client_id":"shop"}`), 400, "invalid_client_metadata")

	got := r.mustTell(t, put(`,"client_name":"New","scope":"Reader","client_secret":"`+g.Secret+`"`), http.StatusOK)
	if got.Name != "New" || got.Scope != "Reader" || !cmp.Equal(got.Grants, []string{"client_credentials"}) || got.Secret != "" || got.Token != g.Token {
		t.Errorf("got %+v", got)
	}
	kit.Eventually(t, "the scope is narrower", func() bool { return r.first.ClientCredentials(g.ID, g.Secret).Field("scope") == "Reader" })
	mustFault(t, put(`,"scope":"Reader Writer"`), 400, "invalid_client_metadata") // the scope that was removed cannot be added again

	a := newAsserter(r.Fixture, t, "replacement")
	set, err := json.Marshal(a.public())
	if err != nil {
		t.Fatal(err)
	}
	a.id = g.ID
	r.mustTell(t, put(`,"token_endpoint_auth_method":"private_key_jwt","jwks":`+string(set)), http.StatusOK)
	r.second.ClientCredentials(g.ID, g.Secret).MustRefuse(t, 400, kit.InvalidClient)
	asserted(r.second, "/oauth/token", a.assert(nil)).AccessToken(t)

	back := r.mustTell(t, put(`,"token_endpoint_auth_method":"client_secret_basic"`), http.StatusOK)
	if back.Secret == "" || back.Secret == g.Secret {
		t.Errorf("got %+v, want a new secret", back)
	}
	r.second.ClientCredentials(g.ID, back.Secret).AccessToken(t)
	r.second.ClientCredentials(g.ID, g.Secret).MustRefuse(t, 400, kit.InvalidClient)
	asserted(r.second, "/oauth/token", a.assert(nil)).MustRefuse(t, 400, kit.InvalidClient)
}

// deletion tests that the deletion of a client ends its tokens at once.
func (r *registrationTest) deletion(t *testing.T) {
	g := r.mustTell(t, r.first.SendJSON(http.MethodPost, "/oauth/register", r.root, `{"scope":"BuyerReader"}`), http.StatusCreated)
	token := r.first.ClientCredentials(g.ID, g.Secret).AccessToken(t)
	if got := r.first.SendJSON(http.MethodGet, "/v1/buyers", token, ""); got.Status != http.StatusOK {
		t.Fatalf("got %d %s, want 200", got.Status, got.Body)
	}
	if got := r.first.SendJSON(http.MethodDelete, g.path(), g.Token, ""); got.Status != http.StatusNoContent || got.Body != "" {
		t.Errorf("got %d %s, want 204", got.Status, got.Body)
	}
	for _, n := range []*kit.Server{r.first, r.second} {
		kit.Eventually(t, "the client is gone", func() bool { return n.ClientCredentials(g.ID, g.Secret).Status == http.StatusBadRequest })
		if got := n.SendJSON(http.MethodGet, "/v1/buyers", token, ""); got.Status != http.StatusUnauthorized {
			t.Errorf("its token: got %d %s, want 401", got.Status, got.Body)
		}
		mustFault(t, n.SendJSON(http.MethodGet, g.path(), g.Token, ""), 401, "invalid_token")
		mustFault(t, n.SendJSON(http.MethodDelete, g.path(), g.Token, ""), 401, "invalid_token")
	}
	if audit := r.Log.String(); !strings.Contains(audit, `"audit":"client.deleted"`) || !strings.Contains(audit, `"audit":"client.updated"`) {
		t.Error("got no audit event of a change or a deletion")
	}
	disabled := r.register(t, `{}`)
	r.Command(t, "client", "disable", disabled.ID)
	kit.Eventually(t, "the client is disabled", func() bool {
		return r.first.SendJSON(http.MethodGet, disabled.path(), disabled.Token, "").Status == http.StatusUnauthorized
	})
}

// admission tests that no user can sign in through a self-registered client before an
// administrator admits users.
func (r *registrationTest) admission(t *testing.T) {
	g := r.register(t, `{"grant_types":["password"],"token_endpoint_auth_method":"none"}`)
	for _, password := range []string{kit.Password, r.DeliveredCode(r.first, "jane")} {
		got := r.first.Form("/oauth/token", "grant_type", "password", "client_id", g.ID, "username", "jane", "password", password)
		if got.Field("error") != "invalid_grant" {
			t.Errorf("got %d %s", got.Status, got.Body)
		}
	}
	// A client that requested no scope has no more than its registrar either.
	admitted := r.first.SendJSON(http.MethodPatch, "/v1/apiclients/"+g.ID, r.root, `{"AllowAnyBuyer":true,"AllowedCredentials":["password"]}`)
	if admitted.Status != http.StatusOK {
		t.Fatalf("got %d %s, want 200", admitted.Status, admitted.Body)
	}
	kit.Eventually(t, "jane is admitted", func() bool {
		got := r.first.Form("/oauth/token", "grant_type", "password", "client_id", g.ID, "username", "jane", "password", kit.Password)
		if scope := got.Field("scope"); scope != "" {
			t.Errorf("got the scope %q", scope)
		}
		return got.Status == http.StatusOK
	})
}
