package accounts

import (
	"fmt"
	"net/http"
	"testing"

	"latchkey/storage"
	"latchkey/test/e2e/kit"
)

// TestAttacksOnAccountTokens tests users who have more roles in one account than in another, or
// a token with fewer roles than the account. The user tries to combine them. Each attempt must
// be refused.
func TestAttacksOnAccountTokens(t *testing.T) {
	kit.EachElasticPath(t, func(t *testing.T, m *kit.ElasticPath) {
		each(m, t, []storefrontTest{
			{"roles in an account are none in the own company", rolesStayInTheirAccount},
			{"a narrowed token is not widened by way of another account", narrowedStaysNarrowed},
			{"a selection token forgives no failures", selectionForgivesNothing},
			{"an administrator's token does no more for a member", memberHeaderCounts},
		})
	})
}

// rolesStayInTheirAccount tests a user of a company who may manage the users of another
// account. The user cannot manage the users of the company.
func rolesStayInTheirAccount(t *testing.T, m *kit.ElasticPath) {
	admin := m.Admin()
	v1 := func(token string, status int, method, path, body string) {
		t.Helper()
		got := m.Server.Do(method, path, "application/json", body, "Authorization", "Bearer "+token)
		if got.Status != status {
			t.Errorf("%s %s: got %d %s, want %d", method, path, got.Status, got.Body, status)
		}
	}
	v1(admin.AccessToken, http.StatusOK, http.MethodPut, "/v1/buyers/own", `{"Name":"Own","Active":true}`)
	for _, name := range []string{"mallory", "victim"} {
		v1(admin.AccessToken, http.StatusOK, http.MethodPut, "/v1/buyers/own/users/"+name,
			fmt.Sprintf(`{"Username":%q,"FirstName":"A","LastName":"B","Email":"%s@example.com","Active":true}`, name, name))
	}
	company, err := m.App.Store.Account(t.Context(), storage.DefaultRealmID, storage.Buyer, "own")
	m.Must(err)
	user, err := m.App.Store.User(t.Context(), storage.DefaultRealmID, storage.Buyer, company.UID, "mallory")
	m.Must(err)
	for _, roles := range [][]string{{"BuyerUserAdmin"}, {"FullAccess"}} {
		other := m.AddAccount("Other")
		m.AddMembership(kit.Shopper{UID: user.UID}, other, roles...)
		code := addKnownCode(m, kit.Shopper{Username: "mallory"})
		signedIn := kit.MustJSON(t, "sign-in", http.StatusOK, m.Server.MemberGrant("front", "username", "mallory", "one_time_password", code, "account_id", other.ID))
		token := signedIn.Text("access_token")
		if got := signedIn.Text("scope"); got != roles[0] {
			t.Fatalf("got the scope %q, want %q", got, roles[0])
		}
		v1(token, http.StatusNotFound, http.MethodGet, "/v1/buyers/own/users", "")
		v1(token, http.StatusNotFound, http.MethodPatch, "/v1/buyers/own/users/victim", `{"Password":"taken-Over-1"}`)
		v1(token, http.StatusForbidden, http.MethodGet, "/v1/adminusers", "")
	}
}

// narrowedStaysNarrowed switches to another account and back, by both grants, and with a
// refresh in between.
func narrowedStaysNarrowed(t *testing.T, m *kit.ElasticPath) {
	home, away := m.AddAccount("Home"), m.AddAccount("Away")
	p := m.AddShopper("narrow", home, away)
	for _, step := range []struct {
		name string
		move func(token, account string) kit.Response
	}{
		{"exchange", func(token, account string) kit.Response {
			return m.Server.ExchangeToken("front", token, "account_id", account)
		}},
		{"member_token", func(token, account string) kit.Response {
			return m.Server.MemberGrant("front", "member_token", token, "account_id", account)
		}},
	} {
		first := kit.MustJSON(t, step.name, http.StatusOK, m.Server.MemberGrant("front",
			"username", p.Username, "one_time_password", addKnownCode(m, p), "account_id", home.ID, "scope", "Buyer"))
		again := kit.MustJSON(t, step.name, http.StatusOK, m.Server.Form("/oauth/token",
			append(kit.ClientFields("front"), "grant_type", "refresh_token", "refresh_token", first.Text("refresh_token"))...))
		for _, token := range []string{first.Text("access_token"), again.Text("access_token")} {
			for _, account := range []string{away.ID, home.ID} {
				token = kit.MustJSON(t, step.name, http.StatusOK, step.move(token, account)).Text("access_token")
				if _, claims := kit.DecodeJWT(t, token); claims["scope"] != "Buyer" {
					t.Errorf("%s: got the scope %v from a token with Buyer, want Buyer", step.name, claims["scope"])
				}
			}
		}
	}
	whole := kit.MustJSON(t, "sign-in", http.StatusOK, m.Server.MemberGrant("front", "username", p.Username, "one_time_password", addKnownCode(m, p), "account_id", home.ID))
	got := kit.MustJSON(t, "switch", http.StatusOK, m.Server.ExchangeToken("front", whole.Text("access_token"), "account_id", away.ID)).Text("access_token")
	if _, claims := kit.DecodeJWT(t, got); claims["scope"] != "Buyer Shopper" {
		t.Errorf("got the scope %v from a token that was not narrowed", claims["scope"])
	}
}

// selectionForgivesNothing guesses, chooses an account with an older token, and guesses again.
func selectionForgivesNothing(t *testing.T, m *kit.ElasticPath) {
	first, second := m.AddAccount("First"), m.AddAccount("Second")
	p := m.AddShopper("chooser", first, second)
	asked := m.Server.MemberGrant("front", "username", p.Username, "one_time_password", addKnownCode(m, p))
	selection := kit.MustJSON(t, "sign-in", http.StatusBadRequest, asked).Text("selection_token")
	for range 9 {
		m.Server.MemberGrant("front", "username", p.Username, "one_time_password", "WRONGWRONG")
	}
	kit.MustJSON(t, "choice", http.StatusOK, m.Server.MemberGrant("front", "selection_token", selection, "account_id", first.ID))
	m.Server.MemberGrant("front", "username", p.Username, "one_time_password", "WRONGWRONG")
	kit.MustFailV2(t, "the right code after ten wrong ones", m.Storefront().AccountTokens(kit.ByCode("default", p.Username, addKnownCode(m, p))))
}

// memberHeaderCounts tests that a request with a member's token has only the permissions of the
// member.
func memberHeaderCounts(t *testing.T, m *kit.ElasticPath) {
	p := m.AddShopper("carried", m.AddAccount("Carried"))
	token := accountTokens(m, p).Text("data", 0, "token")
	carrier := m.Admin().WithAccountToken(token)
	for method, path := range map[string]string{http.MethodPost: "/v2/accounts", http.MethodDelete: userPath(p), http.MethodGet: "/v2/integrations"} {
		if got := carrier.Try(method, path, kit.Object{"type": "account", "name": "n"}); got.Status != http.StatusForbidden {
			t.Errorf("%s %s: got %d %s, want 403", method, path, got.Status, got.Body)
		}
	}
}
