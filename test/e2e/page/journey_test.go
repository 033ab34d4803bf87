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

// TestJourney signs a user in with clients that others wrote: x/oauth2 redeems the code,
// go-oidc verifies the ID token.
func TestJourney(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		a, b := s.spa("openid", "profile", "email", "offline_access"), s.newBrowser()
		got := b.signIn(a, "jane", "nonce", "n-1")
		token, err := a.exchange(got.Get("code"))
		s.Must(err)
		if token.RefreshToken == "" || token.TokenType != "Bearer" && token.TokenType != "bearer" {
			t.Fatalf("got token %+v", token)
		}
		ctx := oidc.ClientContext(context.Background(), kit.HTTPClient)
		verifier := oidc.NewVerifier("http://latchkey.test", oidc.NewRemoteKeySet(ctx, s.Server.URL+"/oauth/jwks"), &oidc.Config{ClientID: "spa", Now: s.Clock.Now})
		raw, _ := token.Extra("id_token").(string)
		id, err := verifier.Verify(ctx, raw)
		s.Must(err)
		s.Must(id.VerifyAccessToken(token.AccessToken))
		claims := map[string]any{}
		s.Must(id.Claims(&claims))
		for name, want := range map[string]any{"nonce": "n-1", "acr": "urn:latchkey:acr:otp", "email": nil, "scope": nil, "name": nil} {
			if claims[name] != want {
				t.Errorf("claim %s: got %v, want %v", name, claims[name], want)
			}
		}
		if sid, _ := claims["sid"].(string); len(sid) < 16 || claims["auth_time"] == nil {
			t.Errorf("got the claims %v", claims)
		}
		s.checkUserinfo(t, token.AccessToken, id.Subject)

		refreshed := s.Server.Form("/oauth/token", "grant_type", "refresh_token", "refresh_token", token.RefreshToken, "client_id", "spa")
		kit.MustIssue(t, "a refresh", refreshed)
		s.checkUserinfo(t, refreshed.Field("access_token"), id.Subject)

		// A second use revokes all tokens, but only if everything else is right.
		stolen := *a
		stolen.verifier += "x"
		if _, err := stolen.exchange(got.Get("code")); err == nil {
			t.Error("a used code was redeemed with a wrong verifier")
		}
		s.checkUserinfo(t, token.AccessToken, id.Subject)
		if _, err := a.exchange(got.Get("code")); err == nil || !strings.Contains(err.Error(), "invalid_grant") {
			t.Errorf("second use: %v", err)
		}
		if answer := s.Server.Do(http.MethodGet, "/oauth/userinfo", "", "", "Authorization", "Bearer "+token.AccessToken); answer.Status != http.StatusUnauthorized {
			t.Errorf("after the second use: got %d, want 401", answer.Status)
		}
	})
}

func (s *site) checkUserinfo(t *testing.T, token, subject string) {
	t.Helper()
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		answer := s.Server.Do(method, "/oauth/userinfo", "", "", "Authorization", "Bearer "+token)
		var claims map[string]any
		if err := json.Unmarshal([]byte(answer.Body), &claims); err != nil || answer.Status != 200 {
			t.Fatalf("userinfo: got %d %s", answer.Status, answer.Body)
		}
		if claims["sub"] != subject || claims["name"] != "Jane Doe" || claims["email"] != "jane@example.com" || claims["email_verified"] != false {
			t.Errorf("got userinfo %v", claims)
		}
	}
}

// TestWrongVerifier tests that a code is refused with a wrong verifier and without one, and
// stays valid.
func TestWrongVerifier(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		a := s.spa()
		code := s.newBrowser().signIn(a, "jane").Get("code")
		redeem := func(fields ...string) kit.Response {
			return s.Server.Form("/oauth/token", append([]string{"grant_type", "authorization_code", "code", code}, fields...)...)
		}
		for what, fields := range map[string][]string{
			"wrong verifier":     {"client_id", "spa", "redirect_uri", callback, "code_verifier", strings.Repeat("x", 43)},
			"no verifier":        {"client_id", "spa", "redirect_uri", callback},
			"the challenge":      {"client_id", "spa", "redirect_uri", callback, "code_verifier", a.path()[strings.Index(a.path(), "code_challenge=")+15:][:43]},
			"no redirect URI":    {"client_id", "spa", "code_verifier", a.verifier},
			"other redirect URI": {"client_id", "spa", "redirect_uri", "http://127.0.0.1/callback", "code_verifier", a.verifier},
			"another client":     {"client_id", "partner", "redirect_uri", callback, "code_verifier", a.verifier},
			"another code":       {"client_id", "spa", "redirect_uri", callback, "code_verifier", a.verifier, "code", code + "x"},
		} {
			if what == "another code" {
				fields = fields[:len(fields)-2]
				if got := s.Server.Form("/oauth/token", append([]string{"grant_type", "authorization_code", "code", code + "x"}, fields...)...); got.Field("error") != "invalid_grant" {
					t.Errorf("%s: got %d %s", what, got.Status, got.Body)
				}
				continue
			}
			if got := redeem(fields...); got.Status != 400 || got.Field("error") != "invalid_grant" {
				t.Errorf("%s: got %d %s, want 400", what, got.Status, got.Body)
			}
		}
		token, err := a.exchange(code)
		s.Must(err)
		if token.Extra("id_token") == nil {
			t.Error("no ID token")
		}
	})
}

// TestCodeRace redeems one code 100 times at two replicas. One request gets tokens, and the
// others revoke them.
func TestCodeRace(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		s := newSite(t, w, kit.LongRequestTimeout)
		servers := []*kit.Server{s.Server, s.StartServer(kit.LongRequestTimeout)}
		a := s.spa()
		code := s.newBrowser().signIn(a, "jane").Get("code")
		answers := kit.Concurrently(100, func(i int) kit.Response {
			return servers[i%2].Form("/oauth/token", "grant_type", "authorization_code", "code", code, "client_id", "spa",
				"redirect_uri", callback, "code_verifier", a.verifier)
		})
		if got := kit.CountStatuses(answers); got[200] != 1 || got[400] != 99 {
			t.Fatalf("got the statuses %v", got)
		}
		for _, answer := range answers {
			if answer.Status == 200 {
				got := s.Server.Do(http.MethodGet, "/oauth/userinfo", "", "", "Authorization", "Bearer "+answer.Field("access_token"))
				if got.Status != 401 {
					t.Errorf("access token after the second use: got %d, want 401", got.Status)
				}
			}
		}
	})
}

// TestCodeOfWithdrawnCredential tests that an authorization code gives no tokens if the client no
// longer allows the credential of the sign-in, even after the client allows it again.
func TestCodeOfWithdrawnCredential(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		admin := s.NewAdmin(s.Server)
		a := s.spa()
		code := s.newBrowser().signIn(a, "jane").Get("code")
		for _, allowed := range []string{`"password"`, `"password","otp"`} {
			if got := admin.Do(http.MethodPatch, "/v1/apiclients/spa", `{"AllowedCredentials":[`+allowed+`]}`); got.Status != 200 {
				t.Fatalf("got %d %s, want 200", got.Status, got.Body)
			}
			if _, err := a.exchange(code); err == nil || !strings.Contains(err.Error(), "invalid_grant") {
				t.Errorf("%s: got %v, want invalid_grant", allowed, err)
			}
		}
	})
}
