package oauth

import (
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"latchkey/grants"
	"latchkey/oauth/token"
	"latchkey/storage"
)

// withResources adds two resources that tokens can be for.
func (w *fixture) withResources(t testing.TB) *fixture {
	t.Helper()
	w.configure(t, func(c *Config) { c.Resources = []string{ordersAt, stockAt} })
	return w
}

// TestResources tests the audience for the requested resources, and which ones are refused.
func TestResources(t *testing.T) {
	t.Parallel()
	w := newFixture(t).withResources(t)
	w.withMachine("app", func(*storage.Client) {})
	w.withMachine("narrow", func(c *storage.Client) { c.Resources = []string{stockAt, ordersAt, "https://gone.example"} })
	w.withMachine("own", func(c *storage.Client) { c.Resources = []string{testIssuer, ordersAt} })
	for _, test := range []struct {
		client string
		asked  []string
		want   any
	}{
		{"app", nil, testIssuer},
		{"app", []string{"resource", testIssuer}, testIssuer},
		{"app", []string{"resource", ordersAt}, ordersAt},
		{"app", []string{"resource", ordersAt, "resource", ordersAt}, ordersAt},
		{"app", []string{"resource", ordersAt, "resource", testIssuer}, []any{ordersAt, testIssuer}},
		{"app", []string{"audience", "https://ignored.example"}, testIssuer},
		{"narrow", nil, []any{stockAt, ordersAt}},
		{"narrow", []string{"resource", ordersAt}, ordersAt},
		{"own", nil, testIssuer},
	} {
		issued := mustIssue(t, test.client, w.ask(nil, machineForm(test.client, test.asked...)...), "bearer")
		if diff := cmp.Diff(test.want, claimsIn(t, issued)["aud"]); diff != "" {
			t.Errorf("%s, %v (-want +got):\n%s", test.client, test.asked, diff)
		}
	}
	for what, form := range map[string][]string{
		"unknown":               machineForm("app", "resource", "https://api.example/other"),
		"a prefix":              machineForm("app", "resource", "https://api.example"),
		"another case":          machineForm("app", "resource", "https://API.example/orders"),
		"a slash behind":        machineForm("app", "resource", ordersAt+"/"),
		"a query":               machineForm("app", "resource", ordersAt+"?a=b"),
		"a fragment":            machineForm("app", "resource", ordersAt+"#x"),
		"an empty fragment":     machineForm("app", "resource", ordersAt+"#"),
		"relative":              machineForm("app", "resource", "/orders"),
		"no scheme":             machineForm("app", "resource", "api.example/orders"),
		"one of two is unknown": machineForm("app", "resource", ordersAt, "resource", "https://evil.example"),
		"one of two is empty":   machineForm("app", "resource", ordersAt, "resource", ""),
		"not this client's":     machineForm("own", "resource", stockAt),
		"the default, not its":  machineForm("narrow", "resource", testIssuer),
		"its, not the server's": machineForm("narrow", "resource", "https://gone.example"),
	} {
		mustRefuse(t, what, w.ask(nil, form...), "invalid_target")
	}
}

// TestResourceIsAnAbsoluteURI tests that a requested resource must be an absolute URI without a
// fragment, even if it is the default audience. The default audience can be any text.
func TestResourceIsAnAbsoluteURI(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	w.withMachine("app", func(*storage.Client) {})
	for _, name := range []string{"api", "https://api.example/#", "https://api.example/#orders"} {
		w.configure(t, func(c *Config) { c.Audience = name })
		if aud := claimsIn(t, mustIssue(t, "default", w.ask(nil, machineForm("app")...), "bearer"))["aud"]; aud != name {
			t.Errorf("got aud %v", aud)
		}
		mustRefuse(t, name, w.ask(nil, machineForm("app", "resource", name)...), "invalid_target")
	}
}

// TestRefreshForAResource tests that a refresh may ask for some of the resources of the
// sign-in, and that it does not change them.
func TestRefreshForAResource(t *testing.T) {
	t.Parallel()
	w := newFixture(t).withResources(t)
	signIn := w.ask(nil, passwordForm("resource", ordersAt, "resource", testIssuer)...)
	mustIssue(t, "sign-in", signIn, "bearer")
	issued := text(t, signIn, "refresh_token")
	for _, test := range []struct {
		asked []string
		want  any // nil if the request is refused
	}{
		{[]string{"resource", ordersAt}, ordersAt},
		{[]string{"resource", stockAt}, nil},
		{[]string{"resource", ordersAt, "resource", stockAt}, nil},
		{nil, []any{ordersAt, testIssuer}},
		{[]string{"resource", testIssuer}, testIssuer},
	} {
		rec := w.ask(nil, refreshForm(issued, test.asked...)...)
		if test.want == nil {
			mustRefuse(t, "not of the sign-in", rec, "invalid_target")
			continue
		}
		if diff := cmp.Diff(test.want, claimsIn(t, mustIssue(t, "refresh", rec, "bearer"))["aud"]); diff != "" {
			t.Errorf("%v (-want +got):\n%s", test.asked, diff)
		}
		issued = text(t, rec, "refresh_token")
	}
	w.clients["shop"].Resources = []string{stockAt}
	mustRefuse(t, "the client may not any more", w.ask(nil, refreshForm(issued)...), "invalid_target")
	w.clients["shop"].Resources = nil
	mustIssue(t, "it may again, and the family is unharmed", w.ask(nil, refreshForm(issued)...), "bearer")

	plain := text(t, w.ask(nil, passwordForm()...), "refresh_token")
	mustRefuse(t, "more than the default", w.ask(nil, refreshForm(plain, "resource", ordersAt)...), "invalid_target")
	rec := w.ask(nil, refreshForm(plain, "resource", testIssuer)...)
	if aud := claimsIn(t, mustIssue(t, "the default by name", rec, "bearer"))["aud"]; aud != testIssuer {
		t.Errorf("got aud %v", aud)
	}
}

