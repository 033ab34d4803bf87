package main

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"latchkey/grants"
	"latchkey/storage"
)

// memberTests is what account members can do with their tokens.
func memberTests() []mallTest {
	return []mallTest{
		{"self management off", selfManagementOff},
		{"self management on", selfManagementOn},
		{"what a member sees", memberSees},
		{"another member's", foreignIDs},
		{"self signup", selfSignup},
		{"an account for everybody", autoCreate},
		{"switching", switching},
		{"life of a token", accountTokenLife},
		{"pages of tokens", pagesOfTokens},
		{"no account left", noAccountLeft},
	}
}

// ownWrites are what a member may do to itself where self management is on.
func ownWrites(p shopper) map[string]func(v visitor) answer {
	return map[string]func(v visitor) answer{
		"name": func(v visitor) answer { return v.try(http.MethodPut, p.userPath(), jsonObject{"name": "New Name"}) },
		"e-mail": func(v visitor) answer {
			return v.try(http.MethodPut, p.userPath(), jsonObject{"email": "new@example.com"})
		},
		"username": func(v visitor) answer { return v.try(http.MethodPut, p.infoPath(), jsonObject{"username": p.name}) },
		"password": func(v visitor) answer {
			return v.try(http.MethodPut, p.infoPath(), jsonObject{"password": "own-Horse-1"})
		},
	}
}

func selfManagementOff(t *testing.T, m *mall) {
	acme := m.company("Off")
	p, other := m.shopper("off", acme), m.shopper("off-other", acme)
	m.set(jsonObject{"account_member_self_management": "disabled"})
	member := m.front().as(m.accountTokens(p).text("data", 0, "token"))
	for what, write := range ownWrites(p) {
		refusedV2(t, what, write(member), http.StatusForbidden, "forbidden")
	}
	for what, write := range ownWrites(other) {
		refusedV2(t, "another's "+what, write(member), http.StatusNotFound, "user not found")
	}
	if l := m.login(p.name); l.PasswordHash != "" {
		t.Error("a password was set")
	}
}

