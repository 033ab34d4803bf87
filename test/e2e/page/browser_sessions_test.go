package page

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"latchkey/test/e2e/kit"
)

// TestSession tests that after a sign-in, further requests need no question until one demands
// it.
func TestSession(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		b := s.newBrowser()
		first := s.spa()
		if got := s.newBrowser().get(first.path("prompt", "none")).response(t, callback); got.Get("error") != "login_required" || got.Get("state") != first.state {
			t.Errorf("prompt none without a session: %v", got)
		}
		token, err := first.exchange(b.signIn(first, "jane").Get("code"))
		s.Must(err)
		hint, _ := token.Extra("id_token").(string)

		silent := s.authorizationRequest("web", kit.ClientSecret, "https://web.example/callback", "openid")
		again, err := silent.exchange(b.get(silent.path("prompt", "none")).response(t, "https://web.example/callback").Get("code"))
		s.Must(err)
		if again.RefreshToken != "" {
			t.Error("a client without the refresh grant got a refresh token")
		}
		s.Clock.Advance(time.Minute)
		for what, more := range map[string][]string{
			"none": nil, "max_age in time": {"max_age", "3600"}, "hint": {"id_token_hint", hint}, "acr": {"acr_values", "urn:latchkey:acr:otp"},
		} {
			if got := b.get(s.spa().path(more...)).response(t, callback); got.Get("code") == "" {
				t.Errorf("%s: got %v", what, got)
			}
		}
		for what, more := range map[string][]string{
			"login": {"prompt", "login"}, "max_age 0": {"max_age", "0"}, "max_age over": {"max_age", "30"}, "acr": {"acr_values", "urn:latchkey:acr:pwd"},
		} {
			page := b.get(s.spa().path(more...))
			if page.asksFor(t, "username"); !strings.Contains(what, "login") {
				if got := b.get(s.spa().path(append(more, "prompt", "none")...)).response(t, callback); got.Get("error") != "login_required" {
					t.Errorf("%s with prompt none: %v", what, got)
				}
			}
		}
		if got := b.signIn(s.spa(), "jane", "max_age", "0"); got.Get("code") == "" {
			t.Errorf("sign-in with max_age 0: %v", got)
		}
		resume := b.get(s.spa().path("prompt", "select_account"))
		if !strings.Contains(resume.body, "Continue as jane") || strings.Count(resume.body, "<button") != 2 {
			t.Errorf("select_account: got the page %s", resume.body)
		}
		b.submit(resume, "do", "other").asksFor(t, "username")
		if got := b.submit(resume).response(t, callback); got.Get("code") == "" {
			t.Errorf("go on: %v", got)
		}
	})
}

// TestSessionEnds tests what ends a session.
func TestSessionEnds(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		s.AddUsers("ann", "ben", "cat", "dan")
		admin := s.NewAdmin(s.Server)
		change := func(name, body string) {
			if got := admin.Do(http.MethodPatch, "/v1/buyers/acme/users/"+name, body); got.Status != 200 {
				t.Fatalf("change of %s: got %d %s, want 200", name, got.Status, got.Body)
			}
		}
		ends := map[string]func(){
			"ann": func() { s.Clock.Advance(8*time.Hour + time.Second) },
			"ben": func() { change("ben", `{"Active":false}`) },
			"cat": func() { change("cat", `{"Password":"another-Horse-8-battery"}`) },
			"dan": func() { s.LockOut(s.Server, "dan") },
		}
		for _, name := range []string{"ben", "cat", "dan", "ann"} {
			b := s.newBrowser()
			b.signIn(s.spa(), name)
			if got := b.get(s.spa().path("prompt", "none")).response(t, callback); got.Get("code") == "" {
				t.Fatalf("%s: no session: %v", name, got)
			}
			ends[name]()
			if got := b.get(s.spa().path("prompt", "none")).response(t, callback); got.Get("error") != "login_required" {
				t.Errorf("%s: the session has not ended: %v", name, got)
			}
		}
	})
}

// TestOtherBrowser tests that a code is useless elsewhere: in another browser, or in the
// password grant.
func TestOtherBrowser(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		victim, other := s.newBrowser(), s.newBrowser()
		page := victim.submit(victim.get(s.spa().path()), "username", "jane").asksFor(t, "one-time-code")
		code := s.Inbox.Next(t).EventBody.OneTimePassword
		kit.MustRefuse(t, "the password grant", s.Server.Form("/oauth/token", "grant_type", "password", "client_id", "spa", "username", "jane", "password", code), kit.WrongCredentialsBody)
		other.submit(page, "code", code).asksFor(t, "username")

		// The other browser asks for a code too, but cannot use the victim's.
		other.submit(other.get(s.spa().path()), "username", "john").asksFor(t, "one-time-code")
		s.Inbox.Next(t)
		// A stolen form does not help without the cookie.
		other.submit(page, "code", code).asksFor(t, "username")
		if got := victim.submit(page, "code", strings.ToLower(" "+code+" ")).response(t, callback); got.Get("code") == "" {
			t.Errorf("the browser that asked: %v", got)
		}
	})
}

