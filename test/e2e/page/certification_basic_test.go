package page

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey/test/e2e/kit"
)

// TestCertificationBasic runs the modules of the certification plan "Basic OP" of the OpenID
// Foundation, by their names and in their order.
func TestCertificationBasic(t *testing.T) {
	runPlan(t, slices.Concat(responseModules, scopeModules, questionModules, parameterModules, codeModules, optionalModules))
}

var responseModules = []moduleTest{
	{"oidcc-server", func(m *module) string {
		got := m.signInFor(m.request(), "nonce", "n-1")
		m.mustHave(got.claims, "nonce", "n-1", "iss", "http://latchkey.test", "aud", "rp")
		m.userinfo(got)
		return ""
	}},
	{"oidcc-response-type-missing", func(m *module) string {
		m.mustRefuse(m.request(), "invalid_request", "response_type", "")
		return ""
	}},
	{"oidcc-idtoken-signature", func(m *module) string {
		header, _ := kit.DecodeJWT(m.t, m.signInFor(m.request()).idToken)
		if id, _ := header["kid"].(string); header["alg"] != "RS256" || id == "" {
			m.t.Errorf("got the header %v", header)
		}
		return ""
	}},
	{"oidcc-idtoken-unsigned", func(m *module) string {
		if algs, _ := m.metadata("id_token_signing_alg_values_supported").([]any); len(algs) == 0 || slices.Contains(algs, any("none")) {
			m.t.Errorf("got algorithms %v", algs)
		}
		return "ID tokens without a signature are not supported, and discovery does not list the algorithm none"
	}},
	{"oidcc-userinfo-get", func(m *module) string {
		m.userinfo(m.signInFor(m.request()))
		return ""
	}},
	{"oidcc-userinfo-post-header", func(m *module) string {
		of := m.signInFor(m.request())
		m.userinfoAnswer(of, m.Server.Do(http.MethodPost, "/oauth/userinfo", "", "", "Authorization", "Bearer "+of.AccessToken))
		return ""
	}},
	{"oidcc-userinfo-post-body", func(m *module) string {
		of := m.signInFor(m.request())
		m.userinfoAnswer(of, m.Server.Form("/oauth/userinfo", "access_token", of.AccessToken))
		both := m.Server.Do(http.MethodPost, "/oauth/userinfo", kit.FormMedia, kit.EncodeForm("access_token", of.AccessToken), "Authorization", "Bearer "+of.AccessToken)
		if both.Status != http.StatusBadRequest || both.Field("error") != "invalid_request" {
			m.t.Errorf("in the header and in the form: got %d %s, want 400", both.Status, both.Body)
		}
		if got := m.Server.Form("/oauth/userinfo", "access_token", of.AccessToken+"x"); got.Status != http.StatusUnauthorized {
			m.t.Errorf("a changed token in the form: got %d %s, want 401", got.Status, got.Body)
		}
		return ""
	}},
	{"oidcc-ensure-request-without-nonce-succeeds-for-code-flow", func(m *module) string {
		m.mustHave(m.signInFor(m.request()).claims, "nonce", nil)
		return ""
	}},
}

// scopeClaims are the claims that a scope adds to userinfo.
var scopeClaims = map[string][]string{
	"profile": {"name", "given_name", "family_name", "preferred_username"},
	"email":   {"email", "email_verified"},
	"phone":   {"phone_number"},
}

// showsScopes signs in with scopes. Userinfo must have their claims, and no claims of other
// scopes.
func (m *module) showsScopes(a *authorizationRequest, scopes ...string) {
	m.t.Helper()
	shown := m.userinfo(m.signInFor(a))
	for scope, claims := range scopeClaims {
		for _, claim := range claims {
			if _, has := shown[claim]; has != slices.Contains(scopes, scope) {
				m.t.Errorf("scopes %v: got userinfo %v", scopes, shown)
			}
		}
	}
}

// hasNoAddress checks that discovery does not offer the scope address.
func (m *module) hasNoAddress() string {
	m.t.Helper()
	if scopes, _ := m.metadata("scopes_supported").([]any); len(scopes) == 0 || slices.Contains(scopes, any("address")) {
		m.t.Errorf("got scopes %v", scopes)
	}
	return "users have no postal address, and discovery does not list the scope address, which is ignored"
}

var scopeModules = []moduleTest{
	{"oidcc-scope-profile", func(m *module) string {
		m.showsScopes(m.request("profile"), "profile")
		return ""
	}},
	{"oidcc-scope-email", func(m *module) string {
		m.showsScopes(m.request("email"), "email")
		return ""
	}},
	{"oidcc-scope-address", func(m *module) string {
		m.showsScopes(m.request("address"))
		return m.hasNoAddress()
	}},
	{"oidcc-scope-phone", func(m *module) string {
		m.showsScopes(m.request("phone"), "phone")
		return ""
	}},
	{"oidcc-scope-all", func(m *module) string {
		m.showsScopes(m.request("profile", "email", "address", "phone"), "profile", "email", "phone")
		return m.hasNoAddress()
	}},
	{"oidcc-ensure-other-scope-order-succeeds", func(m *module) string {
		a := m.request()
		a.config.Scopes = []string{"email", "openid"}
		m.showsScopes(a, "email")
		return ""
	}},
}

