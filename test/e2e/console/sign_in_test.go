package console

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"latchkey/test/e2e/kit"
)

// TestSignIn tests that an administrator signs in at the sign-in page and returns to the screen
// that was requested. A sign-out also ends the session for copies of its cookies.
func TestSignIn(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		b := s.newBrowser()
		at := b.open("/console/clients/shop")
		if at.url.Path != "/oauth/authorize" {
			t.Fatalf("got %s, want /oauth/authorize", at.url)
		}
		at = b.signIn("clara", at)
		at.contains(http.StatusOK, "Shop")
		if at.url.Path != "/console/clients/shop" {
			t.Errorf("after the sign-in: got %s, want /console/clients/shop", at.url)
		}
		copied := b.cookies()
		_, form := b.open("/console/clients/shop/edit").form()
		b.post("/console/sign-out", url.Values{"token": form["token"]}).contains(http.StatusOK, "You have signed out.")
		if at := b.open("/console/clients"); at.url.Path != "/oauth/authorize" {
			t.Errorf("after the sign-out: got %s, want /oauth/authorize", at.url)
		}
		attacker := s.newBrowser()
		attacker.client.Jar.SetCookies(s.address(), copied)
		if at := attacker.open("/console/clients"); at.url.Path != "/oauth/authorize" {
			t.Errorf("copied cookies after the sign-out: got %s, want /oauth/authorize", at.url)
		}
	})
}

// address returns the URL of the server.
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
	if len(kept) == 0 {
		b.t.Fatal("got no cookie of the console, want one")
	}
	return kept
}

// TestSessionIsRenewed tests that a session lasts longer than its access tokens, and that it ends
// when it is not used for nine hours.
func TestSessionIsRenewed(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		b := s.signIn("carol")
		for range 3 {
			s.Clock.Advance(30 * time.Minute)
			b.open("/console/clients").contains(http.StatusOK, "Shop")
		}
		s.Clock.Advance(9 * time.Hour)
		if at := b.open("/console/clients"); at.url.Path != "/oauth/authorize" {
			t.Errorf("after nine hours: got %s, want /oauth/authorize", at.url)
		}
	})
}

// TestIdleSession tests that the sign-in form appears after more than two hours without use, and
// not before, although the session at the sign-in page goes on. How long ago the sign-in was does
// not matter while the console is used.
func TestIdleSession(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		b := s.signIn("carol")
		for range 2 {
			s.Clock.Advance(time.Hour + 59*time.Minute)
			b.open("/console/clients").contains(http.StatusOK, "Shop")
		}
		s.Clock.Advance(2*time.Hour + time.Minute)
		at := b.open("/console/clients/shop")
		b.mustAskForName("after 2h1m", at)
		if at = b.signIn("carol", at); at.url.Path != "/console/clients/shop" {
			t.Errorf("after the second sign-in: got %s, want /console/clients/shop", at.url)
		}
	})
}

// mustAskForName fails the test unless the page is the sign-in form.
func (b *browser) mustAskForName(what string, at page) {
	b.t.Helper()
	if at.status != http.StatusOK || at.url.Path != "/oauth/authorize" || !strings.Contains(at.body, `name="username"`) {
		b.t.Fatalf("%s: got %d %s %s, want the sign-in form", what, at.status, at.url, at.text())
	}
}

