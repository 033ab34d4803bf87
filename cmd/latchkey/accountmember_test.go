package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"latchkey/grants"
)

// grantTests is the grant of a token scoped to one account, and what
// else becomes of such a token.
func grantTests() []mallTest {
	return []mallTest{
		{"golang.org/x/oauth2", memberByLibrary},
		{"one account", oneAccount},
		{"several accounts", severalAccounts},
		{"selection tokens", selectionTokens},
		{"by name", accountByName},
		{"not that account", notThatAccount},
		{"by password", memberByPassword},
		{"another profile", memberOfProfile},
		{"roles", memberRoles},
		{"refresh", memberRefresh},
		{"held tokens", heldTokens},
		{"malformed", malformedMember},
		{"exchange", exchanges},
		{"subject tokens", subjectTokens},
		{"malformed exchange", malformedExchange},
		{"one sign-in", oneSignIn},
	}
}

const (
	refusedHeld = `{"error":"invalid_grant","error_description":"The token is not valid, or not for that account.",` +
		`"Errors":[{"ErrorCode":"Auth.OauthError","Message":"The token is not valid, or not for that account.","Data":null}]}`
	refusedSubject = `{"error":"invalid_request","error_description":"The subject token is not valid.",` +
		`"Errors":[{"ErrorCode":"Auth.OauthError","Message":"The subject token is not valid.","Data":null}]}`
	refusedTarget = `{"error":"invalid_target","error_description":"The account is not one of the user's.",` +
		`"Errors":[{"ErrorCode":"Auth.OauthError","Message":"The account is not one of the user's.","Data":null}]}`
)

// libraryConfig is a client of golang.org/x/oauth2 for the grant.
func (m *mall) libraryConfig(fields ...string) *clientcredentials.Config {
	parameters := url.Values{"grant_type": {grants.GrantAccountMember}}
	for i := 0; i+1 < len(fields); i += 2 {
		parameters.Set(fields[i], fields[i+1])
	}
	return &clientcredentials.Config{
		ClientID: "front", ClientSecret: shopSecret, TokenURL: m.n.url + "/oauth/token",
		AuthStyle: oauth2.AuthStyleInHeader, EndpointParams: parameters,
	}
}

