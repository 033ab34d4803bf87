package page

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"latchkey/test/e2e/kit"
)

// TestRedirectPolicy tests what form-action contains for each kind of redirect URI. Browsers
// ignore sources that are no host names, such as IPv6 addresses, and then block the redirect
// after the last post.
func TestRedirectPolicy(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		targets := map[string]string{
			"http://[::1]/callback":             "http:",
			"https://[2001:db8::1]:8443/cb":     "https:",
			"https://app.example./callback":     "https:",
			"https://under_score.example/cb":    "https://under_score.example",
			"https://app.example:8443/callback": "https://app.example:8443",
			"http://127.0.0.1:4711/callback":    "http://127.0.0.1:4711",
			"com.example.app:/callback":         "com.example.app:",
		}
		uris := []string{}
		for uri := range targets {
			uris = append(uris, uri)
		}
		s.patchClient("spa", kit.Object{"RedirectUris": uris})
		for uri, target := range targets {
			got := s.newBrowser().get(s.authorizationRequest("spa", "", uri, "openid").path()).asksFor(t, "username")
			if policy := got.header.Get("Content-Security-Policy"); !strings.Contains(policy, "; form-action 'self' "+target+"; frame-ancestors") {
				t.Errorf("%s: got policy %q", uri, policy)
			}
		}
	})
}

// TestFormPostToApplication tests that a browser cannot post a form to an application. The
// error goes there by a redirect.
func TestFormPostToApplication(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		s.patchClient("spa", kit.Object{"RedirectUris": []string{"com.example.app:/callback"}})
		a := s.authorizationRequest("spa", "", "com.example.app:/callback", "openid")
		got := s.newBrowser().get(a.path("response_mode", "form_post")).response(t, "com.example.app:/callback")
		if got.Get("error") != "invalid_request" || got.Get("state") != a.state {
			t.Errorf("got response %v", got)
		}
	})
}

// TestLongestRequest signs in with parameters of the maximum length, whose characters take much
// room in a form.
func TestLongestRequest(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		for name, character := range map[string]string{"jane": "<", "john": `"`} {
			long := strings.Repeat(character, 2000)
			a, b := s.spa("openid", strings.Repeat("<", 1900)), s.newBrowser()
			a.state = long
			request, err := url.Parse(a.path("nonce", long, "login_hint", long, "ui_locales", long))
			s.Must(err)
			fields := []string{}
			for name, values := range request.Query() {
				fields = append(fields, name, values[0])
			}
			page := b.post("/oauth/authorize", fields...).asksFor(t, "username")
			page = b.submit(page, "username", name).asksFor(t, "one-time-code")
			got := b.submit(page, "code", s.Inbox.Next(t).EventBody.OneTimePassword).response(t, callback)
			if got.Get("state") != long || got.Get("code") == "" {
				t.Errorf("got response %v", got)
			}
		}
	})
}

// TestPushedRequestStaysUsed tests that the form of a pushed request cannot be posted again
// after the database has removed the record of its use.
func TestPushedRequestStaysUsed(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		const target = "https://web.example/callback"
		a, b := s.authorizationRequest("web", kit.ClientSecret, target, "openid"), s.newBrowser()
		form := strings.TrimPrefix(a.path(), "/oauth/authorize?")
		pushed := s.Server.Do("POST", "/oauth/par", kit.FormMedia, form+"&client_secret="+kit.ClientSecret)
		first := b.get("/oauth/authorize?" + kit.EncodeForm("client_id", "web", "request_uri", pushed.Field("request_uri")))
		page := b.submit(first, "username", "jane").asksFor(t, "one-time-code")
		if got := b.submit(page, "code", s.Inbox.Next(t).EventBody.OneTimePassword).response(t, target); got.Get("code") == "" {
			t.Fatalf("first use: %v", got)
		}
		s.Clock.Advance(25 * time.Hour)
		s.exec("DELETE FROM spent_ids WHERE expires_at < (SELECT max(expires_at) FROM spent_ids) + 1")
		again := b.submit(first)
		page = b.submit(again, "username", "jane").asksFor(t, "one-time-code")
		if got := b.submit(page, "code", s.Inbox.Next(t).EventBody.OneTimePassword).response(t, target); got.Get("error") != "invalid_request_uri" {
			t.Errorf("second use: %v", got)
		}
	})
}
