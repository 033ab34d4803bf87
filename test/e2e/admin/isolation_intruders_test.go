package admin

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"latchkey/test/e2e/kit"
)

const accountTokenHeader = "EP-Account-Management-Authentication-Token"

// outsider is a caller who must not reach the data of company alpha.
type outsider struct {
	name, token string
	header      []string

	stranger bool     // the token is valid for no operation, so every answer is 401
	may      []string // operations for such callers, which must not reveal data of alpha
	skips    []string // operations that are not tried
}

// outsiders returns all callers that try.
func (e *twoCompanies) outsiders(t *testing.T) []outsider {
	t.Helper()
	front := e.SendForm(e.First, "/oauth/access_token", "grant_type", "implicit", "client_id", "front").AccessToken(t)
	refresh, selection, account := e.wrongTokens(t, front)
	shops := storefrontOperations()
	users := func(name, username string) outsider {
		return outsider{name: name, token: e.actor(t, name, username), may: shops, skips: ownOperations()}
	}
	return []outsider{
		{name: "nobody", stranger: true},
		{name: "nonsense", token: "nonsense", stranger: true},
		{name: "a refresh token", token: refresh, stranger: true},
		{name: "a selection token", token: selection, stranger: true},
		{name: "an account token", token: account, stranger: true},
		{name: "an account token in both places", token: account, header: []string{accountTokenHeader, account}, stranger: true},
		users("a buyer's user with every role", "bob"), users("a buyer's user with FullAccess", "bella"), users("a supplier's user with FullAccess", "bea"),
		users("an administrator without roles", "zoe"), users("a colleague without roles", mark+"-alan"),
		{name: "a storefront", token: front, may: shops},
		{
			name: "a member of another account", token: front, header: []string{accountTokenHeader, account},
			may: append(memberOperations(), shops...),
		},
		{
			name: "an administrator for a member of another account", token: e.AdminToken, header: []string{accountTokenHeader, account},
			may: append(memberOperations(), e.withoutMembers()...),
		},
	}
}

// withoutMembers returns the operations that ignore the account token of a request, because
// they are for administrators.
func (e *twoCompanies) withoutMembers() (ids []string) {
	members := []string{
		"Accounts.List", "Accounts.Get", "AccountMembers.List", "AccountMembers.Get", "AccountMembers.ListMemberships", "AccountMemberships.List", "AccountMemberships.Get",
		"UserAuthenticationInfo.Get", "UserAuthenticationInfo.Update", "UserAuthenticationPasswordProfileInfo.List",
		"UserAuthenticationPasswordProfileInfo.Get", "UserAuthenticationPasswordProfileInfo.Update",
		"AccountTags.List", "UserAuthenticationOIDCProfileInfo.List",
	}
	for _, o := range e.operations {
		if !slices.Contains(members, o.id) {
			ids = append(ids, o.id)
		}
	}
	return ids
}

// actor returns an access token of a user. A client that acts as the user gets it with its own
// credentials, so that no hash is computed.
func (e *twoCompanies) actor(t *testing.T, name, username string) string {
	t.Helper()
	e.Do(t, 201, "POST", "/v1/apiclients", map[string]any{
		"ID": "as-" + username, "AppName": name, "ClientSecret": kit.ClientSecret, "DefaultContextUserName": username,
		"AllowAnyBuyer": true, "AllowAnySupplier": true, "AllowSeller": true,
	})
	token := e.acting(t, username)
	if got := e.DoAs(t, token, 200, "GET", "/v1/me", nil); got.Field("Username") != username {
		t.Fatalf("got %s %s", name, got.Body)
	}
	return token
}

// acting returns an access token of the actor with that name.
func (e *twoCompanies) acting(t *testing.T, username string, roles ...string) string {
	t.Helper()
	return e.SendForm(e.First, "/oauth/token", "grant_type", "client_credentials", "client_id", "as-"+username, "client_secret", kit.ClientSecret,
		"scope", strings.Join(roles, " ")).AccessToken(t)
}