// TestSignInElsewhere tests that a sign-in at another client opens the console for two hours only.
// An authorization request without max_age, and an ID token of an older sign-in, do not change
// that (OpenID Connect Core 1.0 §3.1.3.7, item 13).
func TestSignInElsewhere(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		s.Apply(`
ApiClients:
  - {ID: elsewhere, AppName: Elsewhere, Active: true, AccessTokenDuration: 60, AllowSeller: true,
     GrantTypes: [authorization_code], AllowedCredentials: [password], RedirectUris: ["https://app.example/cb"]}
`)
		for what, test := range map[string]struct {
			ago       time.Duration
			dropped   []string // parameters of the authorization request of the console
			wantsForm bool
		}{
			"an hour ago":                         {ago: time.Hour},
			"three hours ago":                     {ago: 3 * time.Hour, wantsForm: true},
			"three hours ago, max_age is removed": {ago: 3 * time.Hour, dropped: []string{"max_age"}, wantsForm: true},
		} {
			b := s.newBrowser()
			b.signInAt("elsewhere", "https://app.example/cb", "carol")
			s.Clock.Advance(test.ago)
			b.client.CheckRedirect = func(r *http.Request, via []*http.Request) error {
				if len(via) > 10 {
					return errors.New("more than ten redirects")
				}
				q := r.URL.Query()
				for _, name := range test.dropped {
					q.Del(name)
				}
				r.URL.RawQuery = q.Encode()
				return nil
			}
			at := b.open("/console/clients/shop")
			if !test.wantsForm {
				at.contains(http.StatusOK, "Shop")
				continue
			}
			b.mustAskForName(what, at)
			b.signIn("carol", at).contains(http.StatusOK, "Shop")
		}
	})
}

// signInAt signs the user in at a client that asks for the password, up to its redirect URI.
func (b *browser) signInAt(client, redirectURI, username string) {
	b.t.Helper()
	b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	at := b.open("/oauth/authorize?" + authorization(client, redirectURI).Encode())
	for _, fields := range [][]string{{"username", username}, {"password", kit.Password}} {
		at = b.submit(at, fields...)
	}
	if got := at.header.Get("Location"); !strings.HasPrefix(got, redirectURI+"?code=") {
		b.t.Fatalf("sign-in of %s at %s: got %d %q %s, want a code", username, client, at.status, got, at.text())
	}
}

// TestCallbackIsBound tests that the callback accepts an authorization response only in the browser
// that made the authorization request. Otherwise an attacker could sign the browser of a victim in
// as the attacker (RFC 6819 §4.4.1.8).
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
			t.Errorf("victim: got %s, want /oauth/authorize", at.url)
		}
		attacker.client.CheckRedirect = nil
		attacker.open(callback.RequestURI()).contains(http.StatusOK)
	})
}

// TestForeignForms tests that a form is refused if another site posts it, or if it was shown to
// another browser. This includes browsers without a session.
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
			t.Errorf("got %s, want an unchanged client", text)
		}
	})
}

// TestUserWithoutRole tests that an admin user and a buyer user without an administrative role get
// a page that says so.
func TestUserWithoutRole(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		for _, username := range []string{"norman", "john"} {
			b := s.newBrowser()
			at := b.signIn(username, b.open("/console/"))
			at.contains(http.StatusForbidden, "no administrative role")
			if nav := at.navigation(); len(nav) > 0 {
				t.Errorf("%s: got the navigation %v, want none", username, nav)
			}
		}
	})
}

// TestSignOutNeedsNoRedirect tests that the sign-out itself revokes the tokens of the console, even
// if the browser does not follow the redirect to the logout endpoint.
func TestSignOutNeedsNoRedirect(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		b := s.signIn("clara")
		copied := b.cookies()
		_, form := b.open("/console/clients/shop/edit").form()
		b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		b.post("/console/sign-out", url.Values{"token": form["token"]}).contains(http.StatusSeeOther)
		attacker := s.newBrowser()
		attacker.client.Jar.SetCookies(s.address(), copied)
		if at := attacker.open("/console/clients"); at.url.Path != "/oauth/authorize" {
			t.Errorf("copied cookies after the sign-out: got %s, want /oauth/authorize", at.url)
		}
	})
}

