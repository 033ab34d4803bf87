package page

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"latchkey/test/e2e/kit"
)

// TestRefusedRequests tests where refusals of authorization requests go: to the client, or to a
// page if the redirect URI is not one of the client's.
func TestRefusedRequests(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		for what, more := range map[string][]string{
			"unknown client":                 {"client_id", "nobody"},
			"no client":                      {"client_id", ""},
			"foreign redirect URI":           {"redirect_uri", "https://evil.example/callback"},
			"longer redirect URI":            {"redirect_uri", callback + "/x"},
			"no redirect URI":                {"redirect_uri", ""},
			"expired request_uri":            {"request_uri", "urn:ietf:params:oauth:request_uri:x"},
			"script in client":               {"client_id", "<script>alert(1)</script>"},
			"redirect URI of another client": {"redirect_uri", "https://web.example/callback"},
		} {
			got := s.newBrowser().get(s.spa().path(more...))
			if got.status != 400 || !strings.Contains(got.body, got.header.Get("X-Request-Id")) || strings.Contains(got.body, "evil.example") || strings.Contains(got.body, "alert(1)") {
				t.Errorf("%s: %d %s", what, got.status, got.body)
			}
			if got.header.Get("Location") != "" || got.header.Get("Set-Cookie") != "" {
				t.Errorf("%s: got %v", what, got.header)
			}
		}
		for what, want := range map[string]struct {
			more []string
			code string
		}{
			"response_type":    {[]string{"response_type", "token"}, "unsupported_response_type"},
			"no response_type": {[]string{"response_type", ""}, "invalid_request"},
			"plain PKCE":       {[]string{"code_challenge_method", "plain"}, "invalid_request"},
			"no PKCE":          {[]string{"code_challenge", ""}, "invalid_request"},
			"request object":   {[]string{"request", "x.y.z"}, "request_not_supported"},
			"request_uri":      {[]string{"request_uri", "https://app.example/request"}, "request_uri_not_supported"},
			"prompt":           {[]string{"prompt", "none login"}, "invalid_request"},
			"max_age":          {[]string{"max_age", "-1"}, "invalid_request"},
			"resource":         {[]string{"resource", "https://unknown.example"}, "invalid_target"},
			"response_mode":    {[]string{"response_mode", "fragment"}, "invalid_request"},
			"hint":             {[]string{"id_token_hint", "x.y.z"}, "invalid_request"},
		} {
			a := s.spa()
			got := s.newBrowser().get(a.path(want.more...)).response(t, callback)
			if got.Get("error") != want.code || got.Get("state") != a.state || got.Get("iss") != "http://latchkey.test" {
				t.Errorf("%s: got %v", what, got)
			}
		}
	})
}

// TestPushedRequest tests pushed requests (RFC 9126). Each can be used once, and parameters
// beside the request_uri are ignored.
func TestPushedRequest(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		a := s.authorizationRequest("web", kit.ClientSecret, "https://web.example/callback", "openid")
		form := strings.TrimPrefix(a.path(), "/oauth/authorize?")
		pushed := s.Server.Do(http.MethodPost, "/oauth/par", kit.FormMedia, form+"&client_secret="+kit.ClientSecret)
		if pushed.Status != 201 {
			t.Fatalf("pushed: got %d %s, want 201", pushed.Status, pushed.Body)
		}
		refused := s.Server.Do(http.MethodPost, "/oauth/par", kit.FormMedia, form+"&client_secret=wrong")
		if refused.Field("error") != "invalid_client" {
			t.Errorf("pushed without authentication: got %d %s", refused.Status, refused.Body)
		}
		path := "/oauth/authorize?" + kit.EncodeForm("client_id", "web", "request_uri", pushed.Field("request_uri"), "prompt", "none", "state", "other")
		b := s.newBrowser()
		page := b.submit(b.get(path).asksFor(t, "username"), "username", "jane").asksFor(t, "one-time-code")
		got := b.submit(page, "code", s.Inbox.Next(t).EventBody.OneTimePassword).response(t, "https://web.example/callback")
		if got.Get("state") != a.state {
			t.Errorf("parameters beside the request_uri count: %v", got)
		}
		_, err := a.exchange(got.Get("code"))
		s.Must(err)
		if got := b.get(path).response(t, "https://web.example/callback"); got.Get("error") != "invalid_request_uri" {
			t.Errorf("used twice: %v", got)
		}
		if got := b.get("/oauth/authorize?" + kit.EncodeForm("client_id", "spa", "request_uri", pushed.Field("request_uri"))); got.status != 400 {
			t.Errorf("used by another client: %d", got.status)
		}
	})
}

