package main

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"latchkey/storage"
)

// me calls /v1 with an access token.
func (n *node) me(token, method, path, body string) answer {
	return n.do(method, path, "application/json", body, "Authorization", "Bearer "+token)
}

// credentialChanges are all requests below /v1 by which a user could change what
// it signs in with, or is reached by.
func credentialChanges(name string) [][3]string {
	own := "/v1/buyers/acme/users/" + name
	calls := [][3]string{{http.MethodPost, "/v1/me/password", `{"NewPassword":"other-Horse-7-battery"}`}}
	for _, path := range []string{"/v1/me", own} {
		for _, change := range []string{
			`"Email":"thief@example.com"`, `"Email":""`, `"Phone":"+49 1"`, `"Username":"thief"`, `"Password":"other-Horse-7-battery"`,
		} {
			calls = append(calls, [3]string{http.MethodPatch, path, "{" + change + "}"})
		}
		calls = append(calls, [3]string{http.MethodPut, path, `{"ID":"` + name + `","Username":"` + name + `","Active":true,"Email":"thief@example.com"}`})
	}
	return calls
}

// TestCodeChangesNoCredentials: a session that began with a one-time password
// changes neither the password nor where its next codes go, with whatever roles,
// refreshed or not. One that began with the password does.
func TestCodeChangesNoCredentials(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		a := enterArena(w)
		a.apply(`SecurityProfiles: [{ID: selfish, Name: Selfish, Roles: [MeAdmin, PasswordReset, BuyerUserAdmin], Assignments: [{BuyerID: acme}]}]`)
		a.enrol("cc1")
		before := a.login("cc1")
		session := pairOf(t, "code", a.n.signIn("cc1", a.codeThrough(a.n, "shop", "cc1")))
		refreshed := pairOf(t, "refresh", a.n.refresh(session.refresh))
		for what, token := range map[string]string{"fresh": session.access, "refreshed": refreshed.access} {
			for _, call := range credentialChanges("cc1") {
				if got := a.n.me(token, call[0], call[1], call[2]); got.status != http.StatusForbidden {
					t.Errorf("%s: %v: %d %s", what, call, got.status, got.body)
				}
			}
			if got := a.n.me(token, http.MethodPatch, "/v1/me", `{"FirstName":"Jane","Email":"cc1@people.example"}`); got.status != http.StatusOK {
				t.Errorf("%s: a name: %d %s", what, got.status, got.body)
			}
		}
		if after := a.login("cc1"); after.PasswordHash != before.PasswordHash || after.Username != before.Username {
			t.Errorf("login %+v became %+v", before, after)
		}
		if got := a.codeThrough(a.n, "shop", "cc1"); got == "" {
			t.Error("no code came")
		}
		for _, call := range credentialChanges("cc1") {
			a.enrol("cc1")
			token := granted(t, "password", a.n.signIn("cc1", janesPassword)).field("access_token")
			if got := a.n.me(token, call[0], call[1], call[2]); got.status >= 300 {
				t.Errorf("by password: %v: %d %s", call, got.status, got.body)
			}
			a.deleteUser("cc1")
		}
	})
}

// deleteUser deletes a user of company acme.
func (a *arena) deleteUser(id string) {
	a.t.Helper()
	ctx := a.t.Context()
	account, err := a.app.store.Account(ctx, storage.DefaultRealmID, storage.Buyer, "acme")
	a.must(err)
	user, err := a.app.store.User(ctx, storage.DefaultRealmID, storage.Buyer, account.UID, id)
	a.must(err)
	a.must(a.app.store.DeleteUser(ctx, user.UID, 0))
}

// TestSessionThatSetsThePassword: it goes on, with its access and refresh tokens
// and on all servers, and all other sessions of the login end.
func TestSessionThatSetsThePassword(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		a := enterArena(w)
		a.apply(`SecurityProfiles: [{ID: renewing, Name: Renewing, Roles: [MeAdmin, PasswordReset], Assignments: [{BuyerID: acme}]}]`)
		servers := []*node{a.n, a.another()}
		own := a.session("shop", "kp1")
		password := janesPassword
		for i, call := range [][3]string{
			{http.MethodPost, "/v1/me/password", "NewPassword"}, {http.MethodPatch, "/v1/me", "Password"},
		} {
			other := pairOf(t, "other session", a.n.signIn("kp1", password))
			byCode := pairOf(t, "session by code", a.n.signIn("kp1", a.codeThrough(a.n, "shop", "kp1")))
			code := a.codeThrough(a.n, "shop", "kp1")
			a.clock.advance(time.Second)
			password = "changed-Horse-" + strconv.Itoa(i)
			if got := a.n.me(own.access, call[0], call[1], `{"`+call[2]+`":"`+password+`"}`); got.status >= 300 {
				t.Fatalf("%v: %d %s", call, got.status, got.body)
			}
			for _, n := range servers {
				isActive(t, "own access token", n.introspect(own.access))
				isActive(t, "own refresh token", n.introspect(own.refresh))
				for what, p := range map[string]pair{"other": other, "by code": byCode} {
					isInactive(t, what, n.introspect(p.access))
					refused(t, what, n.refresh(p.refresh), refusedRefresh)
				}
				refused(t, "code on its way", n.signIn("kp1", code), refusedSignIn)
			}
			own = pairOf(t, "own refresh", servers[1].refresh(own.refresh))
			a.clock.advance(pastGrace)
		}
		// An administrator's change ends this session as well.
		o := a.operator(a.n)
		if got := o.do(http.MethodPatch, "/v1/buyers/acme/users/kp1", `{"Password":"third-Horse-3-battery"}`); got.status != http.StatusOK {
			t.Fatalf("administrator: %d %s", got.status, got.body)
		}
		isInactive(t, "own access token", a.n.introspect(own.access))
		refused(t, "own refresh token", a.n.refresh(own.refresh), refusedRefresh)
	})
}