// memberByLibrary goes the whole way with a library that knows nothing of us:
// sign-in, choice, use, refresh, switch.
func memberByLibrary(t *testing.T, m *mall) {
	ctx := context.WithoutCancel(t.Context())
	one, two := m.company("Library one"), m.company("Library two")
	p := m.shopper("reader-of-books", one, two)
	code := m.codeOf(p, "passwordless_authentication")

	_, err := m.libraryConfig("username", p.name, "one_time_password", code).Token(ctx)
	var refusal *oauth2.RetrieveError
	if !errors.As(err, &refusal) || refusal.ErrorCode != "account_selection_required" {
		t.Fatalf("sign-in: %v", err)
	}
	var choice struct {
		SelectionToken string `json:"selection_token"`
		Accounts       []struct {
			ID string `json:"account_id"`
		}
	}
	m.must(json.Unmarshal(refusal.Body, &choice))
	token, err := m.libraryConfig("selection_token", choice.SelectionToken, "account_id", choice.Accounts[1].ID).Token(ctx)
	m.must(err)
	if token.Extra("account_id") != two.ID || token.Extra("account_name") != "Library two" || token.RefreshToken == "" {
		t.Errorf("token of %v, %v", token.Extra("account_id"), token.Extra("account_name"))
	}

	m.clock.advance(time.Minute)
	config := &oauth2.Config{ClientID: "front", ClientSecret: shopSecret, Endpoint: oauth2.Endpoint{TokenURL: m.n.url + "/oauth/token", AuthStyle: oauth2.AuthStyleInParams}}
	next, err := config.TokenSource(ctx, &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
	m.must(err)
	if next.AccessToken == token.AccessToken || next.Extra("account_id") != two.ID {
		t.Errorf("refreshed token is of %v", next.Extra("account_id"))
	}
	switched, err := m.libraryConfig("member_token", next.AccessToken, "account_id", one.ID).Token(ctx)
	m.must(err)
	if switched.Extra("account_id") != one.ID {
		t.Errorf("switched to %v", switched.Extra("account_id"))
	}
	isActive(t, "switched", m.n.introspectAs("front", switched.AccessToken))
	isInactive(t, "seen by another client", m.n.introspectAs("till", switched.AccessToken))
}

// oneAccount: whoever is a member of one account need not name it. The answer
// and the claims are these.
func oneAccount(t *testing.T, m *mall) {
	acme := m.company("Acme")
	p := m.shopper("single", acme)
	before := m.clock.now().Unix()
	got := granted(t, "sign-in", m.n.memberGrant("front", "username", p.name, "one_time_password", m.planted(p)))
	if got.field("account_id") != acme.ID || got.field("account_name") != "Acme" || got.field("refresh_token") == "" {
		t.Errorf("answer %s", got.body)
	}
	header, claims := decoded(t, got.field("access_token"))
	if header["typ"] != "at+jwt" {
		t.Errorf("header %v", header)
	}
	for name, want := range map[string]any{
		"iss": "http://latchkey.test", "aud": "http://latchkey.test", "sub": p.uid, "u": p.uid, "client_id": "front", "cid": "front",
		"account_id": acme.ID, "account_name": "Acme", "account_member_id": p.uid, "usr": p.name, "usrtype": "buyer", "login_id": p.info,
	} {
		if claims[name] != want {
			t.Errorf("claim %s is %v, want %v", name, claims[name], want)
		}
	}
	roles := map[string]any{"account_roles": claims["account_roles"], "role": claims["role"], "scope": claims["scope"], "amr": claims["amr"]}
	both := []any{"Buyer", "Shopper"}
	want := map[string]any{"account_roles": both, "role": both, "scope": "Buyer Shopper", "amr": []any{"otp"}}
	if diff := cmp.Diff(want, roles); diff != "" {
		t.Errorf("claims: %s", diff)
	}
	if at, _ := claims["auth_time"].(float64); at < float64(before) || at > float64(m.clock.now().Unix()) {
		t.Errorf("auth_time %v", claims["auth_time"])
	}
	shown := paperOf(t, "introspection", 200, m.n.introspectAs("front", got.field("access_token")))
	for name, want := range map[string]any{"active": true, "account_id": acme.ID, "account_name": "Acme", "account_member_id": p.uid, "scope": "Buyer Shopper"} {
		if shown.at(name) != want {
			t.Errorf("introspection: %s is %v, want %v", name, shown.at(name), want)
		}
	}
	refused(t, "the code again", m.n.memberGrant("front", "username", p.name, "one_time_password", easyCode), refusedSignIn)
	none := m.shopper("memberless")
	refused(t, "a member of nothing", m.n.memberGrant("front", "username", none.name, "one_time_password", m.planted(none)), refusedSignIn)
	if l := m.login(none.name); !l.Code.UsedAt.IsZero() {
		t.Error("the code of a member of nothing was used up")
	}
}

// selection is the answer to a member of several accounts.
type selection struct {
	Error   string
	Token   string `json:"selection_token"`
	Expires int    `json:"expires_in"`
	Total   int    `json:"accounts_total"`
	List    []struct {
		ID    string   `json:"account_id"`
		Name  string   `json:"account_name"`
		Roles []string `json:"account_roles"`
	} `json:"accounts"`
}

func (m *mall) mustSelect(what string, a answer) (s selection) {
	m.t.Helper()
	if err := json.Unmarshal([]byte(a.body), &s); err != nil || a.status != http.StatusBadRequest || s.Error != "account_selection_required" {
		m.t.Fatalf("%s: %d %s, want a list of accounts", what, a.status, a.body)
	}
	return s
}

// severalAccounts: the code signs in once; the choice needs the selection token
// and nothing else.
func severalAccounts(t *testing.T, m *mall) {
	one, two := m.company("First"), m.company("Second")
	p := m.shopper("several", one)
	m.join(p, two)
	got := m.n.memberGrant("front", "username", p.name, "one_time_password", m.planted(p))
	choice := m.mustSelect("sign-in", got)
	if got.field("access_token") != "" || got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("answer %v %s", got.header, got.body)
	}
	choice2 := choice
	choice2.Token = ""
	want := selection{Error: "account_selection_required", Expires: 300, Total: 2}
	m.must(json.Unmarshal([]byte(fmt.Sprintf(`{"accounts":[{"account_id":%q,"account_name":"First","account_roles":["Buyer","Shopper"]},`+
		`{"account_id":%q,"account_name":"Second","account_roles":[]}]}`, one.ID, two.ID)), &want))
	if diff := cmp.Diff(want, choice2); diff != "" {
		t.Errorf("choice: %s", diff)
	}
	if n := m.one("SELECT count(*) FROM families WHERE login_id = '" + p.info + "'"); n != "0" {
		t.Errorf("%s refresh families before the choice", n)
	}
	refused(t, "the code again", m.n.memberGrant("front", "username", p.name, "one_time_password", easyCode), refusedSignIn)
	chosen := granted(t, "choice", m.n.memberGrant("front", "selection_token", choice.Token, "account_id", two.ID))
	if _, claims := decoded(t, chosen.field("access_token")); claims["account_id"] != two.ID || claims["role"] != nil || fmt.Sprint(claims["amr"]) != "[otp]" {
		t.Errorf("claims %v", claims)
	}
	pairOf(t, "its refresh", m.n.refreshAt("front", chosen.field("refresh_token")))
}

