package page

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

// reload asks for the page again, as a browser does after "reload" and "back".
func (b *browser) reload(p page) page {
	b.t.Helper()
	return b.get("/oauth/signin?state=" + url.QueryEscape(p.state(b.t)))
}

// TestReload tests that reloading a page sends no further code, and gives no consent.
func TestReload(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		b, a := s.newBrowser(), s.spa()
		name := b.reload(b.get(a.path("ui_locales", "de"))).asksFor(t, "username")
		page := b.submit(name, "username", "jane")
		code := s.Inbox.Next(t).EventBody.OneTimePassword
		for range 3 {
			page = b.reload(page).asksFor(t, "one-time-code")
		}
		if !strings.Contains(page.body, `data-seconds="600"`) || !strings.Contains(page.body, `lang="de"`) {
			t.Errorf("reload: got the page %s", page.body)
		}
		other := s.newBrowser()
		other.reload(page).asksFor(t, "username")
		b.submit(page, "code", code).response(t, callback) // another code would have replaced it
		if got := b.reload(page).response(t, callback); got.Get("code") == "" || got.Get("state") != a.state {
			t.Errorf("back after the sign-in: %v", got)
		}

		consent := b.get(s.authorizationRequest("partner", "", "https://partner.example/callback", "openid", "email").path())
		for range 2 {
			if consent = b.reload(consent); !strings.Contains(consent.body, `value="deny"`) {
				t.Fatalf("a reload gave consent: %d %v %s", consent.status, consent.header, consent.body)
			}
		}
		if got := b.get("/oauth/signin?state=x"); got.status != 400 || !strings.Contains(got.body, "Request id") {
			t.Errorf("a foreign state: %d %s", got.status, got.body)
		}
	})
}

// TestReloadIsFresh tests that another user's form cannot make an older sign-in count for a
// request that demands a new one.
func TestReloadIsFresh(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		page := s.newBrowser().get(s.spa().path("prompt", "login"))
		victim := s.newBrowser()
		s.Clock.Advance(time.Second)
		victim.signIn(s.spa(), "jane")
		s.Clock.Advance(time.Second)
		victim.reload(page).asksFor(t, "username")
	})
}
