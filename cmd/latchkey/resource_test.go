package main

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
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

// TestResources is F4, I5 and G4 for RFC 8707, over two replicas.
func TestResources(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		w.apply(resourceClients)
		resources := "LATCHKEY_RESOURCES=" + ordersAt + "," + stockAt
		r := &resourceTest{world: w, first: w.serve(wireIssuer, resources), second: w.serve(wireIssuer, resources)}
		r.machine = w.adminClient(t, "--name", "machine", "--role", "FullAccess", "--grant", "client_credentials")
		r.orders = w.adminClient(t, "--name", "orders", "--resource", ordersAt)
		r.auditor = w.adminClient(t, "--name", "auditor", "--role", "TokenIntrospection")
		for name, test := range map[string]func(*testing.T){
			"requests": r.requests, "refusals": r.refusals, "refresh": r.refresh, "exchange": r.exchange,
			"our own endpoints": r.ownEndpoints, "introspection": r.introspection, "narrow client": r.narrowClient,
		} {
			t.Run(name, func(t *testing.T) { t.Parallel(); test(t) })
		}
	})
}

type resourceTest struct {
	*world
	first, second *node

	machine createdClient // for itself
	orders  createdClient // the resource itself: it gets no tokens
	auditor createdClient
}

func (r *resourceTest) byMachine(more ...string) []string {
	return append([]string{"grant_type", "client_credentials", "client_id", r.machine.ID, "client_secret", r.machine.Secret}, more...)
}

// aud is the audience of a token that is granted.
func aud(t *testing.T, what string, a answer) any {
	t.Helper()
	_, claims := decoded(t, mustBeOf(t, what, a, "bearer"))
	return claims["aud"]
}

func (r *resourceTest) requests(t *testing.T) {
	for what, c := range map[string]struct {
		asked []string
		want  any
	}{
		"none":             {nil, dpopIssuer},
		"the default":      {[]string{"resource", dpopIssuer}, dpopIssuer},
		"one":              {[]string{"resource", stockAt}, stockAt},
		"one twice":        {[]string{"resource", stockAt, "resource", stockAt}, stockAt},
		"two":              {[]string{"resource", stockAt, "resource", ordersAt}, []any{stockAt, ordersAt}},
		"all":              {[]string{"resource", ordersAt, "resource", dpopIssuer, "resource", stockAt}, []any{ordersAt, dpopIssuer, stockAt}},
		"audience is none": {[]string{"audience", ordersAt}, dpopIssuer},
	} {
		if diff := cmp.Diff(c.want, aud(t, what, r.first.token(nil, r.byMachine(c.asked...)...))); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
}

// refusals is I5.
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
		mustFail(t, what, r.second.token(nil, r.byMachine(asked...)...), "invalid_target")
	}
	code := r.code(r.first, "jane")
	through := func(more ...string) answer { return r.first.signIn("jane", code, more...) }
	mustFail(t, "with a code", through("resource", "https://evil.example"), "invalid_target")
	if got := aud(t, "the code is good still", through("resource", ordersAt)); got != ordersAt {
		t.Errorf("aud is %v", got)
	}
}

// refresh: RFC 8707 §2.2.
func (r *resourceTest) refresh(t *testing.T) {
	signIn := r.first.token(nil, bySPA("jane", janesPassword, "resource", ordersAt, "resource", dpopIssuer)...)
	granted(t, "sign-in", signIn)
	token := signIn.field("refresh_token")
	for _, c := range []struct {
		asked []string
		want  any // nil: refused
	}{
		{[]string{"resource", ordersAt}, ordersAt},
		{[]string{"resource", stockAt}, nil},
		{nil, []any{ordersAt, dpopIssuer}},
	} {
		a := r.second.token(nil, append(refreshSPA(token), c.asked...)...)
		if c.want == nil {
			mustFail(t, "not of the sign-in", a, "invalid_target")
			continue
		}
		if diff := cmp.Diff(c.want, aud(t, "refresh", a)); diff != "" {
			t.Errorf("%v: %s", c.asked, diff)
		}
		token = a.field("refresh_token")
	}
}

