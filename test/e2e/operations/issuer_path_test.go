package operations

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"latchkey/test/e2e/kit"
)

// TestIssuerPath tests that with an issuer that has a path, all documented paths are served
// below it, and at the root for proxies that remove it. The responses are the same.
func TestIssuerPath(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		const issuer, below = "https://id.example/shop/tenant-1.a", "/shop/tenant-1.a"
		n := w.Serve("LATCHKEY_ISSUER="+issuer, "LATCHKEY_CORS_ORIGINS=https://shop.example")
		got := n.Do(http.MethodGet, below+"/openapi.json", "", "")
		var document struct {
			Servers []struct{ URL string }
			Paths   map[string]map[string]any
		}
		if err := json.Unmarshal([]byte(got.Body), &document); err != nil || len(document.Paths) < 50 {
			t.Fatalf("got %d %.100s, error %v", got.Status, got.Body, err)
		}
		if len(document.Servers) != 1 || document.Servers[0].URL != issuer {
			t.Errorf("got the servers %v in the document", document.Servers)
		}
		for path, operations := range document.Paths {
			for method := range operations {
				servedAlike(t, n, strings.ToUpper(method), below, strings.NewReplacer("{", "", "}", "").Replace(path))
			}
		}
		for _, name := range []string{"oauth-authorization-server", "openid-configuration"} {
			for _, path := range []string{"/.well-known/" + name + below, below + "/.well-known/" + name, "/.well-known/" + name} {
				if a := n.Do(http.MethodGet, path, "", ""); a.Field("issuer") != issuer {
					t.Errorf("%s: got %d %.100s", path, a.Status, a.Body)
				}
			}
		}
		outsideOfTheIssuerPath(t, n, below)
		linksBelowTheIssuerPath(t, w, n, issuer, below)
	})
}

// servedAlike sends the request below the path of the issuer and at the root.
func servedAlike(t *testing.T, n *kit.Server, method, below, path string) {
	t.Helper()
	inner := n.Do(method, below+path, "", "", "Origin", "https://shop.example")
	outer := n.Do(method, path, "", "", "Origin", "https://shop.example")
	if inner.Status != outer.Status || strings.HasPrefix(inner.Body, "404 page") || inner.Status == http.StatusMethodNotAllowed {
		t.Errorf("%s %s: got %d %s below the path of the issuer, and %d at the root", method, path, inner.Status, inner.Body, outer.Status)
	}
	if inner.Header.Get("Access-Control-Allow-Origin") == "" {
		t.Errorf("%s %s: got no Access-Control-Allow-Origin below the path of the issuer", method, path)
	}
}

// outsideOfTheIssuerPath requests paths that only look as if they were below the path of the
// issuer.
func outsideOfTheIssuerPath(t *testing.T, n *kit.Server, below string) {
	t.Helper()
	for _, path := range []string{
		below, below + "/", below + "-2/oauth/jwks", below + below + "/oauth/jwks", "/shop/oauth/jwks", "/SHOP/tenant-1.a/oauth/jwks",
		"/x" + below + "/oauth/jwks", "/.well-known/oauth-authorization-server/shop", "/.well-known/oauth-authorization-server/x" + below,
		"/.well-known" + below, "/oauth/jwks" + below, "/%73hop/tenant-1.a/oauth/jwks",
	} {
		if a := n.Do(http.MethodGet, path, "", ""); a.Status != http.StatusNotFound {
			t.Errorf("%s: got %d %.100s, want 404", path, a.Status, a.Body)
		}
	}
	for _, path := range []string{below + "//oauth/jwks", below + "/./oauth/jwks", below + "/x/../oauth/jwks"} {
		if a := unredirected(n, http.MethodGet, path); a.Header.Get("Location") != below+"/oauth/jwks" {
			t.Errorf("%s: got %d to %q", path, a.Status, a.Header.Get("Location"))
		}
	}
}

// linksBelowTheIssuerPath follows the links of answers, and signs in.
func linksBelowTheIssuerPath(t *testing.T, w *kit.Fixture, n *kit.Server, issuer, below string) {
	t.Helper()
	admin := w.CreateClient(t, "--name", "admin", "--grant", "client_credentials", "--role", "FullAccess")
	token := n.Form(below+"/oauth/token", "grant_type", "client_credentials", "client_id", admin.ID, "client_secret", admin.Secret).Field("access_token")
	a := n.SendJSON(http.MethodPost, below+"/v2/accounts", token, `{"data":{"type":"account","name":"Links","legal_name":"Links"}}`)
	var created struct {
		Data  struct{ ID string }
		Links struct{ Self string }
	}
	if err := json.Unmarshal([]byte(a.Body), &created); err != nil || created.Links.Self != issuer+"/v2/accounts/"+created.Data.ID || created.Data.ID == "" {
		t.Fatalf("got %d %s, error %v", a.Status, a.Body, err)
	}
	if a := n.SendJSON(http.MethodGet, strings.TrimPrefix(created.Links.Self, "https://id.example"), token, ""); a.Status != http.StatusOK {
		t.Errorf("the link: got %d %s, want 200", a.Status, a.Body)
	}
	// A slash within a segment is not changed.
	if a := n.SendJSON(http.MethodGet, below+"/v1/buyers/a%2Fb", token, ""); !strings.Contains(a.Body, "Object not found") && !strings.Contains(a.Body, "NotFound") {
		t.Errorf("a%%2Fb: got %d %s", a.Status, a.Body)
	}
	if a := n.SendJSON(http.MethodGet, below+"/v1/buyers/acme", token, ""); a.Status != http.StatusOK {
		t.Errorf("/v1: got %d %s, want 200", a.Status, a.Body)
	}
}

// unredirected is Do without following a redirect.
func unredirected(n *kit.Server, method, path string) kit.Response {
	request, err := http.NewRequest(method, n.URL+path, http.NoBody)
	if err != nil {
		n.T.Error(err)
		return kit.Response{}
	}
	response, err := kit.HTTPClient.Transport.RoundTrip(request)
	if err != nil {
		n.T.Error(err)
		return kit.Response{}
	}
	_ = response.Body.Close()
	return kit.Response{Status: response.StatusCode, Header: response.Header, Body: ""}
}
