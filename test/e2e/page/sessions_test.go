package page

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey/test/e2e/kit"
)

// sessionList is the list of sessions as /v1 shows it.
type sessionList struct {
	Meta  struct{ TotalCount int }
	Items []struct {
		ID, ClientID string
		ClientIDs    []string
		AMR          []string
		SignedInAt   time.Time
		Current      bool
	}
}

// sessions lists sessions with an access token.
func (s *site) sessions(t *testing.T, token, path string) (list sessionList) {
	t.Helper()
	got := s.Server.SendJSON(http.MethodGet, path, token, "")
	if err := json.Unmarshal([]byte(got.Body), &list); err != nil || got.Status != http.StatusOK {
		t.Fatalf("%s: got %d %s", path, got.Status, got.Body)
	}
	return list
}

func (l sessionList) ids() (ids []string) {
	for _, x := range l.Items {
		ids = append(ids, x.ID)
	}
	return ids
}

func (s *site) mustPost(t *testing.T, token, path string, status int) {
	t.Helper()
	if got := s.Server.SendJSON(http.MethodPost, path, token, ""); got.Status != status {
		t.Errorf("POST %s: got %d %s, want %d", path, got.Status, got.Body, status)
	}
}

func (s *site) mustDelete(t *testing.T, token, path string, status int) {
	t.Helper()
	if got := s.Server.SendJSON(http.MethodDelete, path, token, ""); got.Status != status {
		t.Errorf("DELETE %s: got %d %s, want %d", path, got.Status, got.Body, status)
	}
}

// TestOwnSessions tests that a user can list and end sessions with the token of one of them.
func TestOwnSessions(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		s, receiver := logoutSite(t, w)
		desk, phone, tablet, john := s.newBrowser(), s.newBrowser(), s.newBrowser(), s.newBrowser()
		atDesk := desk.signedIn("jane")
		s.Clock.Advance(time.Second)
		atPhone := phone.signedIn("jane")
		s.Clock.Advance(time.Second)
		atTablet, johns := tablet.signedIn("jane"), john.signedIn("john")

		list := s.sessions(t, atDesk.AccessToken, "/v1/me/sessions")
		if !slices.Equal(list.ids(), []string{atTablet.sid, atPhone.sid, atDesk.sid}) || list.Meta.TotalCount != 3 {
			t.Fatalf("got sessions %+v", list)
		}
		for i, x := range list.Items {
			if x.Current != (i == 2) || x.ClientID != "spa" || !slices.Equal(x.ClientIDs, []string{"spa"}) || !slices.Equal(x.AMR, []string{"otp"}) {
				t.Errorf("session %d: got %+v", i, x)
			}
		}
		if one := s.sessions(t, atDesk.AccessToken, "/v1/me/sessions?ID="+atPhone.sid); !slices.Equal(one.ids(), []string{atPhone.sid}) {
			t.Errorf("filtered: got %+v", one)
		}
		password := kit.TokenPairOf(t, "password grant", s.Server.Form("/oauth/token", "grant_type", "password", "client_id", "spa", "username", "jane", "password", kit.Password))
		if list := s.sessions(t, password.Access, "/v1/me/sessions"); list.Meta.TotalCount != 3 || list.Items[2].Current {
			t.Errorf("with a token of the password grant: got %+v", list)
		}

		s.mustDelete(t, atDesk.AccessToken, "/v1/me/sessions/"+johns.sid, 404)
		s.mustDelete(t, atDesk.AccessToken, "/v1/me/sessions/nothing", 404)
		s.mustDelete(t, atDesk.AccessToken, "/v1/me/sessions/"+atPhone.sid, 204)
		s.mustDelete(t, atDesk.AccessToken, "/v1/me/sessions/"+atPhone.sid, 404)
		if claims := claimsOf(t, receiver.wait(t, 1)[0].token); claims["sid"] != atPhone.sid {
			t.Errorf("got logout token %v", claims)
		}
		if phone.isSignedIn() || s.refreshes(atPhone) {
			t.Error("the session of the phone has not ended")
		}
		if !tablet.isSignedIn() || !john.isSignedIn() {
			t.Error("another session has ended")
		}
		s.mustPost(t, atPhone.AccessToken, "/v1/me/sessions/endothers", 401)

		s.mustPost(t, atDesk.AccessToken, "/v1/me/sessions/endothers", 204)
		if !desk.isSignedIn() || tablet.isSignedIn() || !john.isSignedIn() || s.refreshes(atTablet) || !s.refreshes(atDesk) {
			t.Error("the other sessions have not ended, or more than those have")
		}
		receiver.wait(t, 2)
		s.mustPost(t, password.Access, "/v1/me/sessions/endothers", 204)
		if desk.isSignedIn() {
			t.Error("a session has not ended")
		}
	})
}