// wrongTokens returns genuine tokens of bob that are not access tokens: a refresh token, a
// selection token and an account token.
func (e *twoCompanies) wrongTokens(t *testing.T, front string) (refresh, selection, account string) {
	t.Helper()
	e.Do(t, 200, "PATCH", "/v1/buyers/bravo/users/bob", `{"Password":"`+kit.TedPassword+`"}`)
	refresh = e.SignIn(e.First, "front", "bob", kit.TedPassword).Field("refresh_token")
	bob := at(t, e.Do(t, 200, "GET", "/v2/accounts/bravo/account-memberships", nil), "data", "0", "relationships", "account_member", "data", "id")
	if other := at(t, e.Do(t, 200, "GET", "/v2/account-members?filter=eq(email,bob@example.com)", nil), "data", "0", "id"); other != nil {
		bob = other
	}
	got := e.DoAs(t, front, 201, "POST", "/v2/account-members/tokens", map[string]any{"data": map[string]any{
		"type": "account_management_authentication_token", "authentication_mechanism": "password",
		"password_profile_id": "default", "username": "bob", "password": kit.TedPassword,
	}})
	account, _ = at(t, got, "data", "0", "token").(string)
	e.Do(t, 201, "POST", "/v2/accounts/depot/account-memberships", map[string]any{"data": map[string]any{"type": "account_membership", "account_member_id": bob}})
	chosen := e.SendForm(e.First, "/oauth/token", "grant_type", "urn:latchkey:params:oauth:grant-type:account-member",
		"client_id", "front", "username", "bob", "password", kit.TedPassword)
	selection = chosen.Field("selection_token")
	if refresh == "" || account == "" || selection == "" {
		t.Fatalf("got the tokens %q %q %q: %s %s", refresh, account, selection, got.Body, chosen.Body)
	}
	return refresh, selection, account
}

// tryEverything tries every operation on the data of alpha.
func (e *twoCompanies) tryEverything(t *testing.T, i outsider) {
	for _, o := range e.operations {
		if o.open || slices.Contains(i.skips, o.id) {
			continue
		}
		if i.token == e.AdminToken && slices.Contains(i.may, o.id) && !slices.Contains(memberOperations(), o.id) {
			continue // the operation is about the administrator itself
		}
		var body any
		if o.method != http.MethodGet && o.method != http.MethodDelete {
			body = `{"ID":"evil","Name":"evil","Username":"evil","data":{"name":"evil"}}`
		}
		got := e.Send(e.First, i.token, o.method, o.path, body, i.header...)
		what := fmt.Sprintf("%s %s (%s)", o.method, o.path, o.id)
		switch {
		case i.stranger || got.Status == http.StatusUnauthorized:
			if got.Status != http.StatusUnauthorized || !strings.HasPrefix(got.Header.Get("WWW-Authenticate"), `Bearer realm="latchkey"`) {
				t.Errorf("%s: got %d with the challenge %q %s, want 401", what, got.Status, got.Header.Get("WWW-Authenticate"), got.Body)
			}
		case slices.Contains(i.may, o.id) && got.Status < http.StatusInternalServerError:
		case got.Status != http.StatusForbidden && got.Status != http.StatusNotFound:
			t.Errorf("%s: got %d %s", what, got.Status, got.Body)
		}
		if strings.Contains(strings.ToLower(got.Body), mark) {
			t.Errorf("%s: got data of alpha in %s, want none", what, got.Body)
		}
	}
}

// everyRole tests that an administrator with every role except those of an operation is
// refused, and that each of those roles is enough to read.
func (e *twoCompanies) everyRole(t *testing.T) {
	all, tokens := e.documentedRoles(t), map[string]string{}
	token := func(roles ...string) string {
		key := strings.Join(roles, " ")
		if tokens[key] == "" {
			tokens[key] = e.acting(t, "max", roles...)
		}
		return tokens[key]
	}
	guarded := 0
	for _, o := range e.operations {
		if len(o.roles) == 0 {
			continue
		}
		guarded++
		others := slices.DeleteFunc(slices.Clone(all), func(role string) bool { return slices.Contains(o.roles, role) })
		got := e.Send(e.First, token(others...), o.method, o.path, nil)
		if got.Status != http.StatusForbidden || strings.Contains(strings.ToLower(got.Body), mark) {
			t.Errorf("%s %s without %v: got %d %s, want 403", o.method, o.path, o.roles, got.Status, got.Body)
		}
		for _, role := range o.roles {
			if o.method == http.MethodGet {
				e.DoAs(t, token(role), http.StatusOK, o.method, o.path, nil)
			}
		}
	}
	if guarded < 100 {
		t.Errorf("got only %d operations that need a role", guarded)
	}
}
