package page

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"

	"latchkey/test/e2e/kit"
)

// TestClients tests clients that are registered for the pages in each way.
func TestClients(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		admin := s.NewAdmin(s.Server)
		body := `{"ID":"made","AppName":"Made","Active":true,"AllowAnyBuyer":true,"GrantTypes":["authorization_code"],"AllowedCredentials":["otp"],` +
			`"RedirectUris":["https://made.example/b","https://made.example/a"],"PostLogoutRedirectUris":["https://made.example/"],` +
			`"BackchannelLogoutUri":"https://made.example/logout","IDTokenSigningAlg":"EdDSA"}`
		made := admin.Do(http.MethodPost, "/v1/apiclients", body)
		for _, part := range []string{
			`"RedirectUris":["https://made.example/a","https://made.example/b"]`, `"PostLogoutRedirectUris":["https://made.example/"]`,
			`"BackchannelLogoutUri":"https://made.example/logout"`, `"IDTokenSigningAlg":"EdDSA"`,
		} {
			if made.Status != 201 || !strings.Contains(made.Body, part) {
				t.Errorf("%s is missing: got %d %s, want 201", part, made.Status, made.Body)
			}
		}
		for _, uri := range []string{"http://made.example/a", "https://*.made.example/a", "https://made.example/a#b", "/a", "javascript:alert(1)"} {
			text, err := json.Marshal(map[string]any{"RedirectUris": []string{uri}})
			s.Must(err)
			if got := admin.Do(http.MethodPatch, "/v1/apiclients/made", string(text)); got.Status != 400 || !strings.Contains(got.Body, "redirect URI") {
				t.Errorf("%s: got %d %s, want 400", uri, got.Status, got.Body)
			}
		}
		a, b := s.authorizationRequest("made", "", "https://made.example/a", "openid"), s.newBrowser()
		token, err := a.exchange(b.signIn(a, "jane").Get("code"))
		s.Must(err)
		ctx := oidc.ClientContext(context.Background(), kit.HTTPClient)
		raw, _ := token.Extra("id_token").(string)
		id, err := oidc.NewVerifier("http://latchkey.test", oidc.NewRemoteKeySet(ctx, s.Server.URL+"/oauth/jwks"),
			&oidc.Config{ClientID: "made", SupportedSigningAlgs: []string{"EdDSA"}, Now: s.Clock.Now}).Verify(ctx, raw)
		s.Must(err)
		s.Must(id.VerifyAccessToken(token.AccessToken))
	})
}

// TestShield tests that an address that guesses codes at the page is refused with a page in the
// language of the browser, although each answer has status 200. The page for logouts refuses
// the same address.
func TestShield(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		s := newSite(t, w, kit.BehindProxy, "LATCHKEY_SHIELD=5/1m")
		b := s.newBrowser()
		b.header.Set("X-Forwarded-For", "203.0.113.9")
		page := b.submit(b.get(s.spa().path()), "username", "nobody").asksFor(t, "one-time-code")
		for i := range 5 {
			if got := b.submit(page, "code", "12345678"); got.status != 200 {
				t.Fatalf("guess %d: %d %s", i, got.status, got.body)
			}
		}
		got := b.submit(page, "code", "12345678")
		if got.status != 429 || got.header.Get("Retry-After") == "" {
			t.Errorf("another guess: %d %v", got.status, got.header)
		}
		b.header.Set("Accept-Language", "de-AT, en;q=0.5")
		for _, path := range []string{"/oauth/signin", "/oauth/authorize", "/oauth/end_session"} {
			got := b.post(path)
			if got.status != 429 || !strings.Contains(got.body, "<h1>Zu viele Versuche</h1>") || !strings.HasPrefix(got.alert(), "Versuchen Sie es in ") {
				t.Errorf("%s in German: %d %s", path, got.status, got.body)
			}
			for name, want := range map[string]string{
				"Content-Type": "text/html; charset=utf-8", "Content-Language": "de", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
			} {
				if got.header.Get(name) != want {
					t.Errorf("%s: %s %q", path, name, got.header.Get(name))
				}
			}
			if style := b.get("/oauth/signin/assets/style.css"); !strings.Contains(got.body, `href="/oauth/signin/assets/style.css"`) || style.status != 200 {
				t.Errorf("%s: no style sheet: %d %s", path, style.status, got.body)
			}
		}
	})
}

// TestRegisteredClients tests sign-ins through clients that are registered by RFC 7591 and by
// the command line.
func TestRegisteredClients(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		admin := s.NewAdmin(s.Server)
		registered := admin.Do(http.MethodPost, "/oauth/register", `{"client_name":"Native","token_endpoint_auth_method":"none",`+
			`"redirect_uris":["com.example.app:/callback","http://127.0.0.1/callback"],"response_types":["code"],"require_pushed_authorization_requests":true}`)
		for _, part := range []string{`"grant_types":["authorization_code"]`, `"response_types":["code"]`, `"redirect_uris":["com.example.app:/callback"`} {
			if registered.Status != 201 || !strings.Contains(registered.Body, part) {
				t.Errorf("%s is missing: got %d %s, want 201", part, registered.Status, registered.Body)
			}
		}
		a := s.authorizationRequest(registered.Field("client_id"), "", "http://127.0.0.1:51004/callback", "openid")
		if got := s.newBrowser().get(a.path()).response(t, "http://127.0.0.1:51004/callback"); got.Get("error") != "invalid_request" {
			t.Errorf("a request that was not pushed: %v", got)
		}

		var created struct {
			ID     string `json:"client_id"`
			Secret string `json:"client_secret"`
		}
		s.Must(json.Unmarshal([]byte(s.Run("client", "create", "--name", "Phone", "--public", "--grant", "authorization_code", "--grant", "refresh_token",
			"--credential", "otp", "--role", "Shopper", "--redirect-uri", "com.example.phone:/callback")), &created))
		if created.ID == "" || created.Secret != "" {
			t.Fatalf("got created %+v", created)
		}
		var token struct {
			Scope string `json:"scope"`
		}
		phone, b := s.authorizationRequest(created.ID, "", "com.example.phone:/callback", "openid"), s.newBrowser()
		code := b.signIn(phone, "jane").Get("code")
		answer := kit.MustIssue(t, "the phone's code", s.Server.Form("/oauth/token", "grant_type", "authorization_code", "code", code, "client_id", created.ID,
			"redirect_uri", "com.example.phone:/callback", "code_verifier", phone.verifier))
		s.Must(json.Unmarshal([]byte(answer.Body), &token))
		if token.Scope != "openid Shopper" || answer.Field("refresh_token") == "" {
			t.Errorf("got token %s", answer.Body)
		}
	})
}
