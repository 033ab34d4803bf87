package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPublicDocumentsAcrossOrigins: a page of a configured origin reads every
// public document of the server, and a page of another origin reads none.
func TestPublicDocumentsAcrossOrigins(t *testing.T) {
	const shop, stranger = "https://shop.example", "https://stranger.example"
	eachMarket(t, []string{"LATCHKEY_CORS_ORIGINS=" + shop}, func(t *testing.T, m *market) {
		paths := []string{
			"/openapi.json", "/oauth/jwks", "/.well-known/jwks.json", "/.well-known/openid-configuration",
			"/.well-known/oauth-authorization-server", "/oauth/certs/" + m.keyID(t),
		}
		for _, path := range paths {
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				got := m.send(m.first, "", method, path, nil, "Origin", shop)
				mustAllowOrigin(t, method+" "+path, got, http.StatusOK, shop)
			}
			preflight := m.send(m.first, "", http.MethodOptions, path, nil, "Origin", shop, "Access-Control-Request-Method", "GET")
			mustAllowOrigin(t, "OPTIONS "+path, preflight, http.StatusNoContent, shop)
			if got := preflight.header.Get("Access-Control-Allow-Methods"); !strings.Contains(got, "GET") {
				t.Errorf("%s: a preflight allows the methods %q", path, got)
			}
			mustAllowOrigin(t, "another origin's "+path, m.send(m.first, "", http.MethodGet, path, nil, "Origin", stranger), http.StatusOK, "")
			mustAllowOrigin(t, "no origin's "+path, m.send(m.first, "", http.MethodGet, path, nil), http.StatusOK, "")
		}
	})
}

// mustAllowOrigin checks the status and the origin that may read the answer;
// "" is none. Every answer varies by origin, and none lets cookies along.
func mustAllowOrigin(t *testing.T, what string, got answer, status int, origin string) {
	t.Helper()
	if got.status != status || got.header.Get("Access-Control-Allow-Origin") != origin {
		t.Errorf("%s: got %d for origin %q, want %d for %q", what, got.status, got.header.Get("Access-Control-Allow-Origin"), status, origin)
	}
	if vary := got.header.Values("Vary"); len(vary) == 0 || vary[0] != "Origin" {
		t.Errorf("%s: it varies by %q", what, vary)
	}
	if diff := cmp.Diff([]string(nil), got.header.Values("Access-Control-Allow-Credentials")); diff != "" {
		t.Errorf("%s: %s", what, diff)
	}
}

// keyID returns the id of a key that the server publishes.
func (m *market) keyID(t *testing.T) string {
	t.Helper()
	set, _ := m.send(m.first, "", http.MethodGet, "/oauth/jwks", nil).object(t)["keys"].([]any)
	if len(set) == 0 {
		t.Fatal("the server publishes no key")
	}
	key, _ := set[0].(map[string]any)
	id, _ := key["kid"].(string)
	return id
}