// TestNoDeadEnds tests what users do to forms: post them twice, late, from two tabs, without
// cookies, from another site.
func TestNoDeadEnds(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		b := s.newBrowser()
		first := b.get(s.spa().path()).asksFor(t, "username")
		second := b.get(s.spa().path()).asksFor(t, "username")
		b.submit(first, "username", "").asksFor(t, "username")
		page := b.submit(first, "username", "jane").asksFor(t, "one-time-code")
		code := s.Inbox.Next(t).EventBody.OneTimePassword
		wrong := b.submit(page, "code", "00000000").asksFor(t, "one-time-code")
		if wrong.alert() == "" || strings.Contains(wrong.body, "00000000") {
			t.Errorf("a wrong code: got the page %s", wrong.body)
		}
		for range 2 { // the second post goes on with the session of the first one
			if got := b.submit(page, "code", code).response(t, callback); got.Get("code") == "" {
				t.Errorf("posted twice: %v", got)
			}
		}
		if got := b.submit(second, "username", "jane").response(t, callback); got.Get("code") == "" {
			t.Errorf("the second tab: %v", got)
		}

		without := s.newBrowser()
		form := without.get(s.spa().path()).asksFor(t, "username")
		without.client.Jar = nil
		without.submit(form, "username", "jane").asksFor(t, "username")

		cross := s.newBrowser()
		form = cross.get(s.spa().path())
		cross.header.Set("Sec-Fetch-Site", "cross-site")
		cross.submit(form, "username", "jane").asksFor(t, "username")
		cross.header.Set("Sec-Fetch-Site", "same-origin")
		s.Clock.Advance(2 * time.Hour)
		fresh := cross.submit(form, "username", "jane").asksFor(t, "username")
		cross.submit(fresh, "username", "jane").asksFor(t, "one-time-code")
		s.Inbox.Next(t)
		if got := cross.submit(form, "username", "jane", "state", "x"); got.status != 400 || !strings.Contains(got.body, "Request id") {
			t.Errorf("a foreign state: %d %s", got.status, got.body)
		}
	})
}

// TestOldFormAsksAgain tests that a form for prompt=login that is too old does not avoid the
// sign-in, even if the user has signed in since it was shown.
func TestOldFormAsksAgain(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		b := s.newBrowser()
		old := b.get(s.spa().path("prompt", "login")).asksFor(t, "username")
		s.Clock.Advance(time.Minute)
		b.signIn(s.spa(), "jane")
		b.submit(old, "username", "jane").response(t, callback) // it is as good as a second tab
		s.Clock.Advance(3 * time.Hour)
		b.submit(old, "username", "jane").asksFor(t, "username")
		b.get("/oauth/signin?state="+old.state(t)).asksFor(t, "username")
	})
}

// sealedValue finds the sealed values, in which pages differ.
var sealedValue = regexp.MustCompile(`value="[A-Za-z0-9_-]{200,}"`)

// TestNamesAreIndistinguishable tests that the pages for known, unknown, disabled and locked names of equal
// length do not differ.
func TestNamesAreIndistinguishable(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		s.AddUsers("lock")
		s.LockOut(s.Server, "lock")
		var pages, refusals []string
		for _, name := range []string{"jane", "gone", "lock", "nobo"} {
			b := s.newBrowser()
			page := b.submit(b.get(s.spa().path()), "username", name).asksFor(t, "one-time-code")
			pages = append(pages, sealedValue.ReplaceAllStringFunc(page.body, func(v string) string { return strings.Repeat("x", len(v)) }))
			wrong := b.submit(page, "code", "12345678").asksFor(t, "one-time-code")
			refusals = append(refusals, sealedValue.ReplaceAllStringFunc(wrong.body, func(v string) string { return strings.Repeat("x", len(v)) }))
		}
		for i := range pages {
			if pages[i] != pages[0] || refusals[i] != refusals[0] {
				t.Errorf("page %d differs:\n%s\n%s\n%s\n%s", i, pages[0], pages[i], refusals[0], refusals[i])
			}
		}
	})
}