var questionModules = []moduleTest{
	{"oidcc-display-page", func(m *module) string {
		m.signInFor(m.request(), "display", "page")
		return ""
	}},
	{"oidcc-display-popup", func(m *module) string {
		m.signInFor(m.request(), "display", "popup")
		return ""
	}},
	{"oidcc-prompt-login", func(m *module) string {
		m.mustAskAgain("prompt", "login")
		return ""
	}},
	{"oidcc-prompt-none-not-logged-in", func(m *module) string {
		m.mustRefuse(m.request(), "login_required", "prompt", "none")
		return ""
	}},
	{"oidcc-prompt-none-logged-in", func(m *module) string {
		m.mustNotAskAgain("prompt", "none")
		return ""
	}},
	{"oidcc-max-age-1", func(m *module) string {
		m.mustAskAgain("max_age", "1")
		return ""
	}},
	{"oidcc-max-age-10000", func(m *module) string {
		m.mustNotAskAgain("max_age", "10000")
		return ""
	}},
}

// mustAskAgain fails the test unless a second request, with those parameters, asks the user
// although the browser has a session.
func (m *module) mustAskAgain(more ...string) {
	m.t.Helper()
	first := m.signInFor(m.request())
	m.Clock.Advance(2 * time.Second)
	second := m.signInFor(m.request(), more...)
	m.mustHave(second.claims, "sub", first.claims["sub"])
	if second.claims["auth_time"].(float64) < first.claims["auth_time"].(float64)+2 {
		m.t.Errorf("got auth_time %v after %v", second.claims["auth_time"], first.claims["auth_time"])
	}
}

// mustNotAskAgain fails the test unless a second request uses the session of the browser
// without a question.
func (m *module) mustNotAskAgain(more ...string) {
	m.t.Helper()
	first := m.signInFor(m.request())
	m.Clock.Advance(2 * time.Second)
	second := m.silently(m.request(), more...)
	m.mustHave(second.claims, "sub", first.claims["sub"], "auth_time", first.claims["auth_time"])
}

var parameterModules = []moduleTest{
	{"oidcc-ensure-request-with-unknown-parameter-succeeds", func(m *module) string {
		m.signInFor(m.request(), "extra", "foobar")
		return ""
	}},
	{"oidcc-id-token-hint", func(m *module) string {
		first := m.signInFor(m.request())
		second := m.silently(m.request(), "prompt", "none", "id_token_hint", first.idToken)
		m.mustHave(second.claims, "sub", first.claims["sub"])
		return ""
	}},
	{"oidcc-login-hint", func(m *module) string {
		a := m.request()
		if page := m.get(a.path("login_hint", "buffy@rp.example")); !strings.Contains(page.body, `value="buffy@rp.example"`) {
			m.t.Errorf("the page does not show the hint: %s", page.body)
		}
		m.signInFor(a, "login_hint", "buffy@rp.example")
		return ""
	}},
	{"oidcc-ui-locales", func(m *module) string {
		m.signInFor(m.request(), "ui_locales", "se")
		return ""
	}},
	{"oidcc-claims-locales", func(m *module) string {
		m.userinfo(m.signInFor(m.request(), "claims_locales", "se"))
		return ""
	}},
	{"oidcc-ensure-request-with-acr-values-succeeds", func(m *module) string {
		values, _ := m.metadata("acr_values_supported").([]any)
		if !slices.Contains(values, any("urn:latchkey:acr:otp")) {
			m.t.Errorf("got acr_values_supported %v", values)
		}
		m.mustHave(m.signInFor(m.request(), "acr_values", "urn:latchkey:acr:otp").claims, "acr", "urn:latchkey:acr:otp")
		return ""
	}},
}

// useTwice redeems a code twice. The second use must be refused, and must revoke the access
// token.
func (m *module) useTwice(pause time.Duration) {
	m.t.Helper()
	a := m.request()
	response := m.signIn(a, m.user)
	of := m.redeem(a, response)
	m.userinfo(of)
	m.Clock.Advance(pause)
	if _, err := a.exchange(response.Get("code")); err == nil || !strings.Contains(err.Error(), "invalid_grant") {
		m.t.Errorf("second use: %v", err)
	}
	if got := m.Server.Do(http.MethodGet, "/oauth/userinfo", "", "", "Authorization", "Bearer "+of.AccessToken); got.Status != http.StatusUnauthorized {
		m.t.Errorf("the access token after the second use: got %d %s, want 401", got.Status, got.Body)
	}
}