// selectionTokens are their client's, for five minutes, and for accounts of
// their user.
func selectionTokens(t *testing.T, m *mall) {
	one, two, foreign := m.company("Sel one"), m.company("Sel two"), m.company("Sel foreign")
	p := m.shopper("selector", one, two)
	signIn := func() string {
		return m.mustSelect("sign-in", m.n.memberGrant("front", "username", p.name, "one_time_password", m.planted(p))).Token
	}
	token := signIn()
	choose := func(client, token, account string) answer {
		return m.n.memberGrant(client, "selection_token", token, "account_id", account)
	}
	refused(t, "another client", choose("till", token, one.ID), refusedHeld)
	refused(t, "another's account", choose("front", token, foreign.ID), refusedHeld)
	refused(t, "an unknown account", choose("front", token, uuid.NewString()), refusedHeld)
	m.leave(p, two)
	refused(t, "an account left", choose("front", token, two.ID), refusedHeld)
	if got := m.n.memberGrant("front", "selection_token", token); got.field("error") != "invalid_request" {
		t.Errorf("no account: %d %s", got.status, got.body)
	}
	m.clock.advance(5*time.Minute - 5*time.Second)
	granted(t, "shortly before its end", choose("front", token, one.ID))
	m.clock.advance(7 * time.Second)
	refused(t, "after five minutes", choose("front", token, one.ID), refusedHeld)

	m.join(p, two)
	token = signIn()
	m.lock(p)
	refused(t, "locked meanwhile", choose("front", token, one.ID), refusedHeld)
	m.run("user", "unlock", p.name)
	granted(t, "unlocked", choose("front", token, one.ID))
	token = signIn()
	if got := m.n.revokeFor("front", token); got.status != http.StatusOK {
		t.Errorf("revocation: %d %s", got.status, got.body)
	}
	refused(t, "revoked", choose("front", token, one.ID), refusedHeld)
}

func accountByName(t *testing.T, m *mall) {
	one, two := m.company("Named one"), m.company("Named two")
	p := m.shopper("namer", one, two)
	got := granted(t, "sign-in", m.n.memberGrant("front", "username", p.name, "one_time_password", m.planted(p), "account_id", two.ID))
	if got.field("account_id") != two.ID {
		t.Errorf("answer %s", got.body)
	}
	// A reset code signs in here as it does below /v2 (and not at the password grant).
	code := m.codeOf(p, "reset_password")
	refused(t, "password grant", m.n.signInTo("front", p.name, code), refusedSignIn)
	granted(t, "reset code", m.n.memberGrant("front", "username", p.name, "one_time_password", code, "account_id", one.ID))
}

// notThatAccount: nothing tells an account that the user is no member of from
// one that does not exist, or from a wrong code; and the code stays good.
func notThatAccount(t *testing.T, m *mall) {
	own, foreign, left, closed := m.company("Own"), m.company("Theirs"), m.company("Left"), m.company("Shut")
	p := m.shopper("stranger", own, left, closed)
	m.leave(p, left)
	closed.Active = false
	_, err := m.app.store.PutAccount(t.Context(), closed)
	m.must(err)
	code := m.codeOf(p, "passwordless_authentication")
	ask := func(code, account string) answer {
		return m.n.memberGrant("front", "username", p.name, "one_time_password", code, "account_id", account)
	}
	want := ask(wrongCode, own.ID)
	refused(t, "wrong code", want, refusedSignIn)
	for what, id := range map[string]string{
		"another's": foreign.ID, "unknown": uuid.NewString(), "left": left.ID, "closed": closed.ID, "its internal id": own.UID,
		"in capitals": strings.ToUpper(own.ID), "with a space": own.ID + " ", "NUL": "\x00", "by name": own.Name, "wildcard": "%",
	} {
		sameAnswer(t, what, want, ask(code, id))
	}
	if l := m.login(p.name); !l.Code.UsedAt.IsZero() || l.Lockout.Failures != 1 {
		t.Errorf("code used at %v, %d failures; want an unused one and one failure", l.Code.UsedAt, l.Lockout.Failures)
	}
	granted(t, "the right account", ask(code, own.ID))
	refused(t, "the code again", ask(code, own.ID), refusedSignIn)
}