// exchange is I3 for resource and audience (RFC 8693 §2.1).
func (r *resourceTest) exchange(t *testing.T) {
	signIn := r.first.token(nil, bySPA("jane", janesPassword, "resource", ordersAt, "resource", dpopIssuer)...)
	form := []string{
		"grant_type", "urn:ietf:params:oauth:grant-type:token-exchange", "client_id", "spa", "subject_token", granted(t, "sign-in", signIn).field("access_token"),
		"subject_token_type", "urn:ietf:params:oauth:token-type:access_token",
	}
	for what, c := range map[string]struct {
		asked []string
		want  any // nil: refused
	}{
		"none":            {nil, []any{ordersAt, dpopIssuer}},
		"a resource":      {[]string{"resource", ordersAt}, ordersAt},
		"an audience":     {[]string{"audience", ordersAt}, ordersAt},
		"not its own":     {[]string{"resource", stockAt}, nil},
		"not its own, by": {[]string{"audience", stockAt}, nil},
		"unknown":         {[]string{"audience", "api"}, nil},
	} {
		a := r.second.token(nil, append(form, c.asked...)...)
		if c.want == nil {
			mustFail(t, what, a, "invalid_target")
			continue
		}
		if a.field("issued_token_type") != "urn:ietf:params:oauth:token-type:access_token" {
			t.Errorf("%s: %s", what, a.body)
		}
		if diff := cmp.Diff(c.want, aud(t, what, a)); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
}

// ownEndpoints take tokens only that are for them as well.
func (r *resourceTest) ownEndpoints(t *testing.T) {
	for _, path := range []string{"/v1/apiclients", settingsV2} {
		for what, c := range map[string]struct {
			asked []string
			want  int
		}{
			"default": {nil, http.StatusOK}, "both": {[]string{"resource", ordersAt, "resource", dpopIssuer}, http.StatusOK},
			"others": {[]string{"resource", ordersAt, "resource", stockAt}, http.StatusUnauthorized}, "another": {[]string{"resource", ordersAt}, http.StatusUnauthorized},
		} {
			token := mustBeOf(t, what, r.first.token(nil, r.byMachine(c.asked...)...), "bearer")
			if a := r.second.get(path, "Authorization", "Bearer "+token); a.status != c.want {
				t.Errorf("%s, %s: %d %s", path, what, a.status, a.body)
			}
		}
	}
}

// introspection is G4: its own client, the resource and who has the role see a
// token, and nobody else; a revocation holds for every audience.
func (r *resourceTest) introspection(t *testing.T) {
	ask := func(c createdClient, token string) answer {
		return r.second.form("/oauth/introspect", "client_id", c.ID, "client_secret", c.Secret, "token", token)
	}
	shop := createdClient{ID: "shop", Secret: shopSecret}
	asker := r.adminClient(t, "--name", "asker", "--resource", ordersAt, "--grant", "client_credentials") // may ask tokens for orders
	forOrders := mustBeOf(t, "for orders", r.first.token(nil, r.byMachine("resource", ordersAt)...), "bearer")
	forUs := mustBeOf(t, "for us", r.first.token(nil, r.byMachine()...), "bearer")
	for _, who := range []createdClient{r.machine, r.orders, r.auditor} {
		if a := ask(who, forOrders); a.field("aud") != ordersAt {
			t.Errorf("%s: %d %s", who.ID, a.status, a.body)
		}
	}
	isInactive(t, "another client", ask(shop, forOrders))
	isInactive(t, "a client that may ask for the same", ask(asker, forOrders))
	isInactive(t, "a resource that it is not for", ask(r.orders, forUs))
	isActive(t, "its own client", ask(r.machine, forUs))
	if a := r.first.form("/oauth/revoke", "client_id", r.machine.ID, "client_secret", r.machine.Secret, "token", forOrders); a.status != http.StatusOK {
		t.Errorf("revocation: %d %s", a.status, a.body)
	}
	isInactive(t, "revoked", ask(r.orders, forOrders))
}

// narrowClient: a client's own list is what it may ask for, and what it gets if
// it does not ask.
func (r *resourceTest) narrowClient(t *testing.T) {
	form := func(more ...string) []string {
		return append([]string{"grant_type", "password", "client_id", "stock", "username", "jane", "password", janesPassword}, more...)
	}
	for what, asked := range map[string][]string{"none": nil, "its own": {"resource", stockAt}} {
		if got := aud(t, what, r.first.token(nil, form(asked...)...)); got != stockAt {
			t.Errorf("%s: aud is %v", what, got)
		}
	}
	mustFail(t, "another", r.second.token(nil, form("resource", ordersAt)...), "invalid_target")
	mustFail(t, "the default", r.second.token(nil, form("resource", dpopIssuer)...), "invalid_target")
}
