package tokens

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"latchkey/test/e2e/kit"
)

const (
	ordersAt = "https://api.example.com/orders"
	stockAt  = "https://api.example.com/stock"
)

const resourceClients = `
ApiClients:
  - {ID: spa, AppName: Public, Active: true, AccessTokenDuration: 60, RefreshTokenDuration: 1440, AllowAnyBuyer: true,
     GrantTypes: [password, refresh_token, "urn:ietf:params:oauth:grant-type:token-exchange"], AllowedCredentials: [otp, password]}
  - {ID: stock, AppName: Stock only, Active: true, AccessTokenDuration: 60, RefreshTokenDuration: 1440, AllowAnyBuyer: true,
     Resources: ["https://api.example.com/stock"], GrantTypes: [password, refresh_token], AllowedCredentials: [otp, password]}
`

// TestResources tests at two replicas that tokens are for the requested resources (RFC 8707).
func TestResources(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		w.Apply(resourceClients)
		resources := "LATCHKEY_RESOURCES=" + ordersAt + "," + stockAt
		r := &resourceTest{Fixture: w, first: w.Serve(kit.SharedIssuer, resources), second: w.Serve(kit.SharedIssuer, resources)}
		r.machine = w.CreateClient(t, "--name", "machine", "--role", "FullAccess", "--grant", "client_credentials")
		r.orders = w.CreateClient(t, "--name", "orders", "--resource", ordersAt)
		r.auditor = w.CreateClient(t, "--name", "auditor", "--role", "TokenIntrospection")
		for name, test := range map[string]func(*testing.T){
			"requests": r.requests, "refusals": r.refusals, "refresh": r.refresh, "exchange": r.exchange,
			"our own endpoints": r.ownEndpoints, "introspection": r.introspection, "narrow client": r.narrowClient,
		} {
			t.Run(name, func(t *testing.T) { t.Parallel(); test(t) })
		}
	})
}

type resourceTest struct {
	*kit.Fixture
	first, second *kit.Server

	machine kit.Client // gets tokens for itself
	orders  kit.Client // the client of the resource, which gets no tokens
	auditor kit.Client
}

func (r *resourceTest) byMachine(more ...string) []string {
	return append([]string{"grant_type", "client_credentials", "client_id", r.machine.ID, "client_secret", r.machine.Secret}, more...)
}

// aud expects a token and returns its audience.
func aud(t *testing.T, what string, a kit.Response) any {
	t.Helper()
	_, claims := kit.DecodeJWT(t, mustBeOf(t, what, a, "bearer"))
	return claims["aud"]
}