// selfManagementOn: a member changes its own name, e-mail, username and
// password, and nothing else.
func selfManagementOn(t *testing.T, m *mall) {
	m.set(jsonObject{"account_member_self_management": "update_only"})
	acme := m.company("On")
	p := m.shopper("on", acme)
	token := m.resetTokens(p).text("data", 0, "token")
	member := m.front().as(token)
	member.send(t, 200, http.MethodPut, p.userPath(), jsonObject{"type": "user_authentication_info", "name": "Onno", "email": "onno@example.com"})
	got := member.send(t, 200, http.MethodGet, p.userPath(), nil)
	if got.text("data", "name") != "Onno" || got.text("data", "email") != "onno@example.com" {
		t.Errorf("changed to %v", got.value)
	}
	member.send(t, 200, http.MethodPut, p.infoPath(), jsonObject{"id": p.info, "type": "user_authentication_password_profile_info", "username": "onno"})

	// The same requests without the account token, or without the access token.
	refusedV2(t, "without account token", m.front().try(http.MethodGet, p.userPath(), nil), http.StatusForbidden, "forbidden")
	bare := m.n.do(http.MethodGet, p.userPath(), "", "", accountHeader, token)
	refusedV2(t, "without access token", bare, http.StatusUnauthorized, "")

	// What would give a member more than itself.
	for what, test := range map[string]struct {
		method, path string
		data         jsonObject
		status       int
	}{
		"make a user":            {http.MethodPost, realmV2 + "/user-authentication-info", jsonObject{"name": "X", "email": "x@example.com"}, 403},
		"list users":             {http.MethodGet, realmV2 + "/user-authentication-info", nil, 403},
		"delete itself":          {http.MethodDelete, p.userPath(), nil, 403},
		"another login":          {http.MethodPost, p.userPath() + "/user-authentication-password-profile-info", jsonObject{"password_profile_id": "default", "username": "more", "password": "more-Horse-1"}, 403},
		"delete its login":       {http.MethodDelete, p.infoPath(), nil, 403},
		"another profile":        {http.MethodPut, p.infoPath(), jsonObject{"password_profile_id": "digits"}, 422},
		"join an account":        {http.MethodPost, "/v2/accounts/" + acme.ID + "/account-memberships", jsonObject{"account_member_id": p.uid, "roles": []string{"FullAccess"}}, 403},
		"change its account":     {http.MethodPut, "/v2/accounts/" + acme.ID, jsonObject{"name": "Mine"}, 403},
		"change settings":        {http.MethodPut, settingsV2, jsonObject{"enable_self_signup": true}, 403},
		"change a profile":       {http.MethodPut, realmV2 + "/password-profiles/default", jsonObject{"name": "X"}, 403},
		"read integrations":      {http.MethodGet, "/v2/integrations", nil, 403},
		"list accounts to join":  {http.MethodGet, "/v2/accounts/" + acme.ID + "/account-memberships/unassigned-account-members", nil, 403},
		"a password like a word": {http.MethodPut, p.infoPath(), jsonObject{"password": "short"}, 422},
		"an e-mail that is none": {http.MethodPut, p.userPath(), jsonObject{"email": "nonsense"}, 400},
	} {
		refusedV2(t, what, member.try(test.method, test.path, test.data), test.status, "*")
	}
	// Members that no body has are not looked at, and give nothing.
	member.send(t, 200, http.MethodPut, p.userPath(), jsonObject{
		"name": "Onno", "active": true, "kind": "admin", "roles": []string{"FullAccess"}, "account_id": acme.ID, "password": "x",
	})
	if u, err := m.app.store.UserByUID(t.Context(), p.uid); err != nil || u.Kind != storage.Buyer {
		t.Errorf("became %+v, %v", u, err)
	}
	m.front().send(t, 201, http.MethodPost, tokensV2, byCode("default", "onno", m.planted(shopper{name: "onno"})))
}