var codeModules = []moduleTest{
	{"oidcc-codereuse", func(m *module) string {
		m.useTwice(0)
		return ""
	}},
	{"oidcc-codereuse-30seconds", func(m *module) string {
		m.useTwice(30 * time.Second)
		return ""
	}},
	{"oidcc-ensure-registered-redirect-uri", func(m *module) string {
		got := m.get(m.request().path("redirect_uri", relyingParty+"/other"))
		if got.status != http.StatusBadRequest || got.header.Get("Location") != "" || !strings.Contains(got.body, "Request id") {
			m.t.Errorf("no error page: %d %v %s", got.status, got.header, got.body)
		}
		return ""
	}},
	{"oidcc-ensure-post-request-succeeds", func(m *module) string {
		a := m.request()
		target, err := url.Parse(a.path())
		m.Must(err)
		var fields []string
		for name, values := range target.Query() {
			fields = append(fields, name, values[0])
		}
		m.header.Set("Sec-Fetch-Site", "cross-site")
		page := m.post(target.Path, fields...).asksFor(m.t, "username")
		m.header.Set("Sec-Fetch-Site", "same-origin")
		page = m.submit(page, "username", m.user).asksFor(m.t, "one-time-code")
		m.redeem(a, m.submit(page, "code", m.Inbox.Next(m.t).EventBody.OneTimePassword).response(m.t, relyingParty))
		return ""
	}},
	{"oidcc-server-client-secret-post", func(m *module) string {
		a := m.authorizationRequest("rp", kit.ClientSecret, relyingParty, "openid") // x/oauth2 sends the secret in the form
		m.userinfo(m.signInFor(a))
		return ""
	}},
}

// requestObject is an authorization request as a JWT without a signature.
func (m *module) requestObject(a *authorizationRequest) string {
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." +
		base64.RawURLEncoding.EncodeToString([]byte(`{"client_id":"rp","response_type":"code","scope":"openid","redirect_uri":"`+relyingParty+`","state":"`+a.state+`"}`)) + "."
}

var optionalModules = []moduleTest{
	{"oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported", func(m *module) string {
		m.mustRefuse(m.request(), "request_uri_not_supported", "request_uri", "https://rp.example/request.jwt")
		if got := m.metadata("request_uri_parameter_supported"); got != false {
			m.t.Errorf("request_uri_parameter_supported: got %v, want %v", got, false)
		}
		return ""
	}},
	{"oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported", func(m *module) string {
		a := m.request()
		m.mustRefuse(a, "request_not_supported", "request", m.requestObject(a))
		if got := m.metadata("request_parameter_supported"); got != false {
			m.t.Errorf("request_parameter_supported: got %v, want %v", got, false)
		}
		return ""
	}},
	{"oidcc-claims-essential", func(m *module) string {
		m.userinfo(m.signInFor(m.request(), "claims", `{"userinfo":{"name":{"essential":true}}}`))
		if got := m.metadata("claims_parameter_supported"); got != false {
			m.t.Errorf("claims_parameter_supported: got %v, want %v", got, false)
		}
		return "the parameter claims is not supported, as discovery says, and is ignored"
	}},
	{"oidcc-ensure-request-object-with-redirect-uri", func(m *module) string {
		a := m.request()
		got := m.get(a.path("request", m.requestObject(a), "redirect_uri", relyingParty+"/other"))
		if got.status != http.StatusBadRequest || got.header.Get("Location") != "" {
			m.t.Errorf("no error page: %d %v %s", got.status, got.header, got.body)
		}
		return ""
	}},
	{"oidcc-refresh-token", refreshModule},
	{"oidcc-ensure-request-with-valid-pkce-succeeds", func(m *module) string {
		a := m.request()
		if !strings.Contains(a.path(), "code_challenge_method=S256") {
			m.t.Errorf("got request %s", a.path())
		}
		m.signInFor(a)
		return ""
	}},
}

// refreshModule renews tokens, and lets another client try the refresh token.
func refreshModule(m *module) string {
	a := m.request("offline_access")
	of := m.signInFor(a, "prompt", "consent")
	basic := func(id string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+kit.ClientSecret))
	}
	refresh := func(id string) kit.Response {
		return m.Server.Do(http.MethodPost, "/oauth/token", kit.FormMedia,
			kit.EncodeForm("grant_type", "refresh_token", "refresh_token", of.RefreshToken), "Authorization", basic(id))
	}
	if got := refresh("second-rp"); got.Field("error") != "invalid_grant" {
		m.t.Errorf("another client: got %d %s", got.Status, got.Body)
	}
	renewed := kit.MustIssue(m.t, "refresh", refresh("rp"))
	of.AccessToken = renewed.Field("access_token")
	m.userinfo(of)
	if token := renewed.Field("id_token"); token != "" { // OpenID Connect Core 1.0 §12.2: it may be missing
		claims := claimsOf(m.t, token)
		m.mustHave(claims, "iss", of.claims["iss"], "sub", of.claims["sub"], "aud", of.claims["aud"], "auth_time", of.claims["auth_time"])
	}
	return ""
}
