package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"latchkey/test/e2e/kit"
)

// moreAdministrators has an administrator of password profiles, and a client by which
// administrators get tokens for direct requests to /v1.
const moreAdministrators = `
SecurityProfiles:
  - {ID: profile-admins, Name: Profiles, Roles: [SecurityProfileAdmin], Assignments: [{UserID: paul}]}
AdminUsers:
  - {ID: paul, Username: paul, PasswordHash: 'HASH', FirstName: Paul, LastName: Profile, Email: paul@example.com, Active: true}
ApiClients:
  - {ID: by-hand, AppName: By hand, ClientSecret: SECRET, Active: true, AllowSeller: true, GrantTypes: [password], AllowedCredentials: [password], AccessTokenDuration: 60}
`

func (s *site) addAdministrators() {
	s.t.Helper()
	hash, err := kit.PasswordHash()
	s.must(err)
	s.Apply(strings.NewReplacer("HASH", hash, "SECRET", kit.ClientSecret).Replace(moreAdministrators))
}

// tokenOf returns an access token of an administrator for direct requests to /v1.
func (s *site) tokenOf(username string) string {
	s.t.Helper()
	got := s.Server.SignInThrough("by-hand", username, kit.Password)
	token := got.Field("access_token")
	if token == "" {
		s.t.Fatalf("sign-in of %s: got %d %s, want an access token", username, got.Status, got.Body)
	}
	return token
}

// TestAuditReader tests that an administrator with the role AuditReader can list and follow events,
// verify their chain and export them. Every other operation of /v1 refuses the token of this
// administrator.
func TestAuditReader(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		s.addAdministrators()
		s.signIn("root")
		b := s.signIn("audrey")
		start := b.open("/console/audit")
		if got := start.navigation(); !slices.Equal(got, []string{"/console/audit"}) {
			t.Errorf("got the navigation %v, want /console/audit", got)
		}
		kit.Eventually(t, "the sign-in of root in the list", func() bool {
			return strings.Contains(b.open("/console/audit?Action=sign_in&about=root").text(), "root")
		})
		aboutRoot := b.open("/console/audit?Action=sign_in&about=root")
		if got := aboutRoot.eventUsers(); !slices.Equal(slices.Compact(got), []string{"root"}) {
			t.Errorf("got events of the users %v, want root only", got)
		}
		b.followEvent(aboutRoot)
		review := b.submit(b.open("/console/audit/chain/verify"), "step", "review")
		b.submit(review, "step", "confirm").contains(http.StatusOK, "The verification has started.")
		kit.Eventually(t, "the end of the verification", func() bool {
			return strings.Contains(b.open("/console/audit/chain").text(), "The record is whole")
		})
		export := b.open("/console/audit/export?Action=sign_in")
		if lines := strings.Split(strings.TrimSpace(export.body), "\n"); export.status != http.StatusOK || !strings.HasPrefix(lines[0], `{"seq":`) ||
			!strings.Contains(export.header.Get("Content-Disposition"), "attachment") {
			t.Errorf("export: got %d %v %s, want an attachment of JSON lines", export.status, export.header, export.body)
		}
		kit.Eventually(t, "an event of the export", func() bool {
			return strings.Contains(b.open("/console/audit?Action=auditevents.exported").text(), "audrey")
		})
		s.mustForbidOperations(t, s.tokenOf("audrey"), "AuditReader")
	})
}

// eventUsers returns the users of the audit events in the list of a page.
func (p page) eventUsers() (users []string) {
	rows := find(p.root, func(n *html.Node) bool { return n.Data == "tr" && inside(n, "tbody") && inside(n, "main") })
	for _, row := range rows {
		cells := find(row, func(n *html.Node) bool { return n.Data == "td" })
		if len(cells) != 5 {
			p.t.Fatalf("got %d cells in the row %q, want 5", len(cells), content(row))
		}
		about := find(cells[2], func(n *html.Node) bool { return n.Data == "a" })
		if len(about) != 1 {
			p.t.Fatalf("got the user %q, want a link", content(cells[2]))
		}
		users = append(users, content(about[0]))
	}
	return users
}

// followEvent opens the first event of a list, and then all events of the same request.
func (b *browser) followEvent(list page) {
	b.t.Helper()
	first := func(p page, part string) string {
		i := slices.IndexFunc(p.links(), func(link string) bool { return strings.Contains(link, part) })
		if i < 0 {
			b.t.Fatalf("%s: got the links %v, want one with %s", p.url, p.links(), part)
		}
		return p.links()[i]
	}
	event := b.open(first(list, "/console/audit/events/")).contains(http.StatusOK, "sign_in", "All events of this request")
	b.open(first(event, "TraceID=")).contains(http.StatusOK, "The oldest event comes first.", "sign_in")
	for _, link := range event.links() {
		if strings.HasPrefix(link, "/console/clients") {
			b.t.Errorf("got the link %s, want none to clients", link)
		}
	}
}

// mustForbidOperations sends a request to every operation of /v1 that the role does not permit. The
// token has that role only. Each answer must be 403, and not 400 or 404.
func (s *site) mustForbidOperations(t *testing.T, token, role string) {
	t.Helper()
	var document struct {
		Paths map[string]map[string]struct {
			Roles []string `json:"x-roles"`
		}
	}
	s.must(json.Unmarshal([]byte(s.Server.Do(http.MethodGet, "/openapi.json", "", "").Body), &document))
	tried := 0
	for path, methods := range document.Paths {
		for method, o := range methods {
			if !strings.HasPrefix(path, "/v1/") || len(o.Roles) == 0 || slices.Contains(o.Roles, role) {
				continue
			}
			tried++
			got := s.Server.CallV1(token, strings.ToUpper(method), parameter.ReplaceAllString(path, "x"), "{}")
			if got.Status != http.StatusForbidden {
				t.Errorf("%s %s with the role %s: got %d %s, want 403", method, path, role, got.Status, got.Body)
			}
		}
	}
	if tried < 50 {
		t.Errorf("got %d forbidden operations, want at least 50", tried)
	}
}

