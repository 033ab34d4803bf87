package main

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A path with a slash at its end is the same resource, for every operation, for
// every caller, and in the metrics.
func TestTrailingSlash(t *testing.T) {
	eachMarket(t, []string{unhurried}, func(t *testing.T, m *market) {
		m.web = &http.Client{Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		m.makeAssignments(t)
		t.Run("every operation", m.slashOfEveryOperation)
		t.Run("life of a user", m.slashesOfOneUser)
		t.Run("sign-in", m.slashesOfSignIn)
		t.Run("members", m.slashesOfMembers)
		t.Run("empty name", m.emptyNameDeletesNothing)
	})
}

// slashOfEveryOperation sends requests that change nothing with and without the
// slash. Both answers are the same, for an administrator and for nobody.
func (m *market) slashOfEveryOperation(t *testing.T) {
	operations := m.queryOperations(t)
	for _, path := range []string{"/oauth/token", "/oauth/revoke", "/oauth/introspect", "/oauth/access_token", "/oauth/register"} {
		operations = append(operations, queryOperation{method: "POST", path: path})
	}
	operations = append(operations, queryOperation{method: "GET", path: "/oauth/jwks"}, queryOperation{method: "GET", path: "/oauth/certs/none"})
	for _, o := range operations {
		var body any
		query := ""
		if o.method != "GET" {
			body, query = `[]`, "?refused=1" // so that nothing is changed
		}
		for _, bearer := range []string{m.root, ""} {
			want := m.send(m.first, bearer, o.method, o.path+query, body)
			got := m.send(m.first, bearer, o.method, o.path+"/"+query, body)
			if o.path == "/v1/auditevents" {
				want.body, got.body = "", "" // there may be more by the second time
			}
			if diff := cmp.Diff(want.body, got.body); got.status != want.status || got.status/100 == 3 || diff != "" {
				t.Errorf("%s %s/: %d, want %d: %s", o.method, o.path, got.status, want.status, diff)
			}
		}
	}
}

func (m *market) slashesOfOneUser(t *testing.T) {
	m.do(t, 201, "POST", "/v1/buyers/acme/users/", `{"ID":"tom","Username":"tom"}`)
	m.do(t, 200, "PUT", "/v1/buyers/acme/users/tom/", `{"Username":"tom","FirstName":"Tom"}`)
	m.do(t, 200, "PATCH", "/v1/buyers/acme/users/tom/", `{"LastName":"Last"}`)
	if got := m.do(t, 200, "GET", "/v1/buyers/acme/users/tom/?depth=all", nil); !strings.Contains(got.body, `"FirstName":"Tom","LastName":"Last"`) {
		t.Error(got.body)
	}
	m.do(t, 204, "POST", "/v1/buyers/acme/users/tom/unlock/", nil)
	m.do(t, 204, "POST", "/v1/securityprofiles/assignments/", `{"SecurityProfileID":"p","BuyerID":"acme","UserID":"tom"}`)
	m.do(t, 204, "DELETE", "/v1/securityprofiles/p/assignments/?buyerID=acme&userID=tom", nil)
	m.do(t, 204, "DELETE", "/v1/buyers/acme/users/tom/", nil)
	m.do(t, 404, "GET", "/v1/buyers/acme/users/tom", nil)
}

func (m *market) slashesOfSignIn(t *testing.T) {
	const webSecret = "secret-of-web-that-is-long-enough-to-be-one"
	m.do(t, 200, "PATCH", "/v1/buyers/acme/users/jane", `{"Password":"Correct-Horse-7"}`)
	m.do(t, 200, "PATCH", "/v1/apiclients/web/", `{"ClientSecret":"`+webSecret+`"}`)
	got := m.sendForm(m.first, "/oauth/token/", "grant_type", "password", "username", "jane", "password", "Correct-Horse-7", "client_id", "web", "client_secret", webSecret).object(t)
	token, _ := got["access_token"].(string)
	m.as(t, token, 200, "GET", "/v1/me/", nil)
	for _, path := range []string{"/v1/adminusers/", "/v1/buyers/", "/v1/buyers/acme/users/", "/v1/securityprofiles/"} {
		m.as(t, token, 403, "GET", path, nil)
	}
	if got := m.sendForm(m.first, "/oauth/introspect/", "client_id", "web", "client_secret", webSecret, "token", token); !strings.Contains(got.body, `"active":true`) {
		t.Errorf("introspection: %d %s", got.status, got.body)
	}
	if got := m.sendForm(m.first, "/oauth/access_token/", "grant_type", "client_credentials", "client_id", m.operator.ID, "client_secret", m.operator.Secret); got.status != 200 {
		t.Errorf("/oauth/access_token/: %d %s", got.status, got.body)
	}
	m.as(t, token, 204, "DELETE", "/v1/me/tokens/", nil)
	m.as(t, token, 401, "GET", "/v1/me/", nil)
	response, err := m.web.Get(m.first.ops + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // only read
	metrics, err := io.ReadAll(response.Body)
	if err != nil || !strings.Contains(string(metrics), `pattern="DELETE /v1/me/tokens",status="204"`) {
		t.Errorf("no pattern of DELETE /v1/me/tokens, %v", err)
	}
	if with := regexp.MustCompile(`pattern="[^"]+[^12]/"`).FindString(string(metrics)); with != "" {
		t.Errorf("a label of its own: %s", with)
	}
}

// slashesOfMembers are what terraform's Elastic Path client sends.
func (m *market) slashesOfMembers(t *testing.T) {
	const users = "/v2/authentication-realms/default/user-authentication-info/"
	made := m.do(t, 201, "POST", users, `{"data":{"type":"user_authentication_info","name":"Ron","email":"ron@example.com"}}`)
	id := regexp.MustCompile(`"id":"([^"]+)"`).FindStringSubmatch(made.body)[1]
	m.do(t, 200, "PUT", users+id+"/", `{"data":{"type":"user_authentication_info","name":"Ronald"}}`)
	if got := m.do(t, 200, "GET", users+id+"/", nil); !strings.Contains(got.body, `"name":"Ronald"`) {
		t.Error(got.body)
	}
	page := m.do(t, 200, "GET", users+"?page[limit]=1&filter=eq(name,Ronald)", nil)
	if !strings.Contains(page.body, `user-authentication-info?page[offset]=0`) {
		t.Errorf("links: %s", page.body)
	}
	m.do(t, 204, "DELETE", users+id+"/", nil)
	m.do(t, 404, "GET", users+id, nil)
}

// emptyNameDeletesNothing: a client that leaves a name out sends a slash at the
// end, which is the path of the collection. No operation that changes an object
// changes the collection.
func (m *market) emptyNameDeletesNothing(t *testing.T) {
	served := map[string]bool{}
	for path, methods := range m.told(t).Paths {
		for method := range methods {
			served[strings.ToUpper(method)+" "+path] = true
		}
	}
	last := regexp.MustCompile(`/\{[^/]+\}$`)
	for operation := range served {
		if parent := last.ReplaceAllString(operation, ""); parent != operation && !strings.HasPrefix(operation, "GET ") && served[parent] {
			t.Errorf("%s without a name is %s", operation, parent)
		}
	}
	before := m.everything(t)
	for _, path := range []string{"/v1/buyers/", "/v1/buyers/acme/users/", "/v1/adminusers/", "/v1/securityprofiles/", "/v2/accounts/", "/v2/integrations/"} {
		if got := m.send(m.first, m.root, "DELETE", path, nil); got.status < 400 {
			t.Errorf("DELETE %s: %d", path, got.status)
		}
	}
	if after := m.everything(t); after != before {
		t.Errorf("something changed: %s\nwas %s", after, before)
	}
}
