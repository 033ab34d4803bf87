package oauth

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/grants"
	"latchkey/storage"
)

// vendorRefusal is the body of a refusal with one entry in Errors.
func vendorRefusal(code, description, vendorCode, data string) string {
	return `{"error":"` + code + `","error_description":"` + description + `","Errors":[{"ErrorCode":"` + vendorCode +
		`","Message":"` + description + `","Data":` + data + `}]}`
}

// TestTokenEndpointRefusals tests the documented error codes, in both shapes.
func TestTokenEndpointRefusals(t *testing.T) {
	t.Parallel()
	password := []string{"grant_type", "password", "client_id", "shop", "username", "jane", "password", "right"}
	credentials := []string{"grant_type", "client_credentials", "client_id", "app", "client_secret", "secret"}
	invalidClient := vendorRefusal("invalid_client", "Invalid Client ID.", "ApiClient.InvalidClientID", "null")
	clientInactive := vendorRefusal("invalid_client", "Client ID is not active.", "Auth.ClientNotActive", "null")
	noContextUser := vendorRefusal("invalid_grant", "Default context user required for client credentials grant", "Auth.OauthError", "null")
	tests := []struct {
		name   string
		change func(*fixture)
		form   []string
		want   string
	}{
		{
			"password expired", func(w *fixture) { w.login.Rules.MaxAge, w.login.Login.PasswordSetAt = time.Hour, start.Add(-time.Hour) }, password,
			vendorRefusal("invalid_grant", "Expired Password.", "Auth.PasswordExpired", "null"),
		},
		{
			"password insecure", func(w *fixture) {
				w.login.Rules = storage.PasswordRules{MinLength: 10, UpperCase: true, MaxRepeatedChars: 2}
			}, password,
			vendorRefusal("invalid_grant", "Password does not meet security requirements.", "Auth.InsecurePassword",
				`{"MinimumCharacterCount":10,"UpperCaseRequired":true,"MaxConsecutiveDupeCount":2}`),
		},
		{
			"wrong password", func(w *fixture) { w.login.Rules.MaxAge = time.Hour }, append(password[:6:6], "password", "wrong"),
			vendorRefusal("invalid_grant", "Invalid username or password.", "Auth.InvalidUsernameOrPassword", "null"),
		},
		{
			"locked", func(w *fixture) { w.login.Lockout.LockedUntil = start.Add(time.Hour) }, password,
			vendorRefusal("invalid_grant", "Invalid username or password.", "Auth.InvalidUsernameOrPassword", "null"),
		},
		{"public client inactive", func(w *fixture) { w.clients["shop"].Active = false }, password, clientInactive},
		{"client inactive, right secret", func(w *fixture) { w.clients["app"].Active = false }, credentials, clientInactive},
		{"client inactive, wrong secret", func(w *fixture) { w.clients["app"].Active = false }, append(credentials[:4:4], "client_secret", "x"), invalidClient},
		{"client inactive, no secret", func(w *fixture) { w.clients["app"].Active = false }, credentials[:4], invalidClient},
		{"client unknown", func(*fixture) {}, append(credentials[:2:2], "client_id", "nobody"), invalidClient},
		{
			"context user inactive", func(w *fixture) { w.login.User.Active = false }, credentials,
			vendorRefusal("invalid_grant", "User is not active.", "Auth.UserNotActive", "null"),
		},
		{
			"context user's company inactive", func(w *fixture) { w.login.Account.Active = false }, credentials,
			vendorRefusal("invalid_grant", "User's organization is not active.", "Auth.CompanyNotActive", "null"),
		},
		{"context user gone", func(w *fixture) { w.login = storage.Principal{} }, credentials, noContextUser},
		{"context user not admitted", func(w *fixture) { w.clients["app"].AllowAnyBuyer = false }, credentials, noContextUser},
		{
			"public client, not anonymous", func(*fixture) {},
			[]string{"grant_type", "client_credentials", "client_id", "shop"},
			vendorRefusal("unauthorized_client", "The client may not use this grant type.", "Auth.OauthError", "null"),
		},
		{"anonymous user inactive", func(w *fixture) {
			w.clients["shop"].AnonymousBuyer, w.clients["shop"].DefaultContextUser, w.login.User.Active = true, "jane", false
		}, []string{"grant_type", "client_credentials", "client_id", "shop"}, noContextUser},
		{
			"not a member token", func(*fixture) {},
			[]string{"grant_type", grants.GrantAccountMember, "client_id", "shop", "member_token", "x"},
			vendorRefusal("invalid_grant", "The token is not valid, or not for that account.", "Auth.OauthError", "null"),
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newFixture(t)
			w.addClient("app", func(c *storage.Client) { c.DefaultContextUser = "jane" })
			w.addSecret(w.clients["app"], "secret")
			test.change(w)
			got := w.post("/oauth/token", nil, test.form...)
			if got.Code != http.StatusBadRequest || got.Header().Get("WWW-Authenticate") != "" {
				t.Errorf("got %d, WWW-Authenticate %q; want 400 and none", got.Code, got.Header().Get("WWW-Authenticate"))
			}
			if diff := cmp.Diff(test.want, got.Body.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestInactiveClientByHeader tests when an inactive client gets 401 with a challenge. The token
// endpoint answers so for the Authorization header only, other endpoints for every method.
func TestInactiveClientByHeader(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	w.addClient("app", func(c *storage.Client) { c.Active = false })
	w.addSecret(w.clients["app"], "secret")
	basic := http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte("app:secret"))}}
	for _, got := range []struct {
		where string
		code  int
		want  string
	}{
		{"token", w.post("/oauth/token", basic, "grant_type", "client_credentials").Code, ""},
		{"introspection", w.post("/oauth/introspect", nil, "client_id", "app", "client_secret", "secret", "token", "x").Code, ""},
	} {
		if got.code != http.StatusUnauthorized {
			t.Errorf("%s: got %d, want 401", got.where, got.code)
		}
	}
	if got := w.post("/oauth/token", basic, "grant_type", "client_credentials"); got.Header().Get("WWW-Authenticate") != `Basic realm="latchkey"` ||
		!strings.Contains(got.Body.String(), "Auth.ClientNotActive") {
		t.Errorf("got %v %s", got.Header(), got.Body)
	}
}

// TestAnonymous tests that OrderCloud's anonymous shopping needs no secret, and that its tokens
// live as long as the client configures.
func TestAnonymous(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	shop := w.clients["shop"]
	shop.AnonymousBuyer, shop.DefaultContextUser, shop.AnonymousTokenTTL = true, "jane", time.Hour
	got := w.post("/oauth/token", nil, "grant_type", "client_credentials", "client_id", "SHOP", "scope", "Shopper")
	var body map[string]any
	if err := json.Unmarshal(got.Body.Bytes(), &body); err != nil || got.Code != http.StatusOK {
		t.Fatalf("got %d %s, want 200", got.Code, got.Body)
	}
	if body["expires_in"] != 3599.0 || body["refresh_token"] != nil || body["token_type"] != "bearer" {
		t.Errorf("got %v", body)
	}
	caller, err := w.endpoints.tokens.Bearer(t.Context(), body["access_token"].(string))
	if err != nil || caller.Principal == nil || !cmp.Equal(caller.Roles, []string{"Shopper"}) || caller.SellerSide() {
		t.Errorf("got %+v, error %v", caller, err)
	}
}

// TestAccountSelection tests the answer to a member of several accounts, and for what its
// selection token can be used.
func TestAccountSelection(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	form := []string{"grant_type", grants.GrantAccountMember, "client_id", "shop"}
	got := w.post("/oauth/token", nil, append(form, "username", "jane", "one_time_password", "code")...)
	var body map[string]any
	if err := json.Unmarshal(got.Body.Bytes(), &body); err != nil {
		t.Fatal(err)
	}
	selection, _ := body["selection_token"].(string)
	delete(body, "selection_token")
	const description = "The user is a member of several accounts. Choose one by account_id."
	want := map[string]any{
		"error": "account_selection_required", "error_description": description,
		"Errors":     []any{map[string]any{"ErrorCode": "Auth.OauthError", "Message": description, "Data": nil}},
		"expires_in": 300.0, "accounts_total": 2.0,
		"accounts": []any{
			map[string]any{"account_id": "one", "account_name": "One", "account_roles": []any{"BuyerAdmin"}},
			map[string]any{"account_id": "two", "account_name": "Two", "account_roles": []any{}},
		},
	}
	if diff := cmp.Diff(want, body); diff != "" || got.Code != http.StatusBadRequest || got.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v (-want +got):\n%s", got.Code, got.Header(), diff)
	}
	chosen := w.post("/oauth/token", nil, append(form, "selection_token", selection, "account_id", "one")...)
	body = nil
	if err := json.Unmarshal(chosen.Body.Bytes(), &body); err != nil || chosen.Code != http.StatusOK {
		t.Fatalf("got %d %s, want 200", chosen.Code, chosen.Body)
	}
	if body["account_id"] != "one" || body["account_name"] != "One" || body["refresh_token"] == nil {
		t.Errorf("got %v", body)
	}
	claims := claimsIn(t, body["access_token"].(string))
	for name, want := range map[string]any{
		"account_id": "one", "account_name": "One", "account_roles": []any{"BuyerAdmin"}, "account_member_id": "usr_jane",
		"sub": "usr_jane", "scope": "BuyerAdmin", "iat": float64(start.Unix()), "iat_us": float64(start.UnixMicro()),
	} {
		if diff := cmp.Diff(want, claims[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	late := w.post("/oauth/token", nil, append(form, "selection_token", selection, "account_id", "two")...)
	if late.Code != http.StatusBadRequest {
		t.Errorf("another account by the same token: got %d %s, want 400", late.Code, late.Body)
	}
	selection = w.issueSelection(t)
	w.mu.Lock()
	w.now = start.Add(5*time.Minute + time.Second)
	w.mu.Unlock()
	if late := w.post("/oauth/token", nil, append(form, "selection_token", selection, "account_id", "one")...); late.Code != http.StatusBadRequest {
		t.Errorf("an expired selection token: got %d %s, want 400", late.Code, late.Body)
	}
}

// TestTokenExchange tests the answer that RFC 8693 §2.2.1 requires.
func TestTokenExchange(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	got := w.post("/oauth/token", nil, "grant_type", grants.GrantTokenExchange, "client_id", "shop", "account_id", "one",
		"subject_token", w.issue(t, nil), "subject_token_type", grants.TokenTypeAccessToken)
	var body map[string]any
	if err := json.Unmarshal(got.Body.Bytes(), &body); err != nil {
		t.Fatal(err)
	}
	delete(body, "access_token")
	want := map[string]any{
		"issued_token_type": grants.TokenTypeAccessToken, "token_type": "bearer", "expires_in": 599.0, "scope": "BuyerAdmin",
		"account_id": "one", "account_name": "One",
	}
	if diff := cmp.Diff(want, body); diff != "" {
		t.Error(diff)
	}
}

// TestIntrospectionOfKinds tests that introspection reports only access tokens as active. A
// resource server must not accept other tokens.
func TestIntrospectionOfKinds(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	w.addClient("api", func(c *storage.Client) { c.Roles = []string{RoleIntrospect} })
	w.addSecret(w.clients["api"], "secret")
	ask := func(issued string) map[string]any {
		got := w.post("/oauth/introspect", nil, "client_id", "api", "client_secret", "secret", "token", issued)
		var body map[string]any
		if err := json.Unmarshal(got.Body.Bytes(), &body); err != nil {
			t.Fatal(err)
		}
		return body
	}
	want := map[string]any{"account_id": "one", "account_name": "One", "account_roles": []any{"BuyerAdmin"}, "account_member_id": "usr_jane"}
	answer := ask(w.issue(t, &w.members[0]))
	for name := range want {
		if diff := cmp.Diff(want[name], answer[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for kind, issued := range map[string]string{"account token": w.issueAccount(t), "selection token": w.issueSelection(t)} {
		if diff := cmp.Diff(map[string]any{"active": false}, ask(issued)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", kind, diff)
		}
	}
}

// TestRevocationOfKinds tests that a client can revoke its own tokens of every type, and no
// others.
func TestRevocationOfKinds(t *testing.T) {
	t.Parallel()
	for name, r := range readers() {
		w := newFixture(t)
		w.addClient("other", func(c *storage.Client) { c.Public = true })
		issued := r.issue(w, t)
		if got := w.post("/oauth/revoke", nil, "client_id", "other", "token", issued); got.Code != http.StatusBadRequest || r.read(w, t, issued) != nil {
			t.Errorf("%s: another client: got %d, want 400", name, got.Code)
		}
		if got := w.post("/oauth/revoke", nil, "client_id", "shop", "token", issued); got.Code != http.StatusOK || r.read(w, t, issued) == nil {
			t.Errorf("%s: got %d, or the token is still accepted; want 200 and a revoked token", name, got.Code)
		}
	}
}