// TestSessionsAreNotForOthers tests which callers cannot list or end sessions.
func TestSessionsAreNotForOthers(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		s, _ := logoutSite(t, w)
		b := s.newBrowser()
		mine := b.signedIn("jane")
		partner := s.authorizationRequest("partner", "", "https://partner.example/callback", "openid")
		question := b.get(partner.path())
		token, err := partner.exchange(b.submit(question).response(t, "https://partner.example/callback").Get("code"))
		s.Must(err)
		johns := s.newBrowser().signedIn("john")
		const janes = "/v1/buyers/acme/users/jane/sessions"
		for what, of := range map[string]struct {
			token  string
			status int
		}{"a third-party client": {token.AccessToken, 403}, "nobody": {"", 401}} {
			for _, call := range [][2]string{{"GET", "/v1/me/sessions"}, {"POST", "/v1/me/sessions/endothers"}, {"DELETE", "/v1/me/sessions/" + mine.sid}} {
				if got := s.Server.SendJSON(call[0], call[1], of.token, ""); got.Status != of.status {
					t.Errorf("%s, %s %s: got %d %s, want %d", what, call[0], call[1], got.Status, got.Body, of.status)
				}
			}
		}
		for _, call := range [][2]string{{"GET", janes}, {"POST", janes + "/endall"}, {"DELETE", janes + "/" + mine.sid}} {
			for what, bearer := range map[string]string{"another user": johns.AccessToken, "the user": mine.AccessToken} {
				if got := s.Server.SendJSON(call[0], call[1], bearer, ""); got.Status != 403 && got.Status != 404 {
					t.Errorf("%s, %s %s: got %d %s", what, call[0], call[1], got.Status, got.Body)
				}
			}
		}
		if !b.isSignedIn() {
			t.Error("the session has ended")
		}
	})
}

// TestSessionsOfUser tests that administrators and operators can list and end the sessions of a
// user.
func TestSessionsOfUser(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		s, receiver := logoutSite(t, w)
		admin, browsers := s.NewAdmin(s.Server), []*browser{}
		var sids []string
		for range 4 {
			b := s.newBrowser()
			browsers, sids = append(browsers, b), append([]string{b.signedIn("jane").sid}, sids...)
			s.Clock.Advance(time.Second)
		}
		john := s.newBrowser()
		johns := john.signedIn("john")
		const path = "/v1/buyers/acme/users/jane/sessions"
		if list := s.sessions(t, admin.AccessToken, path); !slices.Equal(list.ids(), sids) {
			t.Errorf("got sessions %+v, want %v", list, sids)
		}
		s.mustDelete(t, admin.AccessToken, path+"/"+johns.sid, 404)
		s.mustDelete(t, admin.AccessToken, path+"/"+sids[3], 204)
		if browsers[0].isSignedIn() || !browsers[1].isSignedIn() {
			t.Error("the session has not ended, or another one has ended")
		}
		var listed []struct{ ID string }
		s.Must(json.Unmarshal([]byte(s.Run("session", "list", "jane", "--output", "json")), &listed))
		if len(listed) != 3 || listed[2].ID != sids[2] {
			t.Errorf("session list: got %+v", listed)
		}
		s.Run("session", "end", sids[2])
		if got := kit.TryCommand(t, s.Environ(), "session", "end", sids[2]); got.ExitCode == 0 {
			t.Error("a session was ended twice")
		}
		s.mustPost(t, admin.AccessToken, path+"/endall", 204)
		for i, b := range browsers {
			if b.isSignedIn() {
				t.Errorf("session %d has not ended", i)
			}
		}
		if !john.isSignedIn() || len(receiver.wait(t, 4)) != 4 {
			t.Error("the session of another user has ended, or a client was not notified")
		}
		kit.Eventually(t, "audit events", func() bool {
			return s.QueryOne("SELECT count(*) FROM audit_events WHERE action IN ('user.sessions_ended', 'session.ended')") == "3"
		})
	})
}

// TestExclusionEndsSessions tests that each way to exclude a user ends the session and its refresh
// tokens at all servers.
func TestExclusionEndsSessions(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		s, _ := logoutSite(t, w)
		second := s.StartServer()
		admin := s.NewAdmin(s.Server)
		patch := func(path, body string) {
			t.Helper()
			if got := admin.Do(http.MethodPatch, path, body); got.Status != 200 {
				t.Fatalf("%s: got %d %s, want 200", path, got.Status, got.Body)
			}
		}
		ends := map[string]func(name string){
			"password":     func(name string) { patch("/v1/buyers/acme/users/"+name, `{"Password":"another-Horse-8-battery"}`) },
			"deactivation": func(name string) { patch("/v1/buyers/acme/users/"+name, `{"Active":false}`) },
			"off and on": func(name string) {
				patch("/v1/buyers/acme/users/"+name, `{"Active":false}`)
				patch("/v1/buyers/acme/users/"+name, `{"Active":true}`)
			},
			"lock":                 func(name string) { s.LockOut(s.Server, name) },
			"all tokens":           func(name string) { s.mustDelete(t, admin.AccessToken, "/v1/buyers/acme/users/"+name+"/tokens", 204) },
			"deletion":             func(name string) { s.mustDelete(t, admin.AccessToken, "/v1/buyers/acme/users/"+name, 204) },
			"client off":           func(string) { patch("/v1/apiclients/spa", `{"Active":false}`) },
			"client admits no-one": func(string) { patch("/v1/apiclients/spa", `{"AllowAnyBuyer":false}`) },
			"client without codes": func(string) { patch("/v1/apiclients/spa", `{"AllowedCredentials":["password"]}`) },
		}
		for i, what := range slices.Sorted(maps.Keys(ends)) {
			end := ends[what]
			name := fmt.Sprint("user-", i)
			s.AddUsers(name)
			b := s.newBrowser()
			of := b.signedIn(name)
			end(name)
			for _, server := range []*kit.Server{s.Server, second} {
				b.server = server
				kit.Eventually(t, what, func() bool {
					return !strings.Contains(b.get(b.spa().path("prompt", "none")).header.Get("Location"), "code=")
				})
			}
			if s.refreshes(of) {
				t.Errorf("%s: the refresh token is valid", what)
			}
			if strings.HasPrefix(what, "client") {
				patch("/v1/apiclients/spa", `{"Active":true,"AllowAnyBuyer":true,"AllowedCredentials":["otp","password"]}`)
				if s.refreshes(of) {
					t.Errorf("%s: the refresh token is valid again", what)
				}
			}
		}
	})
}