// memberSees: the account of the token, itself, and its membership.
func memberSees(t *testing.T, m *mall) {
	one, two := m.company("Seen one"), m.company("Seen two")
	p, other := m.shopper("seer", one, two), m.shopper("unseen", one)
	tokens := m.accountTokens(p)
	if diff := cmp.Diff([]string{"Seen one", "Seen two"}, tokens.column("account_name")); diff != "" {
		t.Errorf("accounts: %s", diff)
	}
	member := m.front().as(tokens.text("data", 1, "token"))
	for path, want := range map[string]string{
		"/v2/accounts":        two.ID,
		"/v2/account-members": p.uid,
		"/v2/accounts/" + two.ID + "/account-memberships": m.membership(p, two),
	} {
		if diff := cmp.Diff([]string{want}, member.send(t, 200, http.MethodGet, path, nil).column("id")); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
	memberships := "/v2/account-members/" + p.uid + "/account-memberships"
	got := member.send(t, 200, http.MethodGet, memberships+"?include=account", nil)
	if n, _ := got.at("included", "accounts").([]any); len(got.column("id")) != 2 || len(n) != 2 {
		t.Errorf("own memberships: %v", got.value)
	}
	for _, path := range []string{
		"/v2/accounts/" + one.ID, "/v2/accounts/" + one.ID + "/account-memberships",
		"/v2/accounts/" + one.ID + "/account-memberships/" + m.membership(p, one), "/v2/accounts/" + uuid.NewString(),
	} {
		refusedV2(t, path, member.try(http.MethodGet, path, nil), http.StatusNotFound, "account not found")
	}
	path := "/v2/accounts/" + one.ID + "/account-memberships/" + m.membership(other, one)
	ofOne := m.front().as(tokens.text("data", 0, "token"))
	refusedV2(t, "a fellow member's membership", ofOne.try(http.MethodGet, path, nil), http.StatusNotFound, "account membership not found")
}

func (m *mall) membership(p shopper, a storage.Account) string {
	m.t.Helper()
	found, err := m.app.store.Membership(m.t.Context(), a.UID, p.uid)
	m.must(err)
	return found.ID
}

// foreignIDs: another member's resources are as absent as those of nobody,
// whatever is asked of them.
func foreignIDs(t *testing.T, m *mall) {
	m.set(jsonObject{"account_member_self_management": "update_only"})
	acme := m.company("Foreign")
	p, other := m.shopper("self", acme), m.shopper("other", acme)
	member := m.front().as(m.accountTokens(p).text("data", 0, "token"))
	nobody := shopper{uid: "usr_nobody", info: "lgn_nobody", name: "nobody"}
	for _, foreign := range []shopper{other, nobody} {
		for _, get := range []string{foreign.userPath(), foreign.infoPath(), strings.TrimSuffix(foreign.infoPath(), "/"+foreign.info)} {
			refusedV2(t, get, member.try(http.MethodGet, get, nil), http.StatusNotFound, "user not found")
		}
		for what, write := range ownWrites(foreign) {
			refusedV2(t, what+" of "+foreign.uid, write(member), http.StatusNotFound, "user not found")
		}
		for _, path := range []string{"/v2/account-members/" + foreign.uid, "/v2/account-members/" + foreign.uid + "/account-memberships"} {
			refusedV2(t, path, member.try(http.MethodGet, path, nil), http.StatusNotFound, "account member not found")
		}
		// Another's login below the member's own id.
		mixed := shopper{uid: p.uid, info: foreign.info}
		refusedV2(t, "mixed path", member.try(http.MethodPut, mixed.infoPath(), jsonObject{"password": "own-Horse-1"}), http.StatusNotFound, "password profile info not found")
	}
	if l := m.login(other.name); l.PasswordHash != "" || l.Username != other.name {
		t.Error("another member was changed")
	}
}

func signup(name string, more jsonObject) jsonObject {
	body := jsonObject{
		"type": "account_management_authentication_token", "authentication_mechanism": "self_signup", "password_profile_id": "default",
		"username": name, "password": "self-Horse-1", "name": "Self " + name, "email": name + "@example.com",
	}
	maps.Copy(body, more)
	return body
}

func selfSignup(t *testing.T, m *mall) {
	m.set(jsonObject{"enable_self_signup": false, "auto_create_account_for_account_members": false})
	front := m.front()
	refusedV2(t, "switched off", front.tokens(signup("early", nil)), http.StatusForbidden, "self signup is not enabled")
	m.set(jsonObject{"enable_self_signup": true})
	got := front.send(t, 201, http.MethodPost, tokensV2, signup("fresh", nil))
	uid := got.text("meta", "account_member_id")
	if uid == "" || len(got.column("token")) != 0 {
		t.Errorf("signed up as %v", got.value)
	}
	again := front.send(t, 201, http.MethodPost, tokensV2, byPassword("fresh", "self-Horse-1"))
	if again.text("meta", "account_member_id") != uid {
		t.Errorf("signed in as %v", again.value)
	}
	for what, test := range map[string]struct {
		body   jsonObject
		status int
	}{
		"username taken":              {signup("fresh", nil), 422},
		"username taken, in capitals": {signup(" FRESH", jsonObject{"email": "else@example.com"}), 422},
		"short password":              {signup("weak", jsonObject{"password": "short"}), 422},
		"no password":                 {signup("weak", jsonObject{"password": nil}), 400},
		"no name":                     {signup("weak", jsonObject{"name": nil}), 400},
		"no e-mail":                   {signup("weak", jsonObject{"email": "x"}), 400},
		"no profile":                  {signup("weak", jsonObject{"password_profile_id": "nonesuch"}), 422},
		"a number as username":        {signup("weak", jsonObject{"username": 7}), 400},
	} {
		refusedV2(t, what, front.tokens(test.body), test.status, "*")
	}
	if n := m.one("SELECT count(*) FROM users WHERE email LIKE 'weak%'"); n != "0" {
		t.Errorf("%s users were made by requests that were refused", n)
	}
	if u, err := m.app.store.UserByUID(t.Context(), uid); err != nil || u.Kind != storage.Buyer || u.AccountUID != "" {
		t.Errorf("signed up as %+v, %v", u, err)
	}
}

// autoCreate: with the setting, whoever is made or signs up has an account of
// its own, with its name.
func autoCreate(t *testing.T, m *mall) {
	m.set(jsonObject{"enable_self_signup": true, "auto_create_account_for_account_members": true})
	got := m.front().send(t, 201, http.MethodPost, tokensV2, signup("owner", nil))
	if diff := cmp.Diff([]string{"Self owner"}, got.column("account_name")); diff != "" {
		t.Errorf("accounts: %s", diff)
	}
	admin := m.admin()
	account := admin.send(t, 200, http.MethodGet, "/v2/accounts/"+got.text("data", 0, "account_id"), nil)
	if account.text("data", "name") != "Self owner" || account.text("data", "legal_name") != "Self owner" {
		t.Errorf("account %v", account.value)
	}
	made := admin.send(t, 201, http.MethodPost, realmV2+"/user-authentication-info",
		jsonObject{"type": "user_authentication_info", "name": "Made", "email": "made@example.com"})
	mine := admin.send(t, 200, http.MethodGet, "/v2/account-members/"+made.text("data", "id")+"/account-memberships", nil)
	if len(mine.column("id")) != 1 {
		t.Errorf("memberships of a user who was made: %v", mine.value)
	}
	m.set(jsonObject{"enable_self_signup": false, "auto_create_account_for_account_members": false})
}

// switching: soon after the sign-in a held token gives tokens for every account
// the member has now, by the header and nothing else, for a new life.
func switching(t *testing.T, m *mall) {
	one, two := m.company("Switch one"), m.company("Switch two")
	p := m.shopper("switcher", one)
	first := m.accountTokens(p).text("data", 0, "token")
	m.join(p, two, "Approver")
	m.clock.advance(50 * time.Minute)
	got := m.front().as(first).send(t, 201, http.MethodPost, tokensV2, byHeld())
	if diff := cmp.Diff([]string{"Switch one", "Switch two"}, got.column("account_name")); diff != "" {
		t.Errorf("accounts: %s", diff)
	}
	second := got.text("data", 1, "token")
	_, before := decoded(t, first)
	_, after := decoded(t, second)
	for _, claim := range []string{"sub", "auth_time", "client_id"} {
		if before[claim] != after[claim] {
			t.Errorf("%s was %v and is %v", claim, before[claim], after[claim])
		}
	}
	if fmt.Sprint(after["amr"], after["account_roles"]) != "[otp] [Approver]" || after["scope"] != two.ID || before["exp"] == after["exp"] {
		t.Errorf("claims %v", after)
	}
	front := m.front()
	refusedV2(t, "no header", front.tokens(byHeld()), http.StatusBadRequest, "*")
	inBody := byHeld()
	inBody["token"] = first
	refusedV2(t, "in the body", front.tokens(inBody), http.StatusBadRequest, "*")
	refusedV2(t, "in both", front.as(first).tokens(inBody), http.StatusBadRequest, "*")
	failedV2(t, "an access token", front.as(front.bearer).tokens(byHeld()))
	failedV2(t, "nonsense", front.as("nonsense").tokens(byHeld()))
	m.leave(p, two)
	failedV2(t, "of an account left", front.as(second).tokens(byHeld()))
	if left := front.as(first).send(t, 201, http.MethodPost, tokensV2, byHeld()); !slices.Equal(left.column("account_id"), []string{one.ID}) {
		t.Errorf("accounts %v", left.column("account_id"))
	}
}

func accountTokenLife(t *testing.T, m *mall) {
	m.set(jsonObject{"account_management_authentication_token_timeout_secs": 3600})
	defer func() { m.set(jsonObject{"account_management_authentication_token_timeout_secs": 86400}) }()
	p := m.shopper("brief", m.company("Brief"))
	got := m.accountTokens(p)
	expires, err := time.Parse(time.RFC3339, got.text("data", 0, "expires"))
	if left := expires.Sub(m.clock.now()); err != nil || left > time.Hour || left < time.Hour-time.Minute {
		t.Errorf("expires in %s, %v", left, err)
	}
	token := got.text("data", 0, "token")
	m.clock.advance(59 * time.Minute)
	m.front().as(token).send(t, 200, http.MethodGet, "/v2/accounts", nil)
	m.clock.advance(time.Minute + time.Second)
	refusedV2(t, "expired", m.front().as(token).try(http.MethodGet, "/v2/accounts", nil), http.StatusUnauthorized, "")
	failedV2(t, "renewed too late", m.front().as(token).tokens(byHeld()))
}

// pagesOfTokens: all tokens of a member of many accounts, each once.
func pagesOfTokens(t *testing.T, m *mall) {
	var accounts []storage.Account
	var ids []string
	for i := range 25 {
		a := m.company(fmt.Sprint("Many ", i))
		accounts, ids = append(accounts, a), append(ids, a.ID)
	}
	p := m.shopper("busy", accounts...)
	held := m.accountTokens(p)
	if diff := cmp.Diff(ids, held.column("account_id")); diff != "" {
		t.Errorf("accounts in order: %s", diff)
	}
	member := m.front().as(held.text("data", 7, "token"))
	var all []string
	for offset := 0; offset < 30; offset += 10 {
		page := member.send(t, 201, http.MethodPost, fmt.Sprintf("%s?page%%5Blimit%%5D=10&page[offset]=%d", tokensV2, offset), byHeld())
		all = append(all, page.column("account_id")...)
		want := map[string]any{"limit": 10.0, "offset": float64(offset), "current": float64(offset/10 + 1), "total": 3.0}
		if diff := cmp.Diff(any(want), page.at("meta", "page")); diff != "" || page.at("meta", "results", "total") != 25.0 {
			t.Errorf("meta: %s", diff)
		}
		if last := page.at("links", "next") == nil; last != (offset == 20) {
			t.Errorf("links at %d: %v", offset, page.at("links"))
		}
	}
	if diff := cmp.Diff(ids, all); diff != "" {
		t.Errorf("accounts of all pages: %s", diff)
	}
	for _, query := range []string{"page[limit]=101", "page[limit]=0", "page[limit]=-1", "page[limit]=x", "page[offset]=-1", "page[offset]=10001", "page[limit]=5&page[limit]=6"} {
		refusedV2(t, query, member.try(http.MethodPost, tokensV2+"?"+query, byHeld()), http.StatusBadRequest, "*")
	}
	code := m.planted(p)
	refusedV2(t, "a code with a bad page", m.front().try(http.MethodPost, tokensV2+"?page[limit]=101", byCode("default", p.name, code)), http.StatusBadRequest, "*")
	m.front().send(t, 201, http.MethodPost, tokensV2+"?page[offset]=9000", byCode("default", p.name, code))
}

// noAccountLeft: the token of an account that was deleted or switched off is no
// good any more.
func noAccountLeft(t *testing.T, m *mall) {
	closed, sold := m.company("Closed"), m.company("Sold")
	p := m.shopper("leaver", closed, sold)
	tokens := m.accountTokens(p)
	closed.Active = false
	_, err := m.app.store.PutAccount(t.Context(), closed)
	m.must(err)
	m.admin().send(t, http.StatusNoContent, http.MethodDelete, "/v2/accounts/"+sold.ID, nil)
	for i := range 2 {
		member := m.front().as(tokens.text("data", i, "token"))
		refusedV2(t, "account token", member.try(http.MethodGet, "/v2/account-members/"+p.uid, nil), http.StatusUnauthorized, "")
		failedV2(t, "renewed", member.tokens(byHeld()))
	}
	if got := m.accountTokens(p); len(got.column("token")) != 0 {
		t.Errorf("tokens %v", got.column("account_name"))
	}
}

// TestElasticPathBudget: the tokens of 25 accounts cost five round trips at
// most, and the sign-in settles once.
func TestElasticPathBudget(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]func(*testing.T) string{
		"sqlite":   func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "latchkey.db") },
		"postgres": func(t *testing.T) string { return postgres(t).Database(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testTokenBudget(t, url(t))
		})
	}
}