// credentialTests are about what account tokens change of their member, and how
// long they live.
func credentialTests() []mallTest {
	return []mallTest{
		{"what a code may change", codeOfEachPurpose},
		{"the password keeps the session", passwordKeepsSession},
		{"absolute end", accountSessionEnds},
		{"own account only", ownAccountOnly},
		{"former address", formerAddressTold},
	}
}

// codeOfEachPurpose: the purpose of the code decides what the member may change,
// and goes with the tokens that are made of the first one.
func codeOfEachPurpose(t *testing.T, m *mall) {
	m.set(jsonObject{"account_member_self_management": "update_only"})
	hash, err := hashOfJane()
	m.must(err)
	acme := m.company("Purposes")
	p := m.shopperWith(hash, "purposeful", acme)
	m.join(p, acme, "MeAdmin")
	front := m.front()
	for _, test := range []struct {
		by     string
		signIn func() paper
		may    bool
	}{
		{"sign-in code", func() paper { return m.accountTokens(p) }, false},
		{"reset code", func() paper { return m.resetTokens(p) }, true},
		{"password", func() paper {
			return front.send(t, 201, http.MethodPost, tokensV2, byPassword(p.name, janesPassword))
		}, true},
	} {
		what := test.by
		first := test.signIn().text("data", 0, "token")
		renewed := front.as(first).send(t, 201, http.MethodPost, tokensV2, byHeld()).text("data", 0, "token")
		twice := front.as(renewed).send(t, 201, http.MethodPost, tokensV2, byHeld()).text("data", 0, "token")
		for i, token := range []string{first, renewed, twice} {
			member, name := front.as(token), fmt.Sprint(what, " ", i)
			for field, got := range map[string]answer{
				"email":    member.try(http.MethodPut, p.userPath(), jsonObject{"email": strings.ReplaceAll(name, " ", "-") + "@example.com"}),
				"username": member.try(http.MethodPut, p.infoPath(), jsonObject{"username": p.name + strconv.Itoa(i)}),
			} {
				if ok := got.status == http.StatusOK; ok != test.may || !ok && got.status != http.StatusForbidden {
					t.Errorf("%s: %s: %d %s", name, field, got.status, got.body)
				}
			}
			member.send(t, 200, http.MethodPut, p.userPath(), jsonObject{"name": "New name"})
			if test.may {
				member.send(t, 200, http.MethodPut, p.infoPath(), jsonObject{"username": p.name})
			}
		}
		m.clock.advance(15 * time.Minute) // or the user has tried too many names
		// The same by an access token that was made of it.
		access := granted(t, what, m.n.memberGrant("front", "member_token", twice)).field("access_token")
		access = granted(t, what, m.n.exchange("front", access)).field("access_token")
		if got := m.n.me(access, http.MethodPatch, "/v1/me", `{"Password":"other-Horse-7-battery"}`); (got.status == http.StatusOK) != test.may {
			t.Errorf("%s: by an access token: %d %s", what, got.status, got.body)
		}
		got := front.as(twice).try(http.MethodPut, p.infoPath(), jsonObject{"password": janesPassword})
		if ok := got.status == http.StatusOK; ok != test.may || !ok && got.status != http.StatusForbidden {
			t.Errorf("%s: password: %d %s", what, got.status, got.body)
		}
	}
	// A refresh family remembers the purpose as well.
	m.plant(p.name, easyCode, func(c *storage.Code) { c.Purpose = storage.PurposeResetPassword })
	session := pairOf(t, "reset code", m.n.memberGrant("front", "username", p.name, "one_time_password", easyCode))
	session = pairOf(t, "refresh", m.n.refreshAt("front", session.refresh))
	if got := m.n.me(session.access, http.MethodPatch, "/v1/me", `{"Password":"other-Horse-7-battery"}`); got.status != http.StatusOK {
		t.Errorf("refreshed session of a reset code: %d %s", got.status, got.body)
	}
}

