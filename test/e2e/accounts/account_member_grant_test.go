package accounts

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
	"latchkey/test/e2e/kit"
)

// grantTests are tests of the grant of a token for one account, and of how such a token is
// used.
func grantTests() []storefrontTest {
	return []storefrontTest{
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
	refusedMemberToken = `{"error":"invalid_grant","error_description":"The token is not valid, or not for that account.",` +
		`"Errors":[{"ErrorCode":"Auth.OauthError","Message":"The token is not valid, or not for that account.","Data":null}]}`
	refusedSubject = `{"error":"invalid_request","error_description":"The subject token is not valid.",` +
		`"Errors":[{"ErrorCode":"Auth.OauthError","Message":"The subject token is not valid.","Data":null}]}`
	refusedTarget = `{"error":"invalid_target","error_description":"The account is not one of the user's.",` +
		`"Errors":[{"ErrorCode":"Auth.OauthError","Message":"The account is not one of the user's.","Data":null}]}`
)

// libraryConfig is a client of golang.org/x/oauth2 for the grant.
func libraryConfig(m *kit.ElasticPath, fields ...string) *clientcredentials.Config {
	parameters := url.Values{"grant_type": {grants.GrantAccountMember}}
	for i := 0; i+1 < len(fields); i += 2 {
		parameters.Set(fields[i], fields[i+1])
	}
	return &clientcredentials.Config{
		ClientID: "front", ClientSecret: kit.ClientSecret, TokenURL: m.Server.URL + "/oauth/token",
		AuthStyle: oauth2.AuthStyleInHeader, EndpointParams: parameters,
	}
}

// memberByLibrary uses a library that does not know this server for all steps: sign-in, choice
// of an account, refresh and switch to another account.
func memberByLibrary(t *testing.T, m *kit.ElasticPath) {
	ctx := context.WithoutCancel(t.Context())
	one, two := m.AddAccount("Library one"), m.AddAccount("Library two")
	p := m.AddShopper("reader-of-books", one, two)
	code := m.DeliveredCode(p, "passwordless_authentication")

	_, err := libraryConfig(m, "username", p.Username, "one_time_password", code).Token(ctx)
	var refusal *oauth2.RetrieveError
	if !errors.As(err, &refusal) || refusal.ErrorCode != "account_selection_required" {
		t.Fatalf("sign-in: got %v, want account_selection_required", err)
	}
	var choice struct {
		SelectionToken string `json:"selection_token"`
		Accounts       []struct {
			ID string `json:"account_id"`
		}
	}
	m.Must(json.Unmarshal(refusal.Body, &choice))
	token, err := libraryConfig(m, "selection_token", choice.SelectionToken, "account_id", choice.Accounts[1].ID).Token(ctx)
	m.Must(err)
	if token.Extra("account_id") != two.ID || token.Extra("account_name") != "Library two" || token.RefreshToken == "" {
		t.Errorf("got a token of %v, %v", token.Extra("account_id"), token.Extra("account_name"))
	}

	m.Clock.Advance(time.Minute)
	config := &oauth2.Config{ClientID: "front", ClientSecret: kit.ClientSecret, Endpoint: oauth2.Endpoint{TokenURL: m.Server.URL + "/oauth/token", AuthStyle: oauth2.AuthStyleInParams}}
	next, err := config.TokenSource(ctx, &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
	m.Must(err)
	if next.AccessToken == token.AccessToken || next.Extra("account_id") != two.ID {
		t.Errorf("got a refreshed token of %v", next.Extra("account_id"))
	}
	switched, err := libraryConfig(m, "member_token", next.AccessToken, "account_id", one.ID).Token(ctx)
	m.Must(err)
	if switched.Extra("account_id") != one.ID {
		t.Errorf("got a token of %v after the switch", switched.Extra("account_id"))
	}
	kit.MustBeActive(t, "switched", m.Server.IntrospectThrough("front", switched.AccessToken))
	kit.MustBeInactive(t, "seen by another client", m.Server.IntrospectThrough("till", switched.AccessToken))
}

// oneAccount tests that a member of one account does not have to name it, and checks the answer
// and the claims.
func oneAccount(t *testing.T, m *kit.ElasticPath) {
	acme := m.AddAccount("Acme")
	p := m.AddShopper("single", acme)
	before := m.Clock.Now().Unix()
	got := kit.MustIssue(t, "sign-in", m.Server.MemberGrant("front", "username", p.Username, "one_time_password", addKnownCode(m, p)))
	if got.Field("account_id") != acme.ID || got.Field("account_name") != "Acme" || got.Field("refresh_token") == "" {
		t.Errorf("got the answer %s", got.Body)
	}
	header, claims := kit.DecodeJWT(t, got.Field("access_token"))
	if header["typ"] != "at+jwt" {
		t.Errorf("got the header %v", header)
	}
	for name, want := range map[string]any{
		"iss": "http://latchkey.test", "aud": "http://latchkey.test", "sub": p.UID, "u": p.UID, "client_id": "front", "cid": "front",
		"account_id": acme.ID, "account_name": "Acme", "account_member_id": p.UID, "usr": p.Username, "usrtype": "buyer", "login_id": p.LoginID,
	} {
		if claims[name] != want {
			t.Errorf("got claim %s %v, want %v", name, claims[name], want)
		}
	}
	roles := map[string]any{"account_roles": claims["account_roles"], "role": claims["role"], "scope": claims["scope"], "amr": claims["amr"]}
	both := []any{"Buyer", "Shopper"}
	want := map[string]any{"account_roles": both, "role": both, "scope": "Buyer Shopper", "amr": []any{"otp"}}
	if diff := cmp.Diff(want, roles); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	if at, _ := claims["auth_time"].(float64); at < float64(before) || at > float64(m.Clock.Now().Unix()) {
		t.Errorf("got auth_time %v", claims["auth_time"])
	}
	shown := kit.MustJSON(t, "introspection", 200, m.Server.IntrospectThrough("front", got.Field("access_token")))
	for name, want := range map[string]any{"active": true, "account_id": acme.ID, "account_name": "Acme", "account_member_id": p.UID, "scope": "Buyer Shopper"} {
		if shown.At(name) != want {
			t.Errorf("introspection: %s: got %v, want %v", name, shown.At(name), want)
		}
	}
	kit.MustRefuse(t, "the code again", m.Server.MemberGrant("front", "username", p.Username, "one_time_password", kit.KnownCode), kit.WrongCredentialsBody)
	none := m.AddShopper("memberless")
	kit.MustRefuse(t, "a member of nothing", m.Server.MemberGrant("front", "username", none.Username, "one_time_password", addKnownCode(m, none)), kit.WrongCredentialsBody)
	if l := m.Login(none.Username); !l.Code.UsedAt.IsZero() {
		t.Error("the code of a user without memberships was used, want it unused")
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

func mustSelect(m *kit.ElasticPath, what string, a kit.Response) (s selection) {
	m.T.Helper()
	if err := json.Unmarshal([]byte(a.Body), &s); err != nil || a.Status != http.StatusBadRequest || s.Error != "account_selection_required" {
		m.T.Fatalf("%s: got %d %s, want a list of accounts", what, a.Status, a.Body)
	}
	return s
}

// severalAccounts tests that the code signs in once, and that the choice of an account needs
// only the selection token.
func severalAccounts(t *testing.T, m *kit.ElasticPath) {
	one, two := m.AddAccount("First"), m.AddAccount("Second")
	p := m.AddShopper("several", one)
	m.AddMembership(p, two)
	got := m.Server.MemberGrant("front", "username", p.Username, "one_time_password", addKnownCode(m, p))
	choice := mustSelect(m, "sign-in", got)
	if got.Field("access_token") != "" || got.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("got the answer %v %s", got.Header, got.Body)
	}
	choice2 := choice
	choice2.Token = ""
	want := selection{Error: "account_selection_required", Expires: 300, Total: 2}
	m.Must(json.Unmarshal([]byte(fmt.Sprintf(`{"accounts":[{"account_id":%q,"account_name":"First","account_roles":["Buyer","Shopper"]},`+
		`{"account_id":%q,"account_name":"Second","account_roles":[]}]}`, one.ID, two.ID)), &want))
	if diff := cmp.Diff(want, choice2); diff != "" {
		t.Errorf("choice (-want +got):\n%s", diff)
	}
	if n := m.QueryOne("SELECT count(*) FROM families WHERE login_id = '" + p.LoginID + "'"); n != "0" {
		t.Errorf("got %s refresh families before the choice, want 0", n)
	}
	kit.MustRefuse(t, "the code again", m.Server.MemberGrant("front", "username", p.Username, "one_time_password", kit.KnownCode), kit.WrongCredentialsBody)
	chosen := kit.MustIssue(t, "choice", m.Server.MemberGrant("front", "selection_token", choice.Token, "account_id", two.ID))
	if _, claims := kit.DecodeJWT(t, chosen.Field("access_token")); claims["account_id"] != two.ID || claims["role"] != nil || fmt.Sprint(claims["amr"]) != "[otp]" {
		t.Errorf("got the claims %v", claims)
	}
	kit.TokenPairOf(t, "its refresh", m.Server.RefreshThrough("front", chosen.Field("refresh_token")))
}

// selectionTokens tests that a selection token is valid for its client, for five minutes, and
// for accounts of its user.
func selectionTokens(t *testing.T, m *kit.ElasticPath) {
	one, two, foreign := m.AddAccount("Sel one"), m.AddAccount("Sel two"), m.AddAccount("Sel foreign")
	p := m.AddShopper("selector", one, two)
	signIn := func() string {
		return mustSelect(m, "sign-in", m.Server.MemberGrant("front", "username", p.Username, "one_time_password", addKnownCode(m, p))).Token
	}
	token := signIn()
	choose := func(client, token, account string) kit.Response {
		return m.Server.MemberGrant(client, "selection_token", token, "account_id", account)
	}
	kit.MustRefuse(t, "another client", choose("till", token, one.ID), refusedMemberToken)
	kit.MustRefuse(t, "another's account", choose("front", token, foreign.ID), refusedMemberToken)
	kit.MustRefuse(t, "an unknown account", choose("front", token, uuid.NewString()), refusedMemberToken)
	leave(m, p, two)
	kit.MustRefuse(t, "an account left", choose("front", token, two.ID), refusedMemberToken)
	if got := m.Server.MemberGrant("front", "selection_token", token); got.Field("error") != "invalid_request" {
		t.Errorf("no account: got %d %s", got.Status, got.Body)
	}
	m.Clock.Advance(5*time.Minute - 5*time.Second)
	kit.MustIssue(t, "shortly before its end", choose("front", token, one.ID))
	m.Clock.Advance(7 * time.Second)
	kit.MustRefuse(t, "after five minutes", choose("front", token, one.ID), refusedMemberToken)

	m.AddMembership(p, two)
	token = signIn()
	lock(m, p)
	kit.MustRefuse(t, "locked meanwhile", choose("front", token, one.ID), refusedMemberToken)
	m.Run("user", "unlock", p.Username)
	kit.MustIssue(t, "unlocked", choose("front", token, one.ID))
	token = signIn()
	if got := m.Server.RevokeThrough("front", token); got.Status != http.StatusOK {
		t.Errorf("revocation: got %d %s, want 200", got.Status, got.Body)
	}
	kit.MustRefuse(t, "revoked", choose("front", token, one.ID), refusedMemberToken)
}

func accountByName(t *testing.T, m *kit.ElasticPath) {
	one, two := m.AddAccount("Named one"), m.AddAccount("Named two")
	p := m.AddShopper("namer", one, two)
	got := kit.MustIssue(t, "sign-in", m.Server.MemberGrant("front", "username", p.Username, "one_time_password", addKnownCode(m, p), "account_id", two.ID))
	if got.Field("account_id") != two.ID {
		t.Errorf("got the answer %s", got.Body)
	}
	// A code to reset the password signs in here as it does below /v2, but not at the password
	// grant.
	code := m.DeliveredCode(p, "reset_password")
	kit.MustRefuse(t, "password grant", m.Server.SignInThrough("front", p.Username, code), kit.WrongCredentialsBody)
	kit.MustIssue(t, "reset code", m.Server.MemberGrant("front", "username", p.Username, "one_time_password", code, "account_id", one.ID))
}

// notThatAccount tests that the answer is the same for an account of which the user is not a
// member, for an unknown account and for a wrong code. The code stays valid.
func notThatAccount(t *testing.T, m *kit.ElasticPath) {
	own, foreign, left, closed := m.AddAccount("Own"), m.AddAccount("Theirs"), m.AddAccount("Left"), m.AddAccount("Shut")
	p := m.AddShopper("stranger", own, left, closed)
	leave(m, p, left)
	closed.Active = false
	_, err := m.App.Store.PutAccount(t.Context(), closed)
	m.Must(err)
	code := m.DeliveredCode(p, "passwordless_authentication")
	ask := func(code, account string) kit.Response {
		return m.Server.MemberGrant("front", "username", p.Username, "one_time_password", code, "account_id", account)
	}
	want := ask(kit.WrongCode, own.ID)
	kit.MustRefuse(t, "wrong code", want, kit.WrongCredentialsBody)
	for what, id := range map[string]string{
		"another's": foreign.ID, "unknown": uuid.NewString(), "left": left.ID, "closed": closed.ID, "its internal id": own.UID,
		"in capitals": strings.ToUpper(own.ID), "with a space": own.ID + " ", "NUL": "\x00", "by name": own.Name, "wildcard": "%",
	} {
		sameAnswer(t, what, want, ask(code, id))
	}
	if l := m.Login(p.Username); !l.Code.UsedAt.IsZero() || l.Lockout.Failures != 1 {
		t.Errorf("code used at %v, %d failures; want an unused one and one failure", l.Code.UsedAt, l.Lockout.Failures)
	}
	kit.MustIssue(t, "the right account", ask(code, own.ID))
	kit.MustRefuse(t, "the code again", ask(code, own.ID), kit.WrongCredentialsBody)
}
