package operations

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"latchkey/test/e2e/kit"
)

// TestPublicDocumentsAcrossOrigins tests that a web page of a configured origin can read each
// public document, and that a page of another origin can read none.
func TestPublicDocumentsAcrossOrigins(t *testing.T) {
	const shop, stranger = "https://shop.example", "https://stranger.example"
	kit.EachOrderCloud(t, []string{"LATCHKEY_CORS_ORIGINS=" + shop}, func(t *testing.T, m *kit.OrderCloud) {
		paths := []string{
			"/openapi.json", "/oauth/jwks", "/.well-known/jwks.json", "/.well-known/openid-configuration",
			"/.well-known/oauth-authorization-server", "/oauth/certs/" + keyID(m, t),
		}
		for _, path := range paths {
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				got := m.Send(m.First, "", method, path, nil, "Origin", shop)
				mustAllowOrigin(t, method+" "+path, got, http.StatusOK, shop)
			}
			preflight := m.Send(m.First, "", http.MethodOptions, path, nil, "Origin", shop, "Access-Control-Request-Method", "GET")
			mustAllowOrigin(t, "OPTIONS "+path, preflight, http.StatusNoContent, shop)
			if got := preflight.Header.Get("Access-Control-Allow-Methods"); !strings.Contains(got, "GET") {
				t.Errorf("%s: preflight: got the methods %q, want GET among them", path, got)
			}
			mustAllowOrigin(t, "another origin's "+path, m.Send(m.First, "", http.MethodGet, path, nil, "Origin", stranger), http.StatusOK, "")
			mustAllowOrigin(t, "no origin's "+path, m.Send(m.First, "", http.MethodGet, path, nil), http.StatusOK, "")
		}
	})
}

// mustAllowOrigin checks the status and the origin that may read the answer, or "" for none.
// Every answer varies by origin, and none allows cookies.
func mustAllowOrigin(t *testing.T, what string, got kit.Response, status int, origin string) {
	t.Helper()
	if got.Status != status || got.Header.Get("Access-Control-Allow-Origin") != origin {
		t.Errorf("%s: got %d for origin %q, want %d for %q", what, got.Status, got.Header.Get("Access-Control-Allow-Origin"), status, origin)
	}
	if vary := got.Header.Values("Vary"); len(vary) == 0 || vary[0] != "Origin" {
		t.Errorf("%s: got Vary %q, want Origin", what, vary)
	}
	if diff := cmp.Diff([]string(nil), got.Header.Values("Access-Control-Allow-Credentials")); diff != "" {
		t.Errorf("%s: Access-Control-Allow-Credentials (-want +got):\n%s", what, diff)
	}
}

// keyID returns the ID of a key that the server publishes.
func keyID(m *kit.OrderCloud, t *testing.T) string {
	t.Helper()
	set, _ := m.Send(m.First, "", http.MethodGet, "/oauth/jwks", nil).Members(t)["keys"].([]any)
	if len(set) == 0 {
		t.Fatal("got no published key")
	}
	key, _ := set[0].(map[string]any)
	id, _ := key["kid"].(string)
	return id
}