func testTokenBudget(t *testing.T, databaseURL string) {
	var seen statements
	s := newStage(t, databaseURL, 1, seen.add)
	s.shop = s.client(newClient{name: "front", grants: []string{grants.GrantImplicit}}) // whose codes are planted
	for i := range 24 {                                                                 // and the one that everybody is in
		id := fmt.Sprint("account", i)
		_, err := s.app.store.PutAccount(t.Context(), storage.Account{UID: "acc_" + id, RealmID: storage.DefaultRealmID, Kind: storage.Buyer, ID: id, Name: id, Active: true})
		s.must(err)
		_, err = s.app.store.PutMembership(t.Context(), storage.Membership{AccountUID: "acc_" + id, UserUID: s.logins[0].UserUID})
		s.must(err)
	}
	server := httptest.NewServer(s.listen())
	defer server.Close()
	n := &node{t: t, url: server.URL}
	implicit := paperOf(t, "implicit token", 200, n.form("/oauth/access_token", "grant_type", "implicit", "client_id", s.shop.ID))
	// What is kept in memory is kept from the moment on that the listener hears.
	awaitThat(t, "a client is remembered", func() bool {
		n.form("/oauth/access_token", "grant_type", "implicit", "client_id", s.shop.ID)
		seen.take()
		n.form("/oauth/access_token", "grant_type", "implicit", "client_id", s.shop.ID)
		return len(seen.take()) == 0
	})
	most := 5
	if strings.HasPrefix(databaseURL, "sqlite:") {
		most++ // that of the source's row, which is no trip there
	}
	v := visitor{n: n, bearer: implicit.text("access_token")}
	signIn := func(status int, code string) (verbs []string, got paper) {
		s.plant(s.logins)
		seen.take()
		got = v.send(t, status, http.MethodPost, tokensV2, byCode(storage.DefaultProfileID, s.logins[0].Username, code))
		return seen.take(), got
	}
	verbs, got := signIn(201, plantedCode) // what is kept in memory is read
	for range 3 {                          // a late notice of a change makes the server read that again
		if verbs, got = signIn(201, plantedCode); trips(verbs) <= most {
			break
		}
	}
	if n := len(got.column("token")); n != 25 {
		t.Fatalf("%d tokens, want 25", n)
	}
	if trips(verbs) > most || commits(verbs) != 1 {
		t.Errorf("statements %v: %d trips, want at most %d, and %d commits, want 1", verbs, trips(verbs), most, commits(verbs))
	}
	if verbs, _ := signIn(400, wrongCode); trips(verbs) > most || commits(verbs) != 1 {
		t.Errorf("wrong code: statements %v", verbs)
	}
	v.member = got.text("data", 3, "token")
	seen.take()
	v.send(t, 201, http.MethodPost, tokensV2, byHeld())
	if verbs := seen.take(); len(verbs) > 5 || commits(verbs) != 0 {
		t.Errorf("held token: statements %v", verbs)
	}
}

// trips counts the statements, without those that only begin and end others.
func trips(verbs []string) (n int) {
	for _, verb := range verbs {
		if verb != "BEGIN" && verb != "COMMIT" {
			n++
		}
	}
	return n
}
