package resource

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestRequire tests the exact responses of Require (RFC 6750 §3).
func TestRequire(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	v := i.verifier(t, nil)
	good := i.sign(t, i.claims(), nil)
	const realm = `Bearer realm="https://first.example"`
	const malformed = realm + `, error="invalid_request", error_description="The header of the access token is malformed or repeated."`
	const invalid = realm + `, error="invalid_token", error_description="The access token is invalid or expired."`
	const lacking = realm + `, error="insufficient_scope", error_description="The access token does not allow this.", scope="Shopper \"Odd\" Buyer"`
	for name, c := range map[string]struct {
		scopes    []string
		headers   []string
		status    int
		challenge string
		body      string
	}{
		"good":                         {nil, []string{"Authorization", "Bearer " + good}, 200, "", "usr_jane by shop"},
		"scheme in upper case":         {nil, []string{"Authorization", "BEARER  " + good}, 200, "", "usr_jane by shop"},
		"with scopes":                  {[]string{"MeAdmin", "Shopper"}, []string{"Authorization", "Bearer " + good}, 200, "", "usr_jane by shop"},
		"no token":                     {nil, nil, 401, realm, ""},
		"another scheme":               {nil, []string{"Authorization", "Basic c2hvcDpzZWNyZXQ="}, 401, realm, ""},
		"DPoP not configured":          {nil, []string{"Authorization", "DPoP " + good}, 401, realm, ""},
		"another header":               {nil, []string{"X-Access-Token", good}, 401, realm, ""},
		"no space":                     {nil, []string{"Authorization", "Bearer" + good}, 401, realm, ""},
		"empty":                        {nil, []string{"Authorization", "Bearer "}, 400, malformed, malformedBody},
		"two words":                    {nil, []string{"Authorization", "Bearer " + good + " x"}, 400, malformed, malformedBody},
		"two tokens":                   {nil, []string{"Authorization", "Bearer " + good + ", Bearer " + good}, 400, malformed, malformedBody},
		"two headers":                  {nil, []string{"Authorization", "Bearer " + good, "Authorization", "Bearer " + good}, 400, malformed, malformedBody},
		"two headers, two kinds":       {nil, []string{"Authorization", "Basic eDp5", "Authorization", "Bearer " + good}, 400, malformed, malformedBody},
		"not a JWT":                    {nil, []string{"Authorization", "Bearer opaque"}, 401, invalid, invalidBody},
		"token of 1 MiB":               {nil, []string{"Authorization", "Bearer " + strings.Repeat("A", 1<<20)}, 401, invalid, invalidBody},
		"valid token and 1 MiB":        {nil, []string{"Authorization", "Bearer " + good + strings.Repeat("A", 1<<20)}, 401, invalid, invalidBody},
		"missing scope":                {[]string{"Shopper", `"Odd"`, "Buyer\n"}, []string{"Authorization", "Bearer " + good}, 403, lacking, lackingBody},
		"invalid token, missing scope": {[]string{"Buyer"}, []string{"Authorization", "Bearer " + good + "A"}, 401, invalid, invalidBody},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := get(v.Require(c.scopes...)(showTokens), c.headers...)
			got := []any{w.Code, strings.Join(w.Header().Values("WWW-Authenticate"), "|"), w.Body.String()}
			if diff := cmp.Diff([]any{c.status, c.challenge, c.body}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if c.status != 200 && w.Header().Get("Cache-Control") != "no-store" {
				t.Error("got no Cache-Control: no-store")
			}
		})
	}
}

const (
	malformedBody = `{"error":"invalid_request","error_description":"The header of the access token is malformed or repeated."}`
	invalidBody   = `{"error":"invalid_token","error_description":"The access token is invalid or expired."}`
	lackingBody   = `{"error":"insufficient_scope","error_description":"The access token does not allow this."}`
)

// TestFullAccessIsOneScope tests that the scope FullAccess does not include others.
func TestFullAccessIsOneScope(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	v := i.verifier(t, nil)
	full := i.sign(t, with(i.claims(), object{"scope": "FullAccess"}), nil)
	if w := get(v.Require("OrderReader")(showTokens), "Authorization", "Bearer "+full); w.Code != http.StatusForbidden {
		t.Errorf("FullAccess for OrderReader: got %d, want 403", w.Code)
	}
	if w := get(v.Require("FullAccess")(showTokens), "Authorization", "Bearer "+full); w.Code != http.StatusOK {
		t.Errorf("FullAccess for itself: got %d, want 200", w.Code)
	}
}

// TestNeverFromQueryOrBody tests that a token in the query, the body or a cookie is ignored.
func TestNeverFromQueryOrBody(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	h := i.verifier(t, nil).Require()(showTokens)
	good := i.sign(t, i.claims(), nil)
	r := httptest.NewRequest(http.MethodPost, "/?access_token="+good, strings.NewReader("access_token="+good))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.AddCookie(&http.Cookie{Name: "access_token", Value: good})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusUnauthorized {
		t.Errorf("got %d %s, want 401", w.Code, w.Body)
	}
}