func (r *resourceTest) requests(t *testing.T) {
	for what, c := range map[string]struct {
		asked []string
		want  any
	}{
		"none":             {nil, kit.DPoPIssuer},
		"the default":      {[]string{"resource", kit.DPoPIssuer}, kit.DPoPIssuer},
		"one":              {[]string{"resource", stockAt}, stockAt},
		"one twice":        {[]string{"resource", stockAt, "resource", stockAt}, stockAt},
		"two":              {[]string{"resource", stockAt, "resource", ordersAt}, []any{stockAt, ordersAt}},
		"all":              {[]string{"resource", ordersAt, "resource", kit.DPoPIssuer, "resource", stockAt}, []any{ordersAt, kit.DPoPIssuer, stockAt}},
		"audience is none": {[]string{"audience", ordersAt}, kit.DPoPIssuer},
	} {
		if diff := cmp.Diff(c.want, aud(t, what, r.first.Token(nil, r.byMachine(c.asked...)...))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
}

// refusals tests that unknown and malformed resources are refused, and that the code is not
// used.
func (r *resourceTest) refusals(t *testing.T) {
	for what, asked := range map[string][]string{
		"unknown":           {"resource", "https://evil.example"},
		"a prefix":          {"resource", "https://api.example.com/"},
		"more of the path":  {"resource", ordersAt + "/1"},
		"another case":      {"resource", "https://API.example.com/orders"},
		"a port":            {"resource", "https://api.example.com:443/orders"},
		"a fragment":        {"resource", ordersAt + "#top"},
		"an empty fragment": {"resource", ordersAt + "#"},
		"relative":          {"resource", "/orders"},
		"no URI":            {"resource", "orders"},
		"empty, of two":     {"resource", ordersAt, "resource", ""},
		"unknown, of two":   {"resource", ordersAt, "resource", "https://evil.example"},
	} {
		mustFail(t, what, r.second.Token(nil, r.byMachine(asked...)...), "invalid_target")
	}
	code := r.DeliveredCode(r.first, "jane")
	through := func(more ...string) kit.Response { return r.first.SignIn("jane", code, more...) }
	mustFail(t, "with a code", through("resource", "https://evil.example"), "invalid_target")
	if got := aud(t, "the code is good still", through("resource", ordersAt)); got != ordersAt {
		t.Errorf("got aud %v, want %v", got, ordersAt)
	}
}

// refresh tests the resources of a refresh (RFC 8707 §2.2).
func (r *resourceTest) refresh(t *testing.T) {
	signIn := r.first.Token(nil, kit.PublicClientSignIn("jane", kit.Password, "resource", ordersAt, "resource", kit.DPoPIssuer)...)
	kit.MustIssue(t, "sign-in", signIn)
	token := signIn.Field("refresh_token")
	for _, c := range []struct {
		asked []string
		want  any // nil if the request is refused
	}{
		{[]string{"resource", ordersAt}, ordersAt},
		{[]string{"resource", stockAt}, nil},
		{nil, []any{ordersAt, kit.DPoPIssuer}},
	} {
		a := r.second.Token(nil, append(refreshSPA(token), c.asked...)...)
		if c.want == nil {
			mustFail(t, "not of the sign-in", a, "invalid_target")
			continue
		}
		if diff := cmp.Diff(c.want, aud(t, "refresh", a)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c.asked, diff)
		}
		token = a.Field("refresh_token")
	}
}

// exchange tests resource and audience of a token exchange (RFC 8693 §2.1).
func (r *resourceTest) exchange(t *testing.T) {
	signIn := r.first.Token(nil, kit.PublicClientSignIn("jane", kit.Password, "resource", ordersAt, "resource", kit.DPoPIssuer)...)
	form := []string{
		"grant_type", "urn:ietf:params:oauth:grant-type:token-exchange", "client_id", "spa", "subject_token", kit.MustIssue(t, "sign-in", signIn).Field("access_token"),
		"subject_token_type", "urn:ietf:params:oauth:token-type:access_token",
	}
	for what, c := range map[string]struct {
		asked []string
		want  any // nil if the request is refused
	}{
		"none":            {nil, []any{ordersAt, kit.DPoPIssuer}},
		"a resource":      {[]string{"resource", ordersAt}, ordersAt},
		"an audience":     {[]string{"audience", ordersAt}, ordersAt},
		"not its own":     {[]string{"resource", stockAt}, nil},
		"not its own, by": {[]string{"audience", stockAt}, nil},
		"unknown":         {[]string{"audience", "api"}, nil},
	} {
		a := r.second.Token(nil, append(form, c.asked...)...)
		if c.want == nil {
			mustFail(t, what, a, "invalid_target")
			continue
		}
		if a.Field("issued_token_type") != "urn:ietf:params:oauth:token-type:access_token" {
			t.Errorf("%s: got %s", what, a.Body)
		}
		if diff := cmp.Diff(c.want, aud(t, what, a)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
}

// ownEndpoints tests that endpoints of the server accept only tokens that are also for the
// server.
func (r *resourceTest) ownEndpoints(t *testing.T) {
	for _, path := range []string{"/v1/apiclients", kit.SettingsPath} {
		for what, c := range map[string]struct {
			asked []string
			want  int
		}{
			"default": {nil, http.StatusOK}, "both": {[]string{"resource", ordersAt, "resource", kit.DPoPIssuer}, http.StatusOK},
			"others": {[]string{"resource", ordersAt, "resource", stockAt}, http.StatusUnauthorized}, "another": {[]string{"resource", ordersAt}, http.StatusUnauthorized},
		} {
			token := mustBeOf(t, what, r.first.Token(nil, r.byMachine(c.asked...)...), "bearer")
			if a := get(r.second, path, "Authorization", "Bearer "+token); a.Status != c.want {
				t.Errorf("%s, %s: got %d %s, want %d", path, what, a.Status, a.Body, c.want)
			}
		}
	}
}

// introspection tests who may introspect a token for a resource: its own client, the resource,
// and clients with the role. Revocation ends the token for every audience.
func (r *resourceTest) introspection(t *testing.T) {
	ask := func(c kit.Client, token string) kit.Response {
		return r.second.Form("/oauth/introspect", "client_id", c.ID, "client_secret", c.Secret, "token", token)
	}
	shop := kit.Client{ID: "shop", Secret: kit.ClientSecret}
	asker := r.CreateClient(t, "--name", "asker", "--resource", ordersAt, "--grant", "client_credentials") // may request tokens for orders
	forOrders := mustBeOf(t, "for orders", r.first.Token(nil, r.byMachine("resource", ordersAt)...), "bearer")
	forUs := mustBeOf(t, "for us", r.first.Token(nil, r.byMachine()...), "bearer")
	for _, who := range []kit.Client{r.machine, r.orders, r.auditor} {
		if a := ask(who, forOrders); a.Field("aud") != ordersAt {
			t.Errorf("%s: got %d %s", who.ID, a.Status, a.Body)
		}
	}
	kit.MustBeInactive(t, "another client", ask(shop, forOrders))
	kit.MustBeInactive(t, "a client that may ask for the same", ask(asker, forOrders))
	kit.MustBeInactive(t, "a resource that it is not for", ask(r.orders, forUs))
	kit.MustBeActive(t, "its own client", ask(r.machine, forUs))
	if a := r.first.Form("/oauth/revoke", "client_id", r.machine.ID, "client_secret", r.machine.Secret, "token", forOrders); a.Status != http.StatusOK {
		t.Errorf("revocation: got %d %s, want 200", a.Status, a.Body)
	}
	kit.MustBeInactive(t, "revoked", ask(r.orders, forOrders))
}

// narrowClient tests that a client may request only the resources in its own list, and that it
// gets all of them by default.
func (r *resourceTest) narrowClient(t *testing.T) {
	form := func(more ...string) []string {
		return append([]string{"grant_type", "password", "client_id", "stock", "username", "jane", "password", kit.Password}, more...)
	}
	for what, asked := range map[string][]string{"none": nil, "its own": {"resource", stockAt}} {
		if got := aud(t, what, r.first.Token(nil, form(asked...)...)); got != stockAt {
			t.Errorf("%s: got aud %v, want %v", what, got, stockAt)
		}
	}
	mustFail(t, "another", r.second.Token(nil, form("resource", ordersAt)...), "invalid_target")
	mustFail(t, "the default", r.second.Token(nil, form("resource", kit.DPoPIssuer)...), "invalid_target")
}
