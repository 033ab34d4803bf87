package console

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"latchkey/oauth/console"
)

var parameter = regexp.MustCompile(`\{[a-zA-Z]+\}`)

// TestForbiddenScreens opens every screen as users with one role or none. The answer is 403 if the
// role does not permit the operation of the screen, and not 403 if it does. Forms that the role does
// not permit are posted too, and must answer 403.
func TestForbiddenScreens(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		operations := map[string][]string{} // roles by ID
		s.must(s.readOperations(operations))
		browsers := map[string]*browser{"": s.signIn("norman"), "ApiClientReader": s.signIn("carol"), "AuditReader": s.signIn("audrey")}
		tokens := map[string]string{}
		for role, b := range browsers {
			tokens[role] = b.formToken()
		}
		for _, screen := range console.Screens() {
			roles, known := operations[screen.Operation]
			if !known {
				t.Errorf("%s: got no operation %q in the document, want it", screen.Path, screen.Operation)
			}
			path := console.Path + parameter.ReplaceAllString(screen.Path, "x")
			for role, b := range browsers {
				permitted := len(roles) == 0 || slices.Contains(roles, role)
				got := b.open(path)
				if refused := got.status == http.StatusForbidden; refused == permitted {
					t.Errorf("GET %s as %q: got %d %s, want 403 unless permitted; permitted: %t", path, role, got.status, got.text(), permitted)
				}
				if screen.Posts && !permitted {
					b.post(path, url.Values{"token": {tokens[role]}, "step": {"confirm"}, "f.AppName": {"x"}}).contains(http.StatusForbidden, "Your roles do not allow this.")
				}
			}
		}
	})
}

// formToken returns the token of the sign-out form, which every page has.
func (b *browser) formToken() string {
	b.t.Helper()
	found := regexp.MustCompile(`name="token" value="([^"]+)"`).FindStringSubmatch(b.open("/console/").body)
	if found == nil {
		b.t.Fatal("got no token, want one")
	}
	return found[1]
}

// TestNavigation tests that administrators see the screens of their roles, and no others.
func TestNavigation(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		if got := s.signIn("carol").open("/console/").navigation(); !slices.Equal(got, []string{"/console/clients", "/console/api"}) {
			t.Errorf("carol: got the navigation %v, want the screens of her roles", got)
		}
		got := s.signIn("carol").open("/console/clients/shop").contains(http.StatusOK, "Shop")
		if len(got.links()) == 0 {
			t.Error("carol: got a page without links, want at least the navigation")
		}
		for _, link := range got.links() {
			if strings.Contains(link, "/clients/shop/") || strings.Contains(link, "new-client") {
				t.Errorf("carol: got the link %s, want none to a change", link)
			}
		}
		if links := s.signIn("clara").open("/console/clients/shop").links(); !slices.Contains(links, "/console/clients/shop/edit") {
			t.Errorf("clara: got the links %v, want one to edit the client", links)
		}
	})
}

// readOperations reads the roles of the operations of /v1 from the OpenAPI document.
func (s *site) readOperations(into map[string][]string) error {
	var document struct {
		Paths map[string]map[string]struct {
			OperationID string   `json:"operationId"`
			Roles       []string `json:"x-roles"`
		}
	}
	got := s.Server.Do(http.MethodGet, "/openapi.json", "", "")
	if err := json.Unmarshal([]byte(got.Body), &document); err != nil {
		return err
	}
	for _, methods := range document.Paths {
		for _, operation := range methods {
			into[operation.OperationID] = operation.Roles
		}
	}
	return nil
}

// TestRightsEndAtOnce tests changes of an administrator during a session of the console. After the
// loss of a role, the next request answers 403. After a deactivation or a change of the password,
// the session has ended.
func TestRightsEndAtOnce(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		s.addAdministrators()
		token := s.tokenOf("root")
		do := func(method, path, body string) {
			t.Helper()
			if got := s.Server.Do(method, path, "application/json", body, "Authorization", "Bearer "+token); got.Status >= http.StatusMultipleChoices {
				t.Fatalf("%s %s: got %d %s, want a success", method, path, got.Status, got.Body)
			}
		}
		clara, carol, audrey := s.signIn("clara"), s.signIn("carol"), s.signIn("audrey")
		_, form := clara.open("/console/clients/shop/edit").form()
		do(http.MethodDelete, "/v1/securityprofiles/clients/assignments?userID=clara", "")
		clara.open("/console/clients").contains(http.StatusForbidden)
		form.Set("f.AppName", "Changed afterwards")
		form.Set("step", "confirm")
		clara.post("/console/clients/shop/edit", form).contains(http.StatusForbidden)

		do(http.MethodPatch, "/v1/adminusers/carol", `{"Active":false}`)
		do(http.MethodPatch, "/v1/adminusers/audrey", `{"Password":"another-Horse-8-battery"}`)
		for path, b := range map[string]*browser{"/console/clients": carol, "/console/audit": audrey} {
			if at := b.open(path); at.url.Path != "/oauth/authorize" {
				t.Errorf("%s: got %d at %s, want the sign-in page", path, at.status, at.url)
			}
		}
	})
}