// TestConsolePasswordIsNoCode tests that a session that began with a password at the console gives
// no code at a client that allows one-time passwords only.
func TestConsolePasswordIsNoCode(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		s.Apply(`
ApiClients:
  - {ID: codes-app, AppName: Codes, Active: true, AccessTokenDuration: 60, AllowAnyBuyer: true,
     GrantTypes: [authorization_code], AllowedCredentials: [otp], RedirectUris: ["https://app.example/cb"]}
  - {ID: both-app, AppName: Both, Active: true, AccessTokenDuration: 60, AllowAnyBuyer: true,
     GrantTypes: [authorization_code], AllowedCredentials: [otp, password], RedirectUris: ["https://app.example/cb"]}
`)
		b := s.newBrowser()
		b.signIn("john", b.open("/console/"))
		b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		for client, want := range map[string]string{"codes-app": "error=login_required", "both-app": "code="} {
			at := b.open("/oauth/authorize?" + authorization(client, "https://app.example/cb", "prompt", "none").Encode())
			if got := at.header.Get("Location"); !strings.Contains(got, want) {
				t.Errorf("%s: got %d %q, want %s", client, at.status, got, want)
			}
		}
	})
}

// authorization returns the parameters of an authorization request. more are names and values of
// further parameters: name, value, …
func authorization(client, redirectURI string, more ...string) url.Values {
	q := url.Values{
		"response_type": {"code"}, "client_id": {client}, "redirect_uri": {redirectURI}, "state": {"s"}, "scope": {"openid"},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"},
	}
	for i := 0; i+1 < len(more); i += 2 {
		q.Set(more[i], more[i+1])
	}
	return q
}

// TestConsoleRedirectURI tests that authorization codes for the console are sent to its own
// redirect URI only. Other clients may use any port of a loopback address (RFC 8252 §7.3), at
// which another program on the machine may listen.
func TestConsoleRedirectURI(t *testing.T) {
	s := newSite(t, kit.NewFixture(t, "sqlite:"+t.TempDir()+"/latchkey.db"))
	b := s.signIn("clara")
	b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	own := s.Server.URL + "/console/callback"
	if at := b.open("/oauth/authorize?" + authorization("latchkey-console", own).Encode()); !strings.HasPrefix(at.header.Get("Location"), own+"?code=") {
		t.Fatalf("got %d %q, want a code", at.status, at.header.Get("Location"))
	}
	for _, uri := range []string{"http://" + s.address().Hostname() + ":1/console/callback", "http://" + s.address().Hostname() + "/console/callback"} {
		if at := b.open("/oauth/authorize?" + authorization("latchkey-console", uri).Encode()); at.status != http.StatusBadRequest {
			t.Errorf("%s: got %d %q, want 400", uri, at.status, at.header.Get("Location"))
		}
	}
}

// TestMalformedIDs tests that paths with malformed IDs answer 404.
func TestMalformedIDs(t *testing.T) {
	s := newSite(t, kit.NewFixture(t, "sqlite:"+t.TempDir()+"/latchkey.db"))
	b := s.signIn("root")
	for _, id := range []string{"%2e", "%2e%2e", "..%2f..%2fme", "%00", "a%2fb", "%0d%0ax", "shop;x", "shop%3fx", "%c0%af"} {
		for _, path := range []string{"/console/clients/" + id, "/console/clients/" + id + "/delete", "/console/users/buyers/acme/" + id, "/console/users/buyers/" + id + "/bob", "/console/keys/" + id + "/revoke"} {
			at := b.open(path)
			if at.status != http.StatusNotFound {
				t.Errorf("%s: got %d %s, want 404", path, at.status, at.text())
			}
		}
	}
}

// TestLargeForm tests that a form that is too large is refused with a page that says so, and that
// the same form can be posted afterwards with a shorter value.
func TestLargeForm(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		b := s.signIn("clara")
		form := b.open("/console/new-client/otp")
		for language, want := range map[string]string{
			"en": "The form is too large Nothing was saved.", "de": "Das Formular ist zu groß Nichts wurde gespeichert.",
		} {
			b.header.Set("Accept-Language", language)
			if got := b.submit(form, "f.AppName", strings.Repeat("x", 1<<20)); got.status != http.StatusRequestEntityTooLarge || !strings.Contains(got.text(), want) {
				t.Errorf("%s: got %d %s, want 413 with %q", language, got.status, got.text(), want)
			}
		}
		if got := b.submit(form, "f.AppName", "Shorter"); got.status != http.StatusOK {
			t.Errorf("the same form, shorter: got %d %s, want 200", got.status, got.text())
		}
	})
}
