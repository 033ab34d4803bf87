package signin

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"latchkey/test/e2e/kit"
)

// TestUsernameBudget tests that a user who tries to take other usernames is stopped after a few
// tries, in both dialects, whether or not the names are taken. Each try leaves an audit event.
func TestUsernameBudget(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		s := newAdminSetup(t, w)
		nell := s.signIn(t, "nell").Field("access_token")
		me := func(method, body string) kit.Response {
			return s.server.Do(method, "/v1/me", "application/json", body, "Authorization", "Bearer "+nell)
		}
		s.usernames(t, http.StatusConflict, "username.refused", func(i int, name string) kit.Response {
			if i%2 == 0 {
				return me("PUT", `{"Username":"`+name+`","FirstName":"N","LastName":"Ell","Email":"nell@example.com"}`)
			}
			return me("PATCH", `{"Username":"`+name+`"}`)
		})
		if got := me("PATCH", `{"FirstName":"Nelly"}`); got.Status != 200 {
			t.Errorf("another member: got %d %s, want 200", got.Status, got.Body)
		}
		s.Clock.Advance(13 * time.Minute)
		if got := me("PATCH", `{"Username":"nell2"}`); got.Status != 200 {
			t.Errorf("later: got %d %s, want 200", got.Status, got.Body)
		}

		s.must(t, "PUT", kit.SettingsPath, `{"data":{"type":"account_authentication_settings","account_member_self_management":"update_only"}}`)
		token := s.accountTokens(t, "", kit.ByPassword("john", kit.Password))["acme"]
		bearer := kit.MustIssue(t, "implicit token", s.server.Form("/oauth/access_token", "grant_type", "implicit", "client_id", "every")).Field("access_token")
		v := kit.Caller{Server: s.server, AccessToken: bearer, AccountToken: token}
		_, claims := kit.DecodeJWT(t, token)
		sub, _ := claims["sub"].(string)
		infos := kit.RealmPath + "/user-authentication-info/" + sub + "/user-authentication-password-profile-info"
		info := infos + "/" + v.Send(t, 200, "GET", infos, nil).Text("data", 0, "id")
		s.usernames(t, http.StatusUnprocessableEntity, typeLoginEvent+".username_refused", func(_ int, name string) kit.Response {
			return v.Try("PUT", info, kit.Object{"type": typeLoginEvent, "username": name})
		})
	})
}

const typeLoginEvent = "user_authentication_password_profile_info"

// usernames tries names until the budget is used up.
func (s *adminSetup) usernames(t *testing.T, taken int, action string, try func(i int, name string) kit.Response) {
	t.Helper()
	for i := range 10 {
		if got := try(i, "jane"); got.Status != taken {
			t.Fatalf("try %d: got %d %s, want %d", i, got.Status, got.Body, taken)
		}
	}
	for i, name := range []string{"jane", "nobody-has-it"} {
		got := try(i, name)
		seconds, err := strconv.Atoi(got.Header.Get("Retry-After"))
		if got.Status != http.StatusTooManyRequests || err != nil || seconds < 1 || seconds > 360 {
			t.Errorf("%s after ten tries: got %d %s, Retry-After %q; want 429", name, got.Status, got.Body, got.Header.Get("Retry-After"))
		}
	}
	if known, stopped := s.audited(action, "taken"), s.audited(action, "limited"); known != 10 || stopped != 2 {
		t.Errorf("%s: got %d events of taken names and %d of the limit, want 10 and 2", action, known, stopped)
	}
}