// passwordKeepsSession: the tokens that the same sign-in gave for other accounts,
// and what was made of them, go on as well.
func passwordKeepsSession(t *testing.T, m *mall) {
	m.set(jsonObject{"account_member_self_management": "update_only"})
	p := m.shopper("keeper", m.company("Kept one"), m.company("Kept two"))
	before := m.accountTokens(p)
	own := m.resetTokens(p)
	front := m.front()
	renewed := front.as(own.text("data", 1, "token")).send(t, 201, http.MethodPost, tokensV2, byHeld())
	access := granted(t, "held", m.n.memberGrant("front", "member_token", own.text("data", 0, "token"))).field("access_token")
	m.clock.advance(time.Second)
	front.as(own.text("data", 0, "token")).send(t, 200, http.MethodPut, p.infoPath(), jsonObject{"password": "kept-Horse-1"})
	for _, n := range []*node{m.n, m.another()} {
		for i, token := range append(own.column("token"), renewed.column("token")...) {
			if got := m.frontAt(n).as(token).try(http.MethodGet, p.userPath(), nil); got.status != http.StatusOK {
				t.Errorf("token %d of the session: %d %s", i, got.status, got.body)
			}
		}
		isActive(t, "access token of the session", n.introspectAs("front", access))
		for i, token := range before.column("token") {
			refusedV2(t, fmt.Sprint("older token ", i), m.frontAt(n).as(token).try(http.MethodGet, p.userPath(), nil), http.StatusUnauthorized, "")
		}
	}
	again := front.as(own.text("data", 1, "token")).send(t, 201, http.MethodPost, tokensV2, byHeld())
	front.as(again.text("data", 0, "token")).send(t, 200, http.MethodPut, p.infoPath(), jsonObject{"password": "kept-Horse-2"})
}

// accountSessionEnds: renewing ends when a refresh token of the sign-in would
// have ended, and no token lives longer.
func accountSessionEnds(t *testing.T, m *mall) {
	p := m.shopper("endless", m.company("Endless"))
	began := m.clock.now()
	token := m.accountTokens(p).text("data", 0, "token")
	end := began.Add(48 * time.Hour) // RefreshTokenDuration of client front
	var expires time.Time
	for range 4 {
		got := m.front().as(token).send(t, 201, http.MethodPost, tokensV2, byHeld())
		token = got.text("data", 0, "token")
		var err error
		if expires, err = time.Parse(time.RFC3339, got.text("data", 0, "expires")); err != nil || expires.After(end.Add(2*time.Second)) {
			t.Fatalf("expires at %v, %v; the session ends at %v", expires, err, end)
		}
		access := granted(t, "held", m.n.memberGrant("front", "member_token", token)).field("access_token")
		if _, claims := decoded(t, access); claims["exp"].(float64) > float64(end.Unix()+2) {
			t.Errorf("access token until %v", claims["exp"])
		}
		m.clock.advance(expires.Sub(m.clock.now()) - time.Minute)
	}
	if left := end.Sub(expires); left.Abs() > 2*time.Second {
		t.Errorf("the last token ends %v before the session", left)
	}
	m.front().as(token).send(t, 200, http.MethodGet, "/v2/accounts", nil)
	m.clock.advance(2 * time.Minute)
	failedV2(t, "after the end", m.front().as(token).tokens(byHeld()))
	refused(t, "after the end", m.n.memberGrant("front", "member_token", token), refusedHeld)
}

// ownAccountOnly: an hour after the sign-in the token of an account gives tokens
// for that account only.
func ownAccountOnly(t *testing.T, m *mall) {
	one, two := m.company("Own one"), m.company("Own two")
	p := m.shopper("owner-of-two", one, two)
	token := m.accountTokens(p).text("data", 1, "token")
	granted(t, "soon", m.n.memberGrant("front", "member_token", token, "account_id", one.ID))
	m.clock.advance(time.Hour + time.Second)
	front := m.front()
	for range 2 {
		got := front.as(token).send(t, 201, http.MethodPost, tokensV2, byHeld())
		if ids := got.column("account_id"); len(ids) != 1 || ids[0] != two.ID || got.at("meta", "results", "total") != 1.0 {
			t.Errorf("tokens for %v: %v", ids, got.value)
		}
		token = got.text("data", 0, "token")
	}
	if got := front.as(token).send(t, 201, http.MethodPost, tokensV2+"?page[offset]=1", byHeld()); len(got.column("token")) != 0 {
		t.Errorf("behind the first page: %v", got.value)
	}
	refused(t, "another account", m.n.memberGrant("front", "member_token", token, "account_id", one.ID), refusedHeld)
	granted(t, "the own account", m.n.memberGrant("front", "member_token", token, "account_id", two.ID))
}