// TestExchangeForAResource tests that an exchange may ask for some of the resources of the
// subject token, and for no others (RFC 8693 §2.1).
func TestExchangeForAResource(t *testing.T) {
	t.Parallel()
	w := newFixture(t).withResources(t)
	subject := mustIssue(t, "sign-in", w.ask(nil, passwordForm("resource", ordersAt, "resource", stockAt)...), "bearer")
	exchange := func(more ...string) []string {
		return append([]string{"grant_type", grants.GrantTokenExchange, "client_id", "shop", "subject_token", subject, "subject_token_type", grants.TokenTypeAccessToken}, more...)
	}
	for _, test := range []struct {
		asked []string
		want  any // nil if the request is refused
	}{
		{nil, []any{ordersAt, stockAt}},
		{[]string{"resource", ordersAt}, ordersAt},
		{[]string{"audience", stockAt}, stockAt},
		{[]string{"audience", stockAt, "resource", ordersAt}, []any{ordersAt, stockAt}},
		{[]string{"resource", testIssuer}, nil},
		{[]string{"audience", testIssuer}, nil},
		{[]string{"audience", "https://evil.example"}, nil},
		{[]string{"resource", ordersAt, "audience", "shop"}, nil},
	} {
		rec := w.ask(nil, exchange(test.asked...)...)
		if test.want == nil {
			mustRefuse(t, "not of the subject token", rec, "invalid_target")
			continue
		}
		if diff := cmp.Diff(test.want, claimsIn(t, mustIssue(t, "exchange", rec, "bearer"))["aud"]); diff != "" {
			t.Errorf("%v (-want +got):\n%s", test.asked, diff)
		}
	}
	account := w.issueAccount(t)
	member := []string{"grant_type", grants.GrantAccountMember, "client_id", "shop", "member_token", account, "account_id", "one"}
	mustRefuse(t, "an account token is for the default", w.ask(nil, append(member, "resource", ordersAt)...), "invalid_target")
	if aud := claimsIn(t, mustIssue(t, "account token", w.ask(nil, member...), "bearer"))["aud"]; aud != testIssuer {
		t.Errorf("got aud %v", aud)
	}
}

// TestTokensForOthers tests that the endpoints of the server accept no token that is only for
// other resources. Introspection and revocation accept such tokens.
func TestTokensForOthers(t *testing.T) {
	t.Parallel()
	w := newFixture(t).withResources(t)
	w.withMachine("app", func(*storage.Client) {})
	w.withMachine("orders", func(c *storage.Client) { c.Resources, c.GrantTypes = []string{ordersAt}, nil }) // the resource itself
	w.withMachine("silent", func(c *storage.Client) { c.GrantTypes = nil })
	w.withMachine("narrow", func(c *storage.Client) { c.Resources = []string{ordersAt} })
	issued := mustIssue(t, "orders", w.ask(nil, machineForm("app", "resource", ordersAt)...), "bearer")
	both := mustIssue(t, "both", w.ask(nil, machineForm("app", "resource", ordersAt, "resource", testIssuer)...), "bearer")
	if _, err := w.endpoints.tokens.Authorize(resourceRequest("Bearer " + issued)); !errors.Is(err, token.ErrInvalidToken) {
		t.Errorf("for orders only: got %v, want token.ErrInvalidToken", err)
	}
	if _, err := w.endpoints.tokens.Authorize(resourceRequest("Bearer " + both)); err != nil {
		t.Errorf("for both: got %v, want no error", err)
	}
	introspect := func(caller, issued string) any {
		rec := w.post("/oauth/introspect", nil, "client_id", caller, "client_secret", "secret", "token", issued)
		if rec.Code != http.StatusOK {
			t.Fatalf("%s: got %d %s, want 200", caller, rec.Code, rec.Body)
		}
		return member(t, rec, "aud")
	}
	own := mustIssue(t, "default", w.ask(nil, machineForm("app")...), "bearer")
	for _, test := range []struct {
		caller, issued string
		want           any
	}{
		{"app", issued, ordersAt},
		{"orders", issued, ordersAt},
		{"orders", both, []any{ordersAt, testIssuer}},
		{"orders", own, nil}, // the token is not for this resource
		{"silent", issued, nil},
		{"narrow", issued, nil},
	} {
		if diff := cmp.Diff(test.want, introspect(test.caller, test.issued)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.caller, diff)
		}
	}
	if rec := w.post("/oauth/revoke", nil, "client_id", "app", "client_secret", "secret", "token", issued); rec.Code != http.StatusOK {
		t.Errorf("revocation: got %d, want 200", rec.Code)
	}
	if got := introspect("app", issued); got != nil {
		t.Errorf("after the revocation: got %v, want none", got)
	}
	w.configure(t, func(c *Config) { c.Audience = "named" })
	w.withMachine("named", func(*storage.Client) {})
	if got := introspect("named", mustIssue(t, "by name", w.ask(nil, machineForm("app")...), "bearer")); got != "named" {
		t.Errorf("a resource of the client's name: got %v, want named", got)
	}
	w.configure(t, func(c *Config) { c.Audience, c.Resources = testIssuer, nil })
	if got := introspect("app", both); got != nil {
		t.Errorf("for a resource that no longer exists: got %v, want none", got)
	}
}