// TestConsent tests that users of a third-party client are asked once for each scope.
func TestConsent(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		const target = "https://partner.example/callback"
		b := s.newBrowser()
		request := func(scopes ...string) *authorizationRequest {
			return s.authorizationRequest("partner", "", target, scopes...)
		}
		b.signIn(s.spa(), "jane")
		a := request("openid", "email")
		if got := b.get(a.path("prompt", "none")).response(t, target); got.Get("error") != "consent_required" {
			t.Errorf("prompt none: %v", got)
		}
		page := b.get(a.path())
		if !strings.Contains(page.body, "<li>see your e-mail address</li>") {
			t.Fatalf("no consent page: %s", page.body)
		}
		if got := b.submit(page, "do", "deny").response(t, target); got.Get("error") != "access_denied" {
			t.Errorf("denied: %v", got)
		}
		token, err := a.exchange(b.submit(page).response(t, target).Get("code"))
		s.Must(err)
		if scope, _ := token.Extra("scope").(string); scope != "openid email" || token.RefreshToken != "" {
			t.Errorf("got the scope %q, refresh token %q", scope, token.RefreshToken)
		}
		if got := b.get(request("openid").path("prompt", "none")).response(t, target); got.Get("code") == "" {
			t.Errorf("asked again: %v", got)
		}
		more := request("openid", "email", "offline_access", "Shopper")
		token, err = more.exchange(b.submit(b.get(more.path())).response(t, target).Get("code"))
		s.Must(err)
		if scope, _ := token.Extra("scope").(string); scope != "openid email offline_access Shopper" || token.RefreshToken == "" {
			t.Errorf("got the scope %q, refresh token %q", scope, token.RefreshToken)
		}
		if got := b.get(request("openid").path("prompt", "consent")); got.status != 200 || !strings.Contains(got.body, "Deny") {
			t.Errorf("prompt consent: %d %s", got.status, got.body)
		}
	})
}

// TestThirdPartyBeyondConsent tests that the token of a third-party client does no more at the
// resources of the user than the user has consented to.
func TestThirdPartyBeyondConsent(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		const target = "https://partner.example/callback"
		b := s.newBrowser()
		b.signIn(s.spa(), "jane")
		for scope, may := range map[string]int{"openid": 403, "": 403, "openid Shopper": 403, "MeAdmin": 200} {
			a := s.authorizationRequest("partner", "", target, strings.Fields(scope)...)
			page := b.get(a.path("prompt", "consent"))
			token, err := a.exchange(b.submit(page).response(t, target).Get("code"))
			s.Must(err)
			for call, want := range map[string]int{"GET /v1/me": may, "DELETE /v1/me/tokens": 403} {
				method, path, _ := strings.Cut(call, " ")
				if got := s.Server.SendJSON(method, path, token.AccessToken, ""); got.Status != want {
					t.Errorf("scope %q, %s: got %d %s, want %d", scope, call, got.Status, got.Body, want)
				}
			}
		}
	})
}

// TestDiscovery tests that both metadata documents agree and name every endpoint.
func TestDiscovery(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		one := s.Server.Do(http.MethodGet, "/.well-known/openid-configuration", "", "")
		other := s.Server.Do(http.MethodGet, "/.well-known/oauth-authorization-server", "", "")
		if one.Body != other.Body {
			t.Errorf("the documents differ:\n%s\n%s", one.Body, other.Body)
		}
		var m map[string]any
		s.Must(json.Unmarshal([]byte(one.Body), &m))
		for name, want := range map[string]any{
			"authorization_endpoint": "http://latchkey.test/oauth/authorize", "userinfo_endpoint": "http://latchkey.test/oauth/userinfo",
			"pushed_authorization_request_endpoint": "http://latchkey.test/oauth/par", "request_uri_parameter_supported": false,
			"authorization_response_iss_parameter_supported": true,
		} {
			if m[name] != want {
				t.Errorf("%s: got %v", name, m[name])
			}
		}
		for _, name := range []string{"acr_values_supported", "prompt_values_supported", "ui_locales_supported", "response_types_supported", "subject_types_supported"} {
			if list, _ := m[name].([]any); len(list) == 0 {
				t.Errorf("%s: got %v", name, m[name])
			}
		}
	})
}

// TestLargeForm tests that a form that is too large is refused with a page that says so, and that
// the same form can be posted afterwards with a shorter value.
func TestLargeForm(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		b := s.newBrowser()
		form := b.get(s.spa().path())
		for language, want := range map[string]string{"en": "What you entered is too long.", "de": "Ihre Eingabe ist zu lang."} {
			b.header.Set("Accept-Language", language)
			if got := b.submit(form, "username", strings.Repeat("x", 1<<17)); got.status != http.StatusRequestEntityTooLarge || !strings.HasPrefix(got.alert(), want) {
				t.Errorf("%s: got %d %s, want 413 with %q", language, got.status, got.body, want)
			}
		}
		b.submit(form, "username", "jane").asksFor(t, "one-time-code")
	})
}
