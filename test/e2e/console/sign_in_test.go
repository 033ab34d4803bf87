package console

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"latchkey/test/e2e/kit"
)

// TestSignIn tests that an administrator signs in at the pages of the server, returns to
// the screen that was asked for, and signs out everywhere.
func TestSignIn(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		b := s.newBrowser()
		at := b.open("/console/clients/shop")
		if at.url.Path != "/oauth/authorize" {
			t.Fatalf("sent to %s", at.url)
		}
		at = b.signIn("clara", at)
		at.contains(http.StatusOK, "Shop")
		if at.url.Path != "/console/clients/shop" {
			t.Errorf("returned to %s", at.url)
		}
		stolen := b.cookies()
		_, form := b.open("/console/clients/shop/edit").form()
		b.post("/console/sign-out", url.Values{"token": form["token"]}).contains(http.StatusOK, "You have signed out.")
		if at := b.open("/console/clients"); at.url.Path != "/oauth/authorize" {
			t.Errorf("after the sign-out: %s", at.url)
		}
		thief := s.newBrowser()
		thief.client.Jar.SetCookies(s.address(), stolen)
		if at := thief.open("/console/clients"); at.url.Path != "/oauth/authorize" {
			t.Errorf("cookies of before the sign-out are good: %s", at.url)
		}
	})
}

func (s *site) address() *url.URL {
	u, err := url.Parse(s.Server.URL)
	s.must(err)
	return u
}

// cookies returns the cookies of the console.
func (b *browser) cookies() []*http.Cookie {
	var kept []*http.Cookie
	for _, c := range b.client.Jar.Cookies(b.address()) {
		if strings.HasPrefix(c.Name, "latchkey-console") {
			kept = append(kept, c)
		}
	}
	return kept
}

// TestSessionIsRenewed tests that a session outlives its access tokens, and ends when it is
// not used, or when an administrator ends it.
func TestSessionIsRenewed(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		b := s.signIn("carol")
		for range 3 {
			s.Clock.Advance(30 * time.Minute)
			b.open("/console/clients").contains(http.StatusOK, "Shop")
		}
		s.Clock.Advance(9 * time.Hour)
		if at := b.open("/console/clients"); at.url.Path != "/oauth/authorize" {
			t.Errorf("after nine hours: %s", at.url)
		}
	})
}

// TestCallbackIsBound tests that nobody signs another browser in: an answer of the sign-in
// page is good in the browser that asked for it only.
func TestCallbackIsBound(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		attacker := s.newBrowser()
		at := attacker.open("/console/")
		attacker.client.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
			if r.URL.Path == "/console/callback" {
				return http.ErrUseLastResponse
			}
			return nil
		}
		for _, fields := range [][]string{{"username", "clara"}, {"do", "password"}, {"password", kit.Password}} {
			at = attacker.submit(at, fields...)
		}
		callback, err := url.Parse(at.header.Get("Location"))
		s.must(err)
		victim := s.newBrowser()
		victim.open("/console/")
		victim.open(callback.RequestURI()).contains(http.StatusBadRequest, "Start again")
		if at := victim.open("/console/clients"); at.url.Path != "/oauth/authorize" {
			t.Errorf("the victim is signed in: %s", at.url)
		}
		attacker.client.CheckRedirect = nil
		attacker.open(callback.RequestURI()).contains(http.StatusOK)
	})
}

// TestForeignForms tests that forms of other sites and of other browsers are refused, also
// without a session.
func TestForeignForms(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		b := s.signIn("clara")
		action, form := b.open("/console/clients/shop/edit").form()
		form.Set("f.AppName", "Changed by another site")
		form.Set("step", "confirm")
		b.header.Set("Sec-Fetch-Site", "cross-site")
		b.post(action, form).contains(http.StatusForbidden, "not accepted")
		b.header.Set("Sec-Fetch-Site", "same-origin")

		other := s.signIn("clara")
		_, foreign := other.open("/console/clients/shop/edit").form()
		form["token"] = foreign["token"]
		b.post(action, form).contains(http.StatusForbidden, "not accepted")
		form.Del("token")
		b.post(action, form).contains(http.StatusForbidden, "not accepted")
		s.newBrowser().post(action, form).contains(http.StatusForbidden, "not accepted")
		if text := b.open("/console/clients/shop").text(); strings.Contains(text, "Changed") {
			t.Errorf("the client was changed: %s", text)
		}
	})
}

// TestNobodyWithoutRole tests that a user without an administrative role gets a page that
// says so, whoever they are.
func TestNobodyWithoutRole(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		for _, username := range []string{"norman", "john"} {
			b := s.newBrowser()
			at := b.signIn(username, b.open("/console/"))
			at.contains(http.StatusForbidden, "no administrative role")
			if nav := at.navigation(); len(nav) > 0 {
				t.Errorf("%s sees %v", username, nav)
			}
		}
	})
}
