package main

import (
	"net/http"
	"strconv"
	"testing"
	"time"
)

// TestUsernameBudget: whoever asks for other usernames to learn who has them is
// stopped after a few, whether or not somebody has them, in either dialect, and
// each try leaves an event.
func TestUsernameBudget(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		s := newSwitchboard(t, w)
		nell := s.signIn(t, "nell").field("access_token")
		me := func(method, body string) answer {
			return s.n.do(method, "/v1/me", "application/json", body, "Authorization", "Bearer "+nell)
		}
		s.usernames(t, http.StatusConflict, "username.refused", func(i int, name string) answer {
			if i%2 == 0 {
				return me("PUT", `{"Username":"`+name+`","FirstName":"N","LastName":"Ell","Email":"nell@example.com"}`)
			}
			return me("PATCH", `{"Username":"`+name+`"}`)
		})
		if got := me("PATCH", `{"FirstName":"Nelly"}`); got.status != 200 {
			t.Errorf("another member: %d %s", got.status, got.body)
		}
		s.clock.advance(13 * time.Minute)
		if got := me("PATCH", `{"Username":"nell2"}`); got.status != 200 {
			t.Errorf("later: %d %s", got.status, got.body)
		}

		s.must(t, "PUT", settingsV2, `{"data":{"type":"account_authentication_settings","account_member_self_management":"update_only"}}`)
		token := s.accountTokens(t, "", byPassword("john", janesPassword))["acme"]
		bearer := granted(t, "implicit token", s.n.form("/oauth/access_token", "grant_type", "implicit", "client_id", "every")).field("access_token")
		v := visitor{n: s.n, bearer: bearer, member: token}
		_, claims := decoded(t, token)
		sub, _ := claims["sub"].(string)
		infos := realmV2 + "/user-authentication-info/" + sub + "/user-authentication-password-profile-info"
		info := infos + "/" + v.send(t, 200, "GET", infos, nil).text("data", 0, "id")
		s.usernames(t, http.StatusUnprocessableEntity, typeLoginEvent+".username_refused", func(_ int, name string) answer {
			return v.try("PUT", info, jsonObject{"type": typeLoginEvent, "username": name})
		})
	})
}

const typeLoginEvent = "user_authentication_password_profile_info"

// usernames tries names until the budget is used up.
func (s *switchboard) usernames(t *testing.T, taken int, action string, try func(i int, name string) answer) {
	t.Helper()
	for i := range 10 {
		if got := try(i, "jane"); got.status != taken {
			t.Fatalf("try %d: %d %s, want %d", i, got.status, got.body, taken)
		}
	}
	for i, name := range []string{"jane", "nobody-has-it"} {
		got := try(i, name)
		seconds, err := strconv.Atoi(got.header.Get("Retry-After"))
		if got.status != http.StatusTooManyRequests || err != nil || seconds < 1 || seconds > 360 {
			t.Errorf("%s after ten tries: %d %s, Retry-After %q", name, got.status, got.body, got.header.Get("Retry-After"))
		}
	}
	if known, stopped := s.audited(action, "taken"), s.audited(action, "limited"); known != 10 || stopped != 2 {
		t.Errorf("%s: %d events of taken names and %d of the limit, want 10 and 2", action, known, stopped)
	}
}