// TestToken compares the fields of a Token with its claims.
func TestToken(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	now := i.clock.now()
	got, err := i.verifier(t, nil).Verify(t.Context(), i.sign(t, with(i.claims(), object{
		"aud": []string{"https://other.example", audience}, "account_uid": "acc_1", "account_id": "acme",
		"account_name": "Acme Ltd", "account_roles": []string{"Buy"}, "account_member_id": "usr_jane", "usr": "jane",
	}), nil))
	if err != nil {
		t.Fatal(err)
	}
	if got.Claims["usr"] != "jane" || got.OfClient() {
		t.Errorf("got the claims %v, of a client: %v", got.Claims, got.OfClient())
	}
	got.Claims = nil
	want := &Token{
		ID: "jti_1", Subject: "usr_jane", ClientID: "shop", Audience: []string{"https://other.example", audience},
		Scopes: []string{"Shopper", "MeAdmin"}, AMR: []string{"otp"}, AuthTime: now.Add(-time.Minute),
		IssuedAt: now, ExpiresAt: now.Add(10 * time.Minute),
		Account: &Account{UID: "acc_1", ID: "acme", Name: "Acme Ltd", Roles: []string{"Buy"}, MemberID: "usr_jane"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestTwoVerifiers tests that a Verifier does not trust a token that another Verifier has
// accepted.
func TestTwoVerifiers(t *testing.T) {
	t.Parallel()
	i, other := newIssuer(t), newIssuer(t)
	v, w := i.verifier(t, nil), other.verifier(t, nil)
	good := i.sign(t, i.claims(), nil)
	if got := get(v.Require()(v.Require("Shopper")(showTokens)), "Authorization", "Bearer "+good); got.Code != http.StatusOK {
		t.Errorf("the same verifier twice: got %d %s, want 200", got.Code, got.Body)
	}
	if got := get(v.Require()(v.Require("Buyer")(showTokens)), "Authorization", "Bearer "+good); got.Code != http.StatusForbidden {
		t.Errorf("the same verifier twice, second with another scope: got %d %s, want 403", got.Code, got.Body)
	}
	if got := get(v.Require()(w.Require()(showTokens)), "Authorization", "Bearer "+good); got.Code != http.StatusUnauthorized {
		t.Errorf("another verifier second: got %d %s, want 401", got.Code, got.Body)
	}
}

// TestAccountMember tests which requests RequireAccountMember accepts.
func TestAccountMember(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	v := i.verifier(t, nil)
	member := i.account(t, nil)
	access := func(changes object) string { return "Bearer " + i.sign(t, with(i.claims(), changes), nil) }
	client := access(object{"sub": "shop", "auth_time": nil, "amr": nil})
	alone, behind := v.RequireAccountMember()(showTokens), v.Require()(v.RequireAccountMember("Buy")(showTokens))
	for name, c := range map[string]struct {
		h       http.Handler
		headers []string
		status  int
		body    string
	}{
		"alone":                           {alone, []string{AccountHeader, member}, 200, " member usr_jane of acme"},
		"alone, long typ":                 {alone, []string{AccountHeader, i.sign(t, i.accountClaims(), object{"typ": "application/account+jwt"})}, 200, " member usr_jane of acme"},
		"with the client's token":         {behind, []string{"Authorization", client, AccountHeader, member}, 200, "shop by shop member usr_jane of acme"},
		"with the user's token":           {behind, []string{"Authorization", access(nil), AccountHeader, member}, 200, "usr_jane by shop member usr_jane of acme"},
		"with a token of the account":     {behind, []string{"Authorization", access(object{"account_uid": "acc_1"}), AccountHeader, member}, 200, "usr_jane by shop member usr_jane of acme"},
		"with another user's token":       {behind, []string{"Authorization", access(object{"sub": "usr_eve"}), AccountHeader, member}, 403, ""},
		"with a token of another account": {behind, []string{"Authorization", access(object{"account_uid": "acc_2"}), AccountHeader, member}, 403, ""},
		"missing":                         {alone, nil, 401, ""},
		"missing after Require":           {behind, []string{"Authorization", client}, 401, ""},
		"repeated":                        {alone, []string{AccountHeader, member, AccountHeader, member}, 400, ""},
		"in the Authorization header":     {alone, []string{"Authorization", "Bearer " + member}, 401, ""},
		"access token instead":            {alone, []string{AccountHeader, strings.TrimPrefix(access(nil), "Bearer ")}, 401, ""},
		"access token with its aud":       {alone, []string{AccountHeader, i.sign(t, i.accountClaims(), nil)}, 401, ""},
		"account token as access":         {v.Require()(showTokens), []string{"Authorization", "Bearer " + member}, 401, ""},
		"account token, its aud too":      {v.Require()(showTokens), []string{"Authorization", "Bearer " + i.account(t, object{"aud": audience})}, 401, ""},
		"of another audience":             {alone, []string{AccountHeader, i.account(t, object{"aud": audience})}, 401, ""},
		"of another issuer":               {alone, []string{AccountHeader, i.account(t, object{"iss": "https://attacker.example"})}, 401, ""},
		"without an account":              {alone, []string{AccountHeader, i.account(t, object{"account_uid": nil})}, 401, ""},
		"expired":                         {alone, []string{AccountHeader, i.account(t, object{"exp": i.clock.now().Add(-time.Minute).Unix()})}, 401, ""},
		"missing role":                    {v.RequireAccountMember("Buy", "Approve")(showTokens), []string{AccountHeader, member}, 403, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := get(c.h, c.headers...)
			if w.Code != c.status || c.status == 200 && w.Body.String() != c.body {
				t.Errorf("got %d %s, want %d %s", w.Code, w.Body, c.status, c.body)
			}
			if challenged := w.Header().Get("WWW-Authenticate") != ""; challenged != (c.status != 200) {
				t.Errorf("got the challenge %q", w.Header().Get("WWW-Authenticate"))
			}
		})
	}
}
