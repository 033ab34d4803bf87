package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"latchkey/test/e2e/kit"
)

// moreAdministrators are those of password profiles, and a client through which
// administrators get tokens for requests by hand.
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

// tokenOf returns an access token of an administrator for requests without the console.
func (s *site) tokenOf(username string) string {
	s.t.Helper()
	got := s.Server.SignInThrough("by-hand", username, kit.Password)
	token := got.Field("access_token")
	if token == "" {
		s.t.Fatalf("no token of %s: %d %s", username, got.Status, got.Body)
	}
	return token
}

// TestAuditReader follows what an administrator with the role AuditReader can do: see and
// follow events, verify their chain, export them. Every other operation of /v1 refuses the
// token of this administrator, whatever the console shows.
func TestAuditReader(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		s.addAdministrators()
		s.signIn("root")
		b := s.signIn("audrey")
		start := b.open("/console/audit")
		if got := start.navigation(); !slices.Equal(got, []string{"/console/audit"}) {
			t.Errorf("audrey sees %v", got)
		}
		kit.Eventually(t, "the sign-in of root in the list", func() bool {
			return strings.Contains(b.open("/console/audit?Action=sign_in&about=root").text(), "root")
		})
		if got := b.open("/console/audit?Action=sign_in&about=root").text(); strings.Contains(got, "audrey@") {
			t.Errorf("the events about root name others: %s", got)
		}
		event := ""
		for _, link := range b.open("/console/audit?Action=sign_in&about=root").links() {
			if strings.HasPrefix(link, "/console/audit/events/") {
				event = link
			}
		}
		one := b.open(event).contains(http.StatusOK, "sign_in", "All events of this request")
		for _, link := range one.links() {
			if strings.Contains(link, "TraceID=") {
				b.open(link).contains(http.StatusOK, "The oldest event comes first.", "sign_in")
			}
			if strings.HasPrefix(link, "/console/clients") {
				t.Errorf("an AuditReader sees the link %s", link)
			}
		}
		review := b.submit(b.open("/console/audit/chain/verify"), "step", "review")
		b.submit(review, "step", "confirm").contains(http.StatusOK, "The verification has started.")
		kit.Eventually(t, "the end of the verification", func() bool {
			return strings.Contains(b.open("/console/audit/chain").text(), "The record is whole")
		})
		export := b.open("/console/audit/export?Action=sign_in")
		if lines := strings.Split(strings.TrimSpace(export.body), "\n"); export.status != http.StatusOK || len(lines) < 1 || !strings.HasPrefix(lines[0], `{"seq":`) ||
			!strings.Contains(export.header.Get("Content-Disposition"), "attachment") {
			t.Errorf("exported %d %v %s", export.status, export.header, export.body)
		}
		kit.Eventually(t, "an event of the export", func() bool {
			return strings.Contains(b.open("/console/audit?Action=auditevents.exported").text(), "audrey")
		})
		s.refusesByHand(t, s.tokenOf("audrey"), "AuditReader")
	})
}

// refusesByHand sends a request of every operation of /v1 with a token that has one role
// only. Those that the role does not open are 403, and never 404 or 400 before.
func (s *site) refusesByHand(t *testing.T, token, role string) {
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
				t.Errorf("%s %s with the role %s: %d %s", method, path, role, got.Status, got.Body)
			}
		}
	}
	if tried < 50 {
		t.Errorf("only %d operations were tried", tried)
	}
}

// TestProfileProposal lets an administrator of password profiles replay a proposal before
// saving it. Without the role AuditReader the result does not name logins.
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
			t.Error("no curve of the proposal")
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
			t.Errorf("paul sees names of logins: %s", got)
		}
		again := root.submit(root.open(replay), "step", "review").contains(http.StatusOK, "Failures in a row before the first lock")
		root.submit(again, "step", "confirm").contains(http.StatusOK, "after 3 failures")
		root.submit(root.open("/console/profiles/default/edit"), "step", "review", "f.AllowedFailedAttempts", "90", "f.LockoutDurationSeconds", "1").
			contains(http.StatusOK, "The profile cannot be saved.")
	})
}

// TestTriedOperations tries operations at the page of the API. One that writes is sent
// after a confirmation only, and one that the caller's roles do not open is not sent.
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
			t.Error("a form for an operation that is not allowed")
		}
		b.post("/console/api/buyers.Create", url.Values{"token": {b.formToken()}, "step": {"confirm"}, "f.body": {`{"Name":"x"}`}}).contains(http.StatusForbidden)
		b.post("/console/api/apiclients.Create", url.Values{"step": {"confirm"}, "f.body": {`{"AppName":"x"}`}}).contains(http.StatusForbidden, "The form does not belong to this browser")
		b.open("/console/api/OAuth.Token").contains(http.StatusOK, "This operation cannot be tried here")
		b.open("/console/api/none").contains(http.StatusNotFound)
	})
}

// TestTriedGuesses tests that the page of the API is no way around the limit of failures of
// an address: it counts there, and refuses there.
func TestTriedGuesses(t *testing.T) {
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
