package page

import (
	"strings"
	"testing"
	"time"

	"latchkey/test/e2e/kit"
)

// TestLanguages tests that pages use the language of the request or the browser. The language
// of the user counts only after the sign-in, because it would show which users exist.
func TestLanguages(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		s.AddUsersTo("acme", func(user kit.Object) { user["Locale"] = "de-DE" }, "hans")
		speaks := func(what string, p page, language string) page {
			t.Helper()
			if p.header.Get("Content-Language") != language || !strings.Contains(p.body, `<html lang="`+language+`">`) {
				t.Errorf("%s: not %s: %v %.200s", what, language, p.header, p.body)
			}
			return p
		}
		b := s.newBrowser()
		a := s.authorizationRequest("partner", "", "https://partner.example/callback", "openid")
		page := speaks("name", b.get(a.path()), "en")
		page = speaks("code", b.submit(page, "username", "hans"), "en")
		page = speaks("consent", b.submit(page, "code", s.Inbox.Next(t).EventBody.OneTimePassword), "de")
		if !strings.Contains(page.body, "wissen, wer Sie sind") {
			t.Errorf("consent: got the page %s", page.body)
		}
		german := s.newBrowser()
		page = speaks("ui_locales", german.get(s.spa().path("ui_locales", "fr de")), "de")
		page = speaks("code in German", german.submit(page, "username", "jane"), "de")
		if got := german.submit(page, "code", "wrong").alert(); got != "Der Code ist falsch oder abgelaufen." {
			t.Errorf("got alert %q, want \"Der Code ist falsch oder abgelaufen.\"", got)
		}
	})
}

// TestLifeOfCode tests that the page has the lifetime of the code as text.
func TestLifeOfCode(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		b := s.newBrowser()
		page := b.submit(b.get(s.spa().path()), "username", "jane").asksFor(t, "one-time-code")
		if !strings.Contains(page.body, `data-seconds="600">10</span> min`) || !strings.Contains(page.body, `inputmode="text"`) {
			t.Errorf("a fresh code: got the page %s", page.body)
		}
		s.Clock.Advance(3 * time.Minute)
		page = b.submit(page, "code", "wrong").asksFor(t, "one-time-code")
		if !strings.Contains(page.body, `data-seconds="420">7</span> min`) {
			t.Errorf("after three minutes: got the page %s", page.body)
		}
		s.Clock.Advance(7 * time.Minute)
		page = b.submit(page, "code", "wrong").asksFor(t, "one-time-code")
		if strings.Contains(page.body, "data-seconds") || !strings.Contains(page.body, "has expired. Send another") {
			t.Errorf("after ten minutes: got the page %s", page.body)
		}
		page = b.submit(page, "do", "again").asksFor(t, "one-time-code")
		if !strings.Contains(page.body, `data-seconds="600"`) || !strings.Contains(page.body, `role="status"`) {
			t.Errorf("another code: got the page %s", page.body)
		}
	})
}