// TestProfileProposal tests that an administrator of password profiles replays a proposed change
// before saving it. Without the role AuditReader the result does not name logins.
func TestProfileProposal(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		s.addAdministrators()
		for i := range 4 {
			s.Server.SignInThrough("by-hand", "ruth", fmt.Sprint("wrong-", i))
		}
		root, paul := s.signIn("root"), s.signIn("paul")
		paul.open("/console/audit").contains(http.StatusForbidden, "Your roles do not allow this.")
		form := root.open("/console/profiles/default/edit")
		review := root.submit(form, "step", "review", "f.AllowedFailedAttempts", "3").contains(http.StatusOK, "Failures in a row before the first lock", "proposed", "Guesses of all counters")
		if !strings.Contains(review.body, `<path class="proposed"`) {
			t.Error("got no curve of the proposal, want one")
		}
		_, values := review.form()
		replay := ""
		kit.Eventually(t, "the wrong guesses in the replay", func() bool {
			at := root.post("/console/profiles/default/replays", values)
			replay = at.url.Path
			got := ""
			kit.Eventually(t, "the end of the replay", func() bool { got = root.open(replay).text(); return strings.Contains(got, "Result") })
			return strings.Contains(got, "1 of") && strings.Contains(got, "default/ruth")
		})
		if got := paul.open(replay).contains(http.StatusOK, "Result").text(); strings.Contains(got, "ruth") {
			t.Errorf("paul: got %s, want no names of logins", got)
		}
		again := root.submit(root.open(replay), "step", "review").contains(http.StatusOK, "Failures in a row before the first lock")
		root.submit(again, "step", "confirm").contains(http.StatusOK, "after 3 failures")
		root.submit(root.open("/console/profiles/default/edit"), "step", "review", "f.AllowedFailedAttempts", "90", "f.LockoutDurationSeconds", "1").
			contains(http.StatusOK, "The profile cannot be saved.")
	})
}

// TestTriedOperations sends operations from the page of the API. An operation that writes is sent
// only after a confirmation. An operation that the roles of the caller do not permit is not sent.
func TestTriedOperations(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		b := s.signIn("clara")
		b.open("/console/api?search=apiclients").contains(http.StatusOK, "/v1/apiclients/{apiClientID}")
		b.submit(b.open("/console/api/apiclients.List"), "step", "confirm").contains(http.StatusOK, "200 OK", `"Items"`)
		page := b.submit(b.open("/console/api/apiclients.Create"), "step", "confirm", "f.body", `{`).contains(http.StatusUnprocessableEntity, "The body is not JSON.")
		page = b.submit(page, "step", "review", "f.body", `{"ID":"tried","AppName":"Tried","Active":true}`).contains(http.StatusOK, "Send the request")
		b.open("/console/clients/tried").contains(http.StatusNotFound)
		b.submit(page, "step", "confirm").contains(http.StatusOK, "201 Created", `"AppName": "Tried"`)
		b.open("/console/clients/tried").contains(http.StatusOK, "Tried")
		denied := b.open("/console/api/buyers.Create").contains(http.StatusOK, "Your roles do not allow this operation.")
		if strings.Contains(denied.body, `name="f.body"`) {
			t.Error("got a form for an operation that is not permitted, want none")
		}
		b.post("/console/api/buyers.Create", url.Values{"token": {b.formToken()}, "step": {"confirm"}, "f.body": {`{"Name":"x"}`}}).contains(http.StatusForbidden)
		b.post("/console/api/apiclients.Create", url.Values{"step": {"confirm"}, "f.body": {`{"AppName":"x"}`}}).contains(http.StatusForbidden, "The form does not belong to this browser")
		b.open("/console/api/OAuth.Token").contains(http.StatusOK, "This operation cannot be tried here")
		b.open("/console/api/none").contains(http.StatusNotFound)
	})
}

// TestGuessesAtAPIPage tests that the limit of failed sign-ins of an address applies to the page of
// the API. Failures there count for the address of the browser, and are refused beyond the limit.
func TestGuessesAtAPIPage(t *testing.T) {
	s := newSite(t, kit.NewFixture(t, "sqlite:"+t.TempDir()+"/latchkey.db"), kit.BehindProxy, "LATCHKEY_SHIELD=5/1h")
	b := s.newBrowser()
	b.header.Set("X-Forwarded-For", "203.0.113.9")
	b.signIn("root", b.open("/console/"))
	guess := func() page {
		body := `{"data":{"type":"account_management_authentication_token","authentication_mechanism":"password","password_profile_id":"x","username":"jane","password":"wrong"}}`
		return b.post("/console/api/AccountMembers.CreateTokens", url.Values{"token": {b.formToken()}, "step": {"confirm"}, "f.body": {body}})
	}
	for range 5 {
		guess().contains(http.StatusOK, "Answer 400 Bad Request", "authentication failed")
	}
	guess().contains(http.StatusOK, "Answer 429 Too Many Requests")
	if got := b.post("/oauth/token", url.Values{"grant_type": {"password"}}); got.status != http.StatusTooManyRequests {
		t.Errorf("the token endpoint: got %d, want 429", got.status)
	}
	b.open("/console/clients").contains(http.StatusOK, "Shop")
}
