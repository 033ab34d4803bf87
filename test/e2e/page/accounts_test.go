package page

import (
	"net/http"
	"strings"
	"testing"

	"latchkey/test/e2e/kit"
)

// TestAccounts tests that a user who belongs to several accounts can choose one, and that the
// session keeps the choice.
func TestAccounts(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		s.Apply(`
Buyers:
  - {ID: second, Name: Second Ltd, Active: true}
`)
		s.addSecond()
		b, a := s.newBrowser(), s.spa("openid")
		page := b.submit(b.get(a.path()), "username", "jane").asksFor(t, "one-time-code")
		page = b.submit(page, "code", s.Inbox.Next(t).EventBody.OneTimePassword)
		if page.status != 200 || strings.Count(page.body, `name="account"`) != 2 {
			t.Fatalf("no choice of accounts: %d %v %s", page.status, page.header, page.body)
		}
		if got := b.get(s.spa().path("prompt", "none")).response(t, callback); got.Get("error") != "account_selection_required" {
			t.Errorf("prompt none: %v", got)
		}
		for _, wrong := range []string{"", "closed", "nowhere"} {
			if got := b.submit(page, "account", wrong); got.status != 200 || strings.Count(got.body, `name="account"`) != 2 {
				t.Errorf("account %q: got %d %s", wrong, got.status, got.body)
			}
		}
		token, err := a.exchange(b.submit(page, "account", "second").response(t, callback).Get("code"))
		s.Must(err)
		if id, _ := token.Extra("account_id").(string); id != "second" || token.Extra("scope") != "openid Approver" {
			t.Errorf("got the account %q, scope %v", id, token.Extra("scope"))
		}
		again := s.spa("openid")
		token, err = again.exchange(b.get(again.path("prompt", "none")).response(t, callback).Get("code"))
		s.Must(err)
		if token.Extra("account_id") != "second" {
			t.Errorf("silent sign-in: got the account %v", token.Extra("account_id"))
		}
		refreshed := s.Server.Form("/oauth/token", "grant_type", "refresh_token", "refresh_token", token.RefreshToken, "client_id", "spa")
		if refreshed.Field("account_id") != "second" || refreshed.Field("scope") != "openid Approver" {
			t.Errorf("refreshed: got %s", refreshed.Body)
		}
		s.exec(`DELETE FROM memberships WHERE id = 'm-second'`)
		gone := s.spa("openid")
		token, err = gone.exchange(b.get(gone.path("prompt", "none")).response(t, callback).Get("code"))
		s.Must(err)
		if token.Extra("account_id") != nil {
			t.Errorf("got a token for account %v, of which the user is no longer a member", token.Extra("account_id"))
		}
		s.addSecond()
		own := s.spa("openid")
		chooser := b.submit(b.get(own.path("prompt", "select_account")))
		token, err = own.exchange(b.submit(chooser, "account", "acme").response(t, callback).Get("code"))
		s.Must(err)
		if token.Extra("account_id") != nil || token.Extra("scope") != "openid MeAdmin Shopper" {
			t.Errorf("own company: got account %v, scope %v", token.Extra("account_id"), token.Extra("scope"))
		}
	})
}

// addSecond makes jane a member of a second account.
func (s *site) addSecond() {
	s.t.Helper()
	s.exec(`INSERT INTO memberships (account_uid, user_uid, roles, version, created_at, updated_at, id)
		SELECT a.uid, u.uid, 'Approver', 1, 1, 1, 'm-second' FROM accounts a, users u WHERE a.id = 'second' AND u.id = 'jane'`)
}

func (s *site) exec(sql string) {
	s.t.Helper()
	_, err := s.DB.Exec(sql)
	s.Must(err)
}

// TestFormPost tests response_mode=form_post. The button works without JavaScript.
func TestFormPost(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		b, a := s.newBrowser(), s.spa("openid")
		page := b.submit(b.get(a.path("response_mode", "form_post")), "username", "jane").asksFor(t, "one-time-code")
		got := b.submit(page, "code", s.Inbox.Next(t).EventBody.OneTimePassword)
		for _, part := range []string{`action="` + callback + `"`, `name="code" value="lka_`, `name="state" value="` + a.state, `name="iss"`, "<button"} {
			if got.status != 200 || !strings.Contains(got.body, part) {
				t.Errorf("%q is missing: %d %s", part, got.status, got.body)
			}
		}
		if policy := got.header.Get("Content-Security-Policy"); strings.Contains(policy, "unsafe") || !strings.Contains(policy, "form-action 'self' https://app.example;") {
			t.Errorf("got policy %q", policy)
		}
	})
}

// TestUserinfoNeedsOpenID tests that userinfo refuses a token without the scope openid.
func TestUserinfoNeedsOpenID(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		a, b := s.spa("Shopper"), s.newBrowser()
		token, err := a.exchange(b.signIn(a, "jane").Get("code"))
		s.Must(err)
		if token.Extra("id_token") != nil || token.Extra("scope") != "Shopper" {
			t.Errorf("got ID token %v, scope %v", token.Extra("id_token"), token.Extra("scope"))
		}
		for what, want := range map[string]int{token.AccessToken: 403, "x": 401, s.Server.SignIn("john", kit.Password).Field("access_token"): 403} {
			if got := s.Server.Do(http.MethodGet, "/oauth/userinfo", "", "", "Authorization", "Bearer "+what); got.Status != want {
				t.Errorf("userinfo: got %d %s, want %d", got.Status, got.Body, want)
			}
		}
		if got := s.Server.Do(http.MethodGet, "/oauth/userinfo", "", ""); got.Status != 401 || got.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("without a token: got %d, want 401", got.Status)
		}
	})
}

// TestHeaders tests the headers that every answer of the pages has.
func TestHeaders(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		b := s.newBrowser()
		first := b.get(s.spa().path())
		for what, got := range map[string]page{
			"name": first, "error": b.get("/oauth/authorize"), "code": b.submit(first, "username", "nobody"),
			"redirect": b.get(s.spa().path("prompt", "none")), "form": b.get("/oauth/signin"),
		} {
			policy := got.header.Get("Content-Security-Policy")
			if got.header.Get("Cache-Control") != "no-store" || got.header.Get("Referrer-Policy") != "no-referrer" ||
				!strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") {
				t.Errorf("%s: got %v", what, got.header)
			}
		}
		cookies := first.header.Values("Set-Cookie")
		if len(cookies) == 0 {
			t.Error("got no cookie, want one")
		}
		for _, cookie := range cookies {
			if !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Lax") || !strings.Contains(cookie, "Path=/;") {
				t.Errorf("got cookie %q", cookie)
			}
		}
	})
}
