package listen

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const shop = "https://shop.example"

// crossOriginAnswer returns the answer of the middleware to a request that its handler answers
// with 418.
func crossOriginAnswer(t *testing.T, origins []string, method, path string, sent http.Header) (int, http.Header) {
	t.Helper()
	h := Below("/auth", newCrossOrigin(origins, testSurfaces).wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
	})))
	r := httptest.NewRequest(method, path, nil)
	r.Header = sent
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Header()
}

func TestCrossOriginRequest(t *testing.T) {
	t.Parallel()
	allowed := http.Header{
		"Vary": {"Origin"}, "Access-Control-Allow-Origin": {shop},
		"Access-Control-Expose-Headers": {crossOriginReads},
	}
	refused := http.Header{"Vary": {"Origin"}}
	tests := []struct {
		name   string
		path   string
		origin []string
		want   http.Header
	}{
		{"token endpoint", "/oauth/token", []string{shop}, allowed},
		{"OrderCloud", "/v1/me", []string{shop}, allowed},
		{"Elastic Path", "/v2/accounts", []string{shop}, allowed},
		{"below the issuer's path", "/auth/oauth/token", []string{shop}, allowed},
		{"metadata", "/.well-known/oauth-authorization-server", []string{shop}, allowed},
		{"metadata of an issuer with a path", "/.well-known/oauth-authorization-server/auth", []string{shop}, allowed},
		{"metadata below the issuer's path", "/auth/.well-known/openid-configuration", []string{shop}, allowed},
		{"keys", "/.well-known/jwks.json", []string{shop}, allowed},
		{"description", "/openapi.json", []string{shop}, allowed},
		{"description below the issuer's path", "/auth/openapi.json", []string{shop}, allowed},
		{"description for another origin", "/openapi.json", []string{"https://evil.example"}, refused},
		{"elsewhere", "/console", []string{shop}, http.Header{}},
		{"no origin", "/v1/me", nil, refused},
		{"another origin", "/v1/me", []string{"https://evil.example"}, refused},
		{"another scheme", "/v1/me", []string{"http://shop.example"}, refused},
		{"another port", "/v1/me", []string{shop + ":8443"}, refused},
		{"longer host", "/v1/me", []string{shop + ".evil.example"}, refused},
		{"subdomain", "/v1/me", []string{"https://a.shop.example"}, refused},
		{"opaque origin", "/v1/me", []string{"null"}, refused},
		{"wildcard", "/v1/me", []string{"*"}, refused},
		{"two origins", "/v1/me", []string{shop, shop}, refused},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			sent := http.Header{}
			if test.origin != nil {
				sent["Origin"] = test.origin
			}
			status, got := crossOriginAnswer(t, []string{shop}, http.MethodPost, test.path, sent)
			if status != http.StatusTeapot {
				t.Errorf("got status %d, want 418 of the handler", status)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCrossOriginPreflight(t *testing.T) {
	t.Parallel()
	const fixed = "authorization, content-type, dpop, if-match, x-request-id, ep-account-management-authentication-token"
	tests := []struct {
		name      string
		asked     []string
		wantAllow string
	}{
		{"nothing", nil, fixed},
		{"documented", []string{"authorization,content-type,ep-account-management-authentication-token"}, fixed},
		{"prefixes", []string{"X-MOLTIN-SDK-Language, ep-channel", "x-moltin-sdk-language"}, fixed + ", x-moltin-sdk-language, ep-channel"},
		{"others", []string{"x-forwarded-for,cookie,x-moltin"}, fixed},
		{"not a name", []string{"ep-a b,ep-\x7f,ep-\"x"}, fixed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			status, got := crossOriginAnswer(t, []string{shop}, http.MethodOptions, "/v2/accounts", http.Header{
				"Origin": {shop}, "Access-Control-Request-Method": {"PUT"}, "Access-Control-Request-Headers": test.asked,
			})
			want := http.Header{
				"Vary":                         {"Origin", "Access-Control-Request-Headers"},
				"Access-Control-Allow-Origin":  {shop},
				"Access-Control-Allow-Methods": {"GET, HEAD, POST, PUT, PATCH, DELETE"},
				"Access-Control-Allow-Headers": {test.wantAllow},
				"Access-Control-Max-Age":       {"600"},
			}
			if status != http.StatusNoContent {
				t.Errorf("got status %d, want 204", status)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCrossOriginPreflightOfAnotherOrigin(t *testing.T) {
	t.Parallel()
	for _, origins := range [][]string{nil, {"https://other.example"}} {
		status, got := crossOriginAnswer(t, origins, http.MethodOptions, "/v2/accounts", http.Header{
			"Origin": {shop}, "Access-Control-Request-Method": {"GET"},
		})
		if status != http.StatusTeapot || got.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("origins %q: got %d %v", origins, status, got)
		}
	}
}

// TestServerAllowsOrigins tests that the server uses the middleware, and that the log shows
// preflight requests with their own pattern.
func TestServerAllowsOrigins(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/me", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "me") })
	s := start(t, mux, func(c *Config) { c.Origins = []string{shop} })
	resp, body := s.get(t, s.url("/v1/me"), http.Header{"Origin": {shop}})
	if got := resp.Header.Get("Access-Control-Allow-Origin"); got != shop || body != "me" {
		t.Errorf("got the origin %q and the body %q", got, body)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, s.url("/v1/me"), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Origin": {shop}, "Access-Control-Request-Method": {"GET"}}
	preflight, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = preflight.Body.Close()
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	lines := s.log.lines(t, "request")
	if preflight.StatusCode != http.StatusNoContent || len(lines) != 2 || lines[1]["pattern"] != preflightPattern {
		t.Errorf("got %d, log %v; want 204 and the pattern of preflights", preflight.StatusCode, lines)
	}
}
