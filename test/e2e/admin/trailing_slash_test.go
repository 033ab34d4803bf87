package admin

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/test/e2e/kit"
)

// TestTrailingSlash tests that a path with a slash at its end is the same resource, for each
// operation and each caller, and in the metrics.
func TestTrailingSlash(t *testing.T) {
	t.Parallel()
	m := kit.OneOrderCloud(t, kit.LongRequestTimeout)
	m.HTTPClient = &http.Client{Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	makeAssignments(m, t)
	t.Run("every operation", func(t *testing.T) { slashOfEveryOperation(m, t) })
	t.Run("life of a user", func(t *testing.T) { slashesOfOneUser(m, t) })
	t.Run("sign-in", func(t *testing.T) { slashesOfSignIn(m, t) })
	t.Run("members", func(t *testing.T) { slashesOfMembers(m, t) })
	t.Run("empty name", func(t *testing.T) { emptyNameDeletesNothing(m, t) })
}

// slashOfEveryOperation sends requests that change nothing, with and without the slash. Both
// answers must be the same, with an administrator's token and without a token.
func slashOfEveryOperation(m *kit.OrderCloud, t *testing.T) {
	operations := queryOperations(m, t)
	for _, path := range []string{"/oauth/token", "/oauth/revoke", "/oauth/introspect", "/oauth/access_token", "/oauth/register"} {
		operations = append(operations, queryOperation{method: "POST", path: path})
	}
	operations = append(operations, queryOperation{method: "GET", path: "/oauth/jwks"}, queryOperation{method: "GET", path: "/oauth/certs/none"})
	for _, o := range operations {
		var body any
		query := ""
		if o.method != "GET" {
			body, query = `[]`, "?refused=1" // so that the request changes nothing
		}
		for _, bearer := range []string{m.AdminToken, ""} {
			want := m.Send(m.First, bearer, o.method, o.path+query, body)
			got := m.Send(m.First, bearer, o.method, o.path+"/"+query, body)
			if o.path == "/v1/auditevents" || o.path == "/v1/signingkeys/rotate/plan" {
				want.Body, got.Body = "", "" // the second list may have more records, or a plan with later times
			}
			if diff := cmp.Diff(want.Body, got.Body); got.Status != want.Status || got.Status/100 == 3 || diff != "" {
				t.Errorf("%s %s/: got %d, want %d: %s", o.method, o.path, got.Status, want.Status, diff)
			}
		}
	}
}

func slashesOfOneUser(m *kit.OrderCloud, t *testing.T) {
	m.Do(t, 201, "POST", "/v1/buyers/acme/users/", `{"ID":"tom","Username":"tom"}`)
	m.Do(t, 200, "PUT", "/v1/buyers/acme/users/tom/", `{"Username":"tom","FirstName":"Tom"}`)
	m.Do(t, 200, "PATCH", "/v1/buyers/acme/users/tom/", `{"LastName":"Last"}`)
	if got := m.Do(t, 200, "GET", "/v1/buyers/acme/users/tom/?depth=all", nil); !strings.Contains(got.Body, `"FirstName":"Tom","LastName":"Last"`) {
		t.Error(got.Body)
	}
	m.Do(t, 204, "POST", "/v1/buyers/acme/users/tom/unlock/", nil)
	m.Do(t, 204, "POST", "/v1/securityprofiles/assignments/", `{"SecurityProfileID":"p","BuyerID":"acme","UserID":"tom"}`)
	m.Do(t, 204, "DELETE", "/v1/securityprofiles/p/assignments/?buyerID=acme&userID=tom", nil)
	m.Do(t, 204, "DELETE", "/v1/buyers/acme/users/tom/", nil)
	m.Do(t, 404, "GET", "/v1/buyers/acme/users/tom", nil)
}

func slashesOfSignIn(m *kit.OrderCloud, t *testing.T) {
	const webSecret = "secret-of-web-that-is-long-enough-to-be-one"
	m.Do(t, 200, "PATCH", "/v1/buyers/acme/users/jane", `{"Password":"Correct-Horse-7"}`)
	m.Do(t, 200, "PATCH", "/v1/apiclients/web/", `{"ClientSecret":"`+webSecret+`"}`)
	got := m.SendForm(m.First, "/oauth/token/", "grant_type", "password", "username", "jane", "password", "Correct-Horse-7", "client_id", "web", "client_secret", webSecret).Members(t)
	token, _ := got["access_token"].(string)
	m.DoAs(t, token, 200, "GET", "/v1/me/", nil)
	for _, path := range []string{"/v1/adminusers/", "/v1/buyers/", "/v1/buyers/acme/users/", "/v1/securityprofiles/"} {
		m.DoAs(t, token, 403, "GET", path, nil)
	}
	if got := m.SendForm(m.First, "/oauth/introspect/", "client_id", "web", "client_secret", webSecret, "token", token); !strings.Contains(got.Body, `"active":true`) {
		t.Errorf("introspection: got %d %s", got.Status, got.Body)
	}
	if got := m.SendForm(m.First, "/oauth/access_token/", "grant_type", "client_credentials", "client_id", m.Operator.ID, "client_secret", m.Operator.Secret); got.Status != 200 {
		t.Errorf("/oauth/access_token/: got %d %s, want 200", got.Status, got.Body)
	}
	m.DoAs(t, token, 204, "DELETE", "/v1/me/tokens/", nil)
	m.DoAs(t, token, 401, "GET", "/v1/me/", nil)
	var metrics string
	// A request is counted after its response was sent.
	kit.Eventually(t, "the DELETE is counted by its pattern", func() bool {
		metrics = (&kit.Server{T: t, URL: m.First.OpsURL}).Do(http.MethodGet, "/metrics", "", "").Body
		return strings.Contains(metrics, `method="DELETE",pattern="/v1/me/tokens",status="204"`)
	})
	if with := regexp.MustCompile(`pattern="[^"]+[^12]/"`).FindString(metrics); with != "" {
		t.Errorf("got the label %s, want the pattern without the slash", with)
	}
}

// slashesOfMembers sends the requests of terraform's client for Elastic Path.
func slashesOfMembers(m *kit.OrderCloud, t *testing.T) {
	const users = "/v2/authentication-realms/default/user-authentication-info/"
	made := m.Do(t, 201, "POST", users, `{"data":{"type":"user_authentication_info","name":"Ron","email":"ron@example.com"}}`)
	id := regexp.MustCompile(`"id":"([^"]+)"`).FindStringSubmatch(made.Body)[1]
	m.Do(t, 200, "PUT", users+id+"/", `{"data":{"type":"user_authentication_info","name":"Ronald"}}`)
	if got := m.Do(t, 200, "GET", users+id+"/", nil); !strings.Contains(got.Body, `"name":"Ronald"`) {
		t.Error(got.Body)
	}
	page := m.Do(t, 200, "GET", users+"?page[limit]=1&filter=eq(name,Ronald)", nil)
	if !strings.Contains(page.Body, `user-authentication-info?page[offset]=0`) {
		t.Errorf("links: got %s", page.Body)
	}
	m.Do(t, 204, "DELETE", users+id+"/", nil)
	m.Do(t, 404, "GET", users+id, nil)
}

// emptyNameDeletesNothing tests a client that omits a name. It sends a path with a slash at the
// end, which is the path of the collection. No operation that changes an object may change the
// collection.
func emptyNameDeletesNothing(m *kit.OrderCloud, t *testing.T) {
	served := map[string]bool{}
	for path, methods := range fetchDocument(m, t).Paths {
		for method := range methods {
			served[strings.ToUpper(method)+" "+path] = true
		}
	}
	last := regexp.MustCompile(`/\{[^/]+\}$`)
	for operation := range served {
		if parent := last.ReplaceAllString(operation, ""); parent != operation && !strings.HasPrefix(operation, "GET ") && served[parent] {
			t.Errorf("%s without a name: got the operation %s", operation, parent)
		}
	}
	before := everything(m, t)
	for _, path := range []string{"/v1/buyers/", "/v1/buyers/acme/users/", "/v1/adminusers/", "/v1/securityprofiles/", "/v2/accounts/", "/v2/integrations/"} {
		if got := m.Send(m.First, m.AdminToken, "DELETE", path, nil); got.Status < 400 {
			t.Errorf("DELETE %s: got %d", path, got.Status)
		}
	}
	if after := everything(m, t); after != before {
		t.Errorf("got a change: %s\nbefore: %s", after, before)
	}
}
