package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// TestIssuerPath: with an issuer that has a path, everything that the document
// describes is served below that path, and at the root for proxies that take the
// path away, with the same answers.
func TestIssuerPath(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		const issuer, below = "https://id.example/shop/tenant-1.a", "/shop/tenant-1.a"
		n := w.serve("LATCHKEY_ISSUER="+issuer, "LATCHKEY_CORS_ORIGINS=https://shop.example")
		got := n.do(http.MethodGet, below+"/openapi.json", "", "")
		var document struct {
			Servers []struct{ URL string }
			Paths   map[string]map[string]any
		}
		if err := json.Unmarshal([]byte(got.body), &document); err != nil || len(document.Paths) < 50 {
			t.Fatalf("%d %.100s, %v", got.status, got.body, err)
		}
		if len(document.Servers) != 1 || document.Servers[0].URL != issuer {
			t.Errorf("the document's servers are %v", document.Servers)
		}
		for path, operations := range document.Paths {
			for method := range operations {
				servedAlike(t, n, strings.ToUpper(method), below, strings.NewReplacer("{", "", "}", "").Replace(path))
			}
		}
		for _, name := range []string{"oauth-authorization-server", "openid-configuration"} {
			for _, path := range []string{"/.well-known/" + name + below, below + "/.well-known/" + name, "/.well-known/" + name} {
				if a := n.do(http.MethodGet, path, "", ""); a.field("issuer") != issuer {
					t.Errorf("%s: %d %.100s", path, a.status, a.body)
				}
			}
		}
		outsideOfTheIssuerPath(t, n, below)
		linksBelowTheIssuerPath(t, w, n, issuer, below)
	})
}

// servedAlike sends the request below the issuer's path and at the root.
func servedAlike(t *testing.T, n *node, method, below, path string) {
	t.Helper()
	inner := n.do(method, below+path, "", "", "Origin", "https://shop.example")
	outer := n.do(method, path, "", "", "Origin", "https://shop.example")
	if inner.status != outer.status || strings.HasPrefix(inner.body, "404 page") || inner.status == http.StatusMethodNotAllowed {
		t.Errorf("%s %s: %d %s below the issuer's path, %d at the root", method, path, inner.status, inner.body, outer.status)
	}
	if inner.header.Get("Access-Control-Allow-Origin") == "" {
		t.Errorf("%s %s: a configured origin may not read it below the issuer's path", method, path)
	}
}

// outsideOfTheIssuerPath asks for paths that only look as if they were below it.
func outsideOfTheIssuerPath(t *testing.T, n *node, below string) {
	t.Helper()
	for _, path := range []string{
		below, below + "/", below + "-2/oauth/jwks", below + below + "/oauth/jwks", "/shop/oauth/jwks", "/SHOP/tenant-1.a/oauth/jwks",
		"/x" + below + "/oauth/jwks", "/.well-known/oauth-authorization-server/shop", "/.well-known/oauth-authorization-server/x" + below,
		"/.well-known" + below, "/oauth/jwks" + below, "/%73hop/tenant-1.a/oauth/jwks",
	} {
		if a := n.do(http.MethodGet, path, "", ""); a.status != http.StatusNotFound {
			t.Errorf("%s: %d %.100s", path, a.status, a.body)
		}
	}
	for _, path := range []string{below + "//oauth/jwks", below + "/./oauth/jwks", below + "/x/../oauth/jwks"} {
		if a := n.unredirected(http.MethodGet, path); a.header.Get("Location") != below+"/oauth/jwks" {
			t.Errorf("%s: %d to %q", path, a.status, a.header.Get("Location"))
		}
	}
}

// linksBelowTheIssuerPath follows the links of answers, and signs in.
func linksBelowTheIssuerPath(t *testing.T, w *world, n *node, issuer, below string) {
	t.Helper()
	admin := w.adminClient(t, "--name", "admin", "--grant", "client_credentials", "--role", "FullAccess")
	token := n.form(below+"/oauth/token", "grant_type", "client_credentials", "client_id", admin.ID, "client_secret", admin.Secret).field("access_token")
	a := n.call(http.MethodPost, below+"/v2/accounts", token, `{"data":{"type":"account","name":"Links","legal_name":"Links"}}`)
	var created struct {
		Data  struct{ ID string }
		Links struct{ Self string }
	}
	if err := json.Unmarshal([]byte(a.body), &created); err != nil || created.Links.Self != issuer+"/v2/accounts/"+created.Data.ID || created.Data.ID == "" {
		t.Fatalf("%d %s, %v", a.status, a.body, err)
	}
	if a := n.call(http.MethodGet, strings.TrimPrefix(created.Links.Self, "https://id.example"), token, ""); a.status != http.StatusOK {
		t.Errorf("the link: %d %s", a.status, a.body)
	}
	// A slash within a segment stays what it is.
	if a := n.call(http.MethodGet, below+"/v1/buyers/a%2Fb", token, ""); !strings.Contains(a.body, "Object not found") && !strings.Contains(a.body, "NotFound") {
		t.Errorf("a%%2Fb: %d %s", a.status, a.body)
	}
	if a := n.call(http.MethodGet, below+"/v1/buyers/acme", token, ""); a.status != http.StatusOK {
		t.Errorf("/v1: %d %s", a.status, a.body)
	}
}

// unredirected is do without following a redirect.
func (n *node) unredirected(method, path string) answer {
	request, err := http.NewRequest(method, n.url+path, http.NoBody)
	if err != nil {
		n.t.Error(err)
		return answer{}
	}
	response, err := client.Transport.RoundTrip(request)
	if err != nil {
		n.t.Error(err)
		return answer{}
	}
	_ = response.Body.Close()
	return answer{response.StatusCode, response.Header, ""}
}
