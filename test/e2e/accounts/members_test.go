package accounts

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"latchkey/storage"
	"latchkey/test/e2e/kit"
)

// memberTests are tests of what account members can do with their tokens.
func memberTests() []storefrontTest {
	return []storefrontTest{
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

// ownWrites are the requests by which a member may change itself if self-management is enabled.
func ownWrites(p kit.Shopper) map[string]func(v kit.Caller) kit.Response {
	return map[string]func(v kit.Caller) kit.Response{
		"name": func(v kit.Caller) kit.Response {
			return v.Try(http.MethodPut, userPath(p), kit.Object{"name": "New Name"})
		},
		"e-mail": func(v kit.Caller) kit.Response {
			return v.Try(http.MethodPut, userPath(p), kit.Object{"email": "new@example.com"})
		},
		"username": func(v kit.Caller) kit.Response {
			return v.Try(http.MethodPut, loginPath(p), kit.Object{"username": p.Username})
		},
		"password": func(v kit.Caller) kit.Response {
			return v.Try(http.MethodPut, loginPath(p), kit.Object{"password": "own-Horse-1"})
		},
	}
}

func selfManagementOff(t *testing.T, m *kit.ElasticPath) {
	acme := m.AddAccount("Off")
	p, other := m.AddShopper("off", acme), m.AddShopper("off-other", acme)
	m.ChangeSettings(kit.Object{"account_member_self_management": "disabled"})
	member := m.Storefront().WithAccountToken(accountTokens(m, p).Text("data", 0, "token"))
	for what, write := range ownWrites(p) {
		kit.MustRefuseV2(t, what, write(member), http.StatusForbidden, "forbidden")
	}
	for what, write := range ownWrites(other) {
		kit.MustRefuseV2(t, "another's "+what, write(member), http.StatusNotFound, "user not found")
	}
	if l := m.Login(p.Username); l.PasswordHash != "" {
		t.Error("a password was set, want none")
	}
}

// selfManagementOn tests that a member changes its own name, email address, username and
// password, and nothing else.
func selfManagementOn(t *testing.T, m *kit.ElasticPath) {
	m.ChangeSettings(kit.Object{"account_member_self_management": "update_only"})
	acme := m.AddAccount("On")
	p := m.AddShopper("on", acme)
	token := m.ResetPasswordTokens(p).Text("data", 0, "token")
	member := m.Storefront().WithAccountToken(token)
	member.Send(t, 200, http.MethodPut, userPath(p), kit.Object{"type": "user_authentication_info", "name": "Onno", "email": "onno@example.com"})
	got := member.Send(t, 200, http.MethodGet, userPath(p), nil)
	if got.Text("data", "name") != "Onno" || got.Text("data", "email") != "onno@example.com" {
		t.Errorf("got %v after the change", got.Value)
	}
	member.Send(t, 200, http.MethodPut, loginPath(p), kit.Object{"id": p.LoginID, "type": "user_authentication_password_profile_info", "username": "onno"})

	// These are the same requests without the account token, or without the access token.
	kit.MustRefuseV2(t, "without account token", m.Storefront().Try(http.MethodGet, userPath(p), nil), http.StatusForbidden, "forbidden")
	bare := m.Server.Do(http.MethodGet, userPath(p), "", "", kit.AccountTokenHeader, token)
	kit.MustRefuseV2(t, "without access token", bare, http.StatusUnauthorized, "")

	// These requests would give a member more than its own data.
	for what, test := range map[string]struct {
		method, path string
		data         kit.Object
		status       int
	}{
		"make a user":            {http.MethodPost, kit.RealmPath + "/user-authentication-info", kit.Object{"name": "X", "email": "x@example.com"}, 403},
		"list users":             {http.MethodGet, kit.RealmPath + "/user-authentication-info", nil, 403},
		"delete itself":          {http.MethodDelete, userPath(p), nil, 403},
		"another login":          {http.MethodPost, userPath(p) + "/user-authentication-password-profile-info", kit.Object{"password_profile_id": "default", "username": "more", "password": "more-Horse-1"}, 403},
		"delete its login":       {http.MethodDelete, loginPath(p), nil, 403},
		"another profile":        {http.MethodPut, loginPath(p), kit.Object{"password_profile_id": "digits"}, 422},
		"join an account":        {http.MethodPost, "/v2/accounts/" + acme.ID + "/account-memberships", kit.Object{"account_member_id": p.UID, "roles": []string{"FullAccess"}}, 403},
		"change its account":     {http.MethodPut, "/v2/accounts/" + acme.ID, kit.Object{"name": "Mine"}, 403},
		"change settings":        {http.MethodPut, kit.SettingsPath, kit.Object{"enable_self_signup": true}, 403},
		"change a profile":       {http.MethodPut, kit.RealmPath + "/password-profiles/default", kit.Object{"name": "X"}, 403},
		"read integrations":      {http.MethodGet, "/v2/integrations", nil, 403},
		"list accounts to join":  {http.MethodGet, "/v2/accounts/" + acme.ID + "/account-memberships/unassigned-account-members", nil, 403},
		"a password like a word": {http.MethodPut, loginPath(p), kit.Object{"password": "short"}, 422},
		"an e-mail that is none": {http.MethodPut, userPath(p), kit.Object{"email": "nonsense"}, 400},
	} {
		kit.MustRefuseV2(t, what, member.Try(test.method, test.path, test.data), test.status, "*")
	}
	// Members that no body has are ignored.
	member.Send(t, 200, http.MethodPut, userPath(p), kit.Object{
		"name": "Onno", "active": true, "kind": "admin", "roles": []string{"FullAccess"}, "account_id": acme.ID, "password": "x",
	})
	if u, err := m.App.Store.UserByUID(t.Context(), p.UID); err != nil || u.Kind != storage.Buyer {
		t.Errorf("got the user %+v, error %v; want a buyer", u, err)
	}
	m.Storefront().Send(t, 201, http.MethodPost, kit.AccountTokensPath, kit.ByCode("default", "onno", addKnownCode(m, kit.Shopper{Username: "onno"})))
}

// memberSees tests that a member can read the account of the token, itself, and its membership.
func memberSees(t *testing.T, m *kit.ElasticPath) {
	one, two := m.AddAccount("Seen one"), m.AddAccount("Seen two")
	p, other := m.AddShopper("seer", one, two), m.AddShopper("unseen", one)
	tokens := accountTokens(m, p)
	if diff := cmp.Diff([]string{"Seen one", "Seen two"}, tokens.Column("account_name")); diff != "" {
		t.Errorf("accounts (-want +got):\n%s", diff)
	}
	member := m.Storefront().WithAccountToken(tokens.Text("data", 1, "token"))
	for path, want := range map[string]string{
		"/v2/accounts":        two.ID,
		"/v2/account-members": p.UID,
		"/v2/accounts/" + two.ID + "/account-memberships": membership(m, p, two),
	} {
		if diff := cmp.Diff([]string{want}, member.Send(t, 200, http.MethodGet, path, nil).Column("id")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	memberships := "/v2/account-members/" + p.UID + "/account-memberships"
	got := member.Send(t, 200, http.MethodGet, memberships+"?include=account", nil)
	if n, _ := got.At("included", "accounts").([]any); len(got.Column("id")) != 2 || len(n) != 2 {
		t.Errorf("own memberships: got %v", got.Value)
	}
	for _, path := range []string{
		"/v2/accounts/" + one.ID, "/v2/accounts/" + one.ID + "/account-memberships",
		"/v2/accounts/" + one.ID + "/account-memberships/" + membership(m, p, one), "/v2/accounts/" + uuid.NewString(),
	} {
		kit.MustRefuseV2(t, path, member.Try(http.MethodGet, path, nil), http.StatusNotFound, "account not found")
	}
	path := "/v2/accounts/" + one.ID + "/account-memberships/" + membership(m, other, one)
	ofOne := m.Storefront().WithAccountToken(tokens.Text("data", 0, "token"))
	kit.MustRefuseV2(t, "a fellow member's membership", ofOne.Try(http.MethodGet, path, nil), http.StatusNotFound, "account membership not found")
}

func membership(m *kit.ElasticPath, p kit.Shopper, a storage.Account) string {
	m.T.Helper()
	found, err := m.App.Store.Membership(m.T.Context(), a.UID, p.UID)
	m.Must(err)
	return found.ID
}

// foreignIDs tests that resources of another member are answered like missing resources, in
// every request.
func foreignIDs(t *testing.T, m *kit.ElasticPath) {
	m.ChangeSettings(kit.Object{"account_member_self_management": "update_only"})
	acme := m.AddAccount("Foreign")
	p, other := m.AddShopper("self", acme), m.AddShopper("other", acme)
	member := m.Storefront().WithAccountToken(accountTokens(m, p).Text("data", 0, "token"))
	nobody := kit.Shopper{UID: "usr_nobody", LoginID: "lgn_nobody", Username: "nobody"}
	for _, foreign := range []kit.Shopper{other, nobody} {
		for _, get := range []string{userPath(foreign), loginPath(foreign), strings.TrimSuffix(loginPath(foreign), "/"+foreign.LoginID)} {
			kit.MustRefuseV2(t, get, member.Try(http.MethodGet, get, nil), http.StatusNotFound, "user not found")
		}
		for what, write := range ownWrites(foreign) {
			kit.MustRefuseV2(t, what+" of "+foreign.UID, write(member), http.StatusNotFound, "user not found")
		}
		for _, path := range []string{"/v2/account-members/" + foreign.UID, "/v2/account-members/" + foreign.UID + "/account-memberships"} {
			kit.MustRefuseV2(t, path, member.Try(http.MethodGet, path, nil), http.StatusNotFound, "account member not found")
		}
		// This is the login of another member below the own ID.
		mixed := kit.Shopper{UID: p.UID, LoginID: foreign.LoginID}
		kit.MustRefuseV2(t, "mixed path", member.Try(http.MethodPut, loginPath(mixed), kit.Object{"password": "own-Horse-1"}), http.StatusNotFound, "password profile info not found")
	}
	if l := m.Login(other.Username); l.PasswordHash != "" || l.Username != other.Username {
		t.Error("another member was changed, want no change")
	}
}

func signup(name string, more kit.Object) kit.Object {
	body := kit.Object{
		"type": "account_management_authentication_token", "authentication_mechanism": "self_signup", "password_profile_id": "default",
		"username": name, "password": "self-Horse-1", "name": "Self " + name, "email": name + "@example.com",
	}
	maps.Copy(body, more)
	return body
}

func selfSignup(t *testing.T, m *kit.ElasticPath) {
	m.ChangeSettings(kit.Object{"enable_self_signup": false, "auto_create_account_for_account_members": false})
	front := m.Storefront()
	kit.MustRefuseV2(t, "switched off", front.AccountTokens(signup("early", nil)), http.StatusForbidden, "self signup is not enabled")
	m.ChangeSettings(kit.Object{"enable_self_signup": true})
	got := front.Send(t, 201, http.MethodPost, kit.AccountTokensPath, signup("fresh", nil))
	uid := got.Text("meta", "account_member_id")
	if uid == "" || len(got.Column("token")) != 0 {
		t.Errorf("got a sign-up as %v", got.Value)
	}
	again := front.Send(t, 201, http.MethodPost, kit.AccountTokensPath, kit.ByPassword("fresh", "self-Horse-1"))
	if again.Text("meta", "account_member_id") != uid {
		t.Errorf("got a sign-in as %v", again.Value)
	}
	for what, test := range map[string]struct {
		body   kit.Object
		status int
	}{
		"username taken":              {signup("fresh", nil), 422},
		"username taken, in capitals": {signup(" FRESH", kit.Object{"email": "else@example.com"}), 422},
		"short password":              {signup("weak", kit.Object{"password": "short"}), 422},
		"no password":                 {signup("weak", kit.Object{"password": nil}), 400},
		"no name":                     {signup("weak", kit.Object{"name": nil}), 400},
		"no e-mail":                   {signup("weak", kit.Object{"email": "x"}), 400},
		"no profile":                  {signup("weak", kit.Object{"password_profile_id": "nonesuch"}), 422},
		"a number as username":        {signup("weak", kit.Object{"username": 7}), 400},
	} {
		kit.MustRefuseV2(t, what, front.AccountTokens(test.body), test.status, "*")
	}
	if n := m.QueryOne("SELECT count(*) FROM users WHERE email LIKE 'weak%'"); n != "0" {
		t.Errorf("got %s users of refused requests, want 0", n)
	}
	if u, err := m.App.Store.UserByUID(t.Context(), uid); err != nil || u.Kind != storage.Buyer || u.AccountUID != "" {
		t.Errorf("got the user %+v, error %v", u, err)
	}
}

// autoCreate tests that, with the setting, each new user has an account with the user's name.
func autoCreate(t *testing.T, m *kit.ElasticPath) {
	m.ChangeSettings(kit.Object{"enable_self_signup": true, "auto_create_account_for_account_members": true})
	got := m.Storefront().Send(t, 201, http.MethodPost, kit.AccountTokensPath, signup("owner", nil))
	if diff := cmp.Diff([]string{"Self owner"}, got.Column("account_name")); diff != "" {
		t.Errorf("accounts (-want +got):\n%s", diff)
	}
	admin := m.Admin()
	account := admin.Send(t, 200, http.MethodGet, "/v2/accounts/"+got.Text("data", 0, "account_id"), nil)
	if account.Text("data", "name") != "Self owner" || account.Text("data", "legal_name") != "Self owner" {
		t.Errorf("got the account %v", account.Value)
	}
	made := admin.Send(t, 201, http.MethodPost, kit.RealmPath+"/user-authentication-info",
		kit.Object{"type": "user_authentication_info", "name": "Made", "email": "made@example.com"})
	mine := admin.Send(t, 200, http.MethodGet, "/v2/account-members/"+made.Text("data", "id")+"/account-memberships", nil)
	if len(mine.Column("id")) != 1 {
		t.Errorf("memberships of a new user: got %v", mine.Value)
	}
	m.ChangeSettings(kit.Object{"enable_self_signup": false, "auto_create_account_for_account_members": false})
}

// switching tests that soon after the sign-in an account token in the header gets tokens for
// all present accounts of the member, with a new lifetime.
func switching(t *testing.T, m *kit.ElasticPath) {
	one, two := m.AddAccount("Switch one"), m.AddAccount("Switch two")
	p := m.AddShopper("switcher", one)
	first := accountTokens(m, p).Text("data", 0, "token")
	m.AddMembership(p, two, "Approver")
	m.Clock.Advance(50 * time.Minute)
	got := m.Storefront().WithAccountToken(first).Send(t, 201, http.MethodPost, kit.AccountTokensPath, kit.ByAccountToken())
	if diff := cmp.Diff([]string{"Switch one", "Switch two"}, got.Column("account_name")); diff != "" {
		t.Errorf("accounts (-want +got):\n%s", diff)
	}
	second := got.Text("data", 1, "token")
	_, before := kit.DecodeJWT(t, first)
	_, after := kit.DecodeJWT(t, second)
	for _, claim := range []string{"sub", "auth_time", "client_id"} {
		if before[claim] != after[claim] {
			t.Errorf("%s: got %[3]v, want %[2]v as before", claim, before[claim], after[claim])
		}
	}
	if fmt.Sprint(after["amr"], after["account_roles"]) != "[otp] [Approver]" || after["scope"] != two.ID || before["exp"] == after["exp"] {
		t.Errorf("got the claims %v", after)
	}
	front := m.Storefront()
	kit.MustRefuseV2(t, "no header", front.AccountTokens(kit.ByAccountToken()), http.StatusBadRequest, "*")
	inBody := kit.ByAccountToken()
	inBody["token"] = first
	kit.MustRefuseV2(t, "in the body", front.AccountTokens(inBody), http.StatusBadRequest, "*")
	kit.MustRefuseV2(t, "in both", front.WithAccountToken(first).AccountTokens(inBody), http.StatusBadRequest, "*")
	kit.MustFailV2(t, "an access token", front.WithAccountToken(front.AccessToken).AccountTokens(kit.ByAccountToken()))
	kit.MustFailV2(t, "nonsense", front.WithAccountToken("nonsense").AccountTokens(kit.ByAccountToken()))
	leave(m, p, two)
	kit.MustFailV2(t, "of an account left", front.WithAccountToken(second).AccountTokens(kit.ByAccountToken()))
	if left := front.WithAccountToken(first).Send(t, 201, http.MethodPost, kit.AccountTokensPath, kit.ByAccountToken()); !slices.Equal(left.Column("account_id"), []string{one.ID}) {
		t.Errorf("got the accounts %v", left.Column("account_id"))
	}
}

func accountTokenLife(t *testing.T, m *kit.ElasticPath) {
	m.ChangeSettings(kit.Object{"account_management_authentication_token_timeout_secs": 3600})
	defer func() { m.ChangeSettings(kit.Object{"account_management_authentication_token_timeout_secs": 86400}) }()
	p := m.AddShopper("brief", m.AddAccount("Brief"))
	got := accountTokens(m, p)
	expires, err := time.Parse(time.RFC3339, got.Text("data", 0, "expires"))
	if left := expires.Sub(m.Clock.Now()); err != nil || left > time.Hour || left < time.Hour-time.Minute {
		t.Errorf("got an expiry in %s, error %v", left, err)
	}
	token := got.Text("data", 0, "token")
	m.Clock.Advance(59 * time.Minute)
	m.Storefront().WithAccountToken(token).Send(t, 200, http.MethodGet, "/v2/accounts", nil)
	m.Clock.Advance(time.Minute + time.Second)
	kit.MustRefuseV2(t, "expired", m.Storefront().WithAccountToken(token).Try(http.MethodGet, "/v2/accounts", nil), http.StatusUnauthorized, "")
	kit.MustFailV2(t, "renewed too late", m.Storefront().WithAccountToken(token).AccountTokens(kit.ByAccountToken()))
}

// pagesOfTokens tests that pages contain all tokens of a member of many accounts, each once.
func pagesOfTokens(t *testing.T, m *kit.ElasticPath) {
	var accounts []storage.Account
	var ids []string
	for i := range 25 {
		a := m.AddAccount(fmt.Sprint("Many ", i))
		accounts, ids = append(accounts, a), append(ids, a.ID)
	}
	p := m.AddShopper("busy", accounts...)
	held := accountTokens(m, p)
	if diff := cmp.Diff(ids, held.Column("account_id")); diff != "" {
		t.Errorf("accounts in order (-want +got):\n%s", diff)
	}
	member := m.Storefront().WithAccountToken(held.Text("data", 7, "token"))
	var all []string
	for offset := 0; offset < 30; offset += 10 {
		page := member.Send(t, 201, http.MethodPost, fmt.Sprintf("%s?page%%5Blimit%%5D=10&page[offset]=%d", kit.AccountTokensPath, offset), kit.ByAccountToken())
		all = append(all, page.Column("account_id")...)
		want := map[string]any{"limit": 10.0, "offset": float64(offset), "current": float64(offset/10 + 1), "total": 3.0}
		if diff := cmp.Diff(any(want), page.At("meta", "page")); diff != "" || page.At("meta", "results", "total") != 25.0 {
			t.Errorf("meta (-want +got):\n%s", diff)
		}
		if last := page.At("links", "next") == nil; last != (offset == 20) {
			t.Errorf("links at %d: got %v", offset, page.At("links"))
		}
	}
	if diff := cmp.Diff(ids, all); diff != "" {
		t.Errorf("accounts of all pages (-want +got):\n%s", diff)
	}
	for _, query := range []string{"page[limit]=101", "page[limit]=0", "page[limit]=-1", "page[limit]=x", "page[offset]=-1", "page[offset]=10001", "page[limit]=5&page[limit]=6"} {
		kit.MustRefuseV2(t, query, member.Try(http.MethodPost, kit.AccountTokensPath+"?"+query, kit.ByAccountToken()), http.StatusBadRequest, "*")
	}
	code := addKnownCode(m, p)
	kit.MustRefuseV2(t, "a code with a bad page", m.Storefront().Try(http.MethodPost, kit.AccountTokensPath+"?page[limit]=101", kit.ByCode("default", p.Username, code)), http.StatusBadRequest, "*")
	m.Storefront().Send(t, 201, http.MethodPost, kit.AccountTokensPath+"?page[offset]=9000", kit.ByCode("default", p.Username, code))
}

// noAccountLeft tests that the token of a deleted or disabled account is refused.
func noAccountLeft(t *testing.T, m *kit.ElasticPath) {
	closed, sold := m.AddAccount("Closed"), m.AddAccount("Sold")
	p := m.AddShopper("leaver", closed, sold)
	tokens := accountTokens(m, p)
	closed.Active = false
	_, err := m.App.Store.PutAccount(t.Context(), closed)
	m.Must(err)
	m.Admin().Send(t, http.StatusNoContent, http.MethodDelete, "/v2/accounts/"+sold.ID, nil)
	for i := range 2 {
		member := m.Storefront().WithAccountToken(tokens.Text("data", i, "token"))
		kit.MustRefuseV2(t, "account token", member.Try(http.MethodGet, "/v2/account-members/"+p.UID, nil), http.StatusUnauthorized, "")
		kit.MustFailV2(t, "renewed", member.AccountTokens(kit.ByAccountToken()))
	}
	if got := accountTokens(m, p); len(got.Column("token")) != 0 {
		t.Errorf("got the tokens %v", got.Column("account_name"))
	}
}
