package main

import (
	"fmt"
	"net/http"
	"testing"

	"latchkey/storage"
)

// TestAttacksOnAccountTokens: what somebody tries who has more in one account
// than elsewhere, or less in a token than in an account.
func TestAttacksOnAccountTokens(t *testing.T) {
	eachMall(t, func(t *testing.T, m *mall) {
		m.each(t, []mallTest{
			{"roles in an account are none in the own company", rolesStayInTheirAccount},
			{"a narrowed token is not widened by way of another account", narrowedStaysNarrowed},
			{"a selection token forgives no failures", selectionForgivesNothing},
			{"an administrator's token does no more for a member", memberHeaderCounts},
		})
	})
}

// rolesStayInTheirAccount: a user of a company who may manage the users of
// another account cannot manage those of the company.
func rolesStayInTheirAccount(t *testing.T, m *mall) {
	admin := m.admin()
	v1 := func(token string, status int, method, path, body string) {
		t.Helper()
		got := m.n.do(method, path, "application/json", body, "Authorization", "Bearer "+token)
		if got.status != status {
			t.Errorf("%s %s: %d %s, want %d", method, path, got.status, got.body, status)
		}
	}
	v1(admin.bearer, http.StatusOK, http.MethodPut, "/v1/buyers/own", `{"Name":"Own","Active":true}`)
	for _, name := range []string{"mallory", "victim"} {
		v1(admin.bearer, http.StatusOK, http.MethodPut, "/v1/buyers/own/users/"+name,
			fmt.Sprintf(`{"Username":%q,"FirstName":"A","LastName":"B","Email":"%s@example.com","Active":true}`, name, name))
	}
	company, err := m.app.store.Account(t.Context(), storage.DefaultRealmID, storage.Buyer, "own")
	m.must(err)
	user, err := m.app.store.User(t.Context(), storage.DefaultRealmID, storage.Buyer, company.UID, "mallory")
	m.must(err)
	for _, roles := range [][]string{{"BuyerUserAdmin"}, {"FullAccess"}} {
		other := m.company("Other")
		m.join(shopper{uid: user.UID}, other, roles...)
		code := m.planted(shopper{name: "mallory"})
		signedIn := paperOf(t, "sign-in", http.StatusOK, m.n.memberGrant("front", "username", "mallory", "one_time_password", code, "account_id", other.ID))
		token := signedIn.text("access_token")
		if got := signedIn.text("scope"); got != roles[0] {
			t.Fatalf("scope %q, want %q", got, roles[0])
		}
		v1(token, http.StatusNotFound, http.MethodGet, "/v1/buyers/own/users", "")
		v1(token, http.StatusNotFound, http.MethodPatch, "/v1/buyers/own/users/victim", `{"Password":"taken-Over-1"}`)
		v1(token, http.StatusForbidden, http.MethodGet, "/v1/adminusers", "")
	}
}

// narrowedStaysNarrowed goes to another account and back, by both grants, and
// by way of a refresh.
func narrowedStaysNarrowed(t *testing.T, m *mall) {
	home, away := m.company("Home"), m.company("Away")
	p := m.shopper("narrow", home, away)
	for _, step := range []struct {
		name string
		move func(token, account string) answer
	}{
		{"exchange", func(token, account string) answer { return m.n.exchange("front", token, "account_id", account) }},
		{"member_token", func(token, account string) answer {
			return m.n.memberGrant("front", "member_token", token, "account_id", account)
		}},
	} {
		first := paperOf(t, step.name, http.StatusOK, m.n.memberGrant("front",
			"username", p.name, "one_time_password", m.planted(p), "account_id", home.ID, "scope", "Buyer"))
		again := paperOf(t, step.name, http.StatusOK, m.n.form("/oauth/token",
			append(clientFields("front"), "grant_type", "refresh_token", "refresh_token", first.text("refresh_token"))...))
		for _, token := range []string{first.text("access_token"), again.text("access_token")} {
			for _, account := range []string{away.ID, home.ID} {
				token = paperOf(t, step.name, http.StatusOK, step.move(token, account)).text("access_token")
				if _, claims := decoded(t, token); claims["scope"] != "Buyer" {
					t.Errorf("%s: a token narrowed to Buyer became one with %v", step.name, claims["scope"])
				}
			}
		}
	}
	whole := paperOf(t, "sign-in", http.StatusOK, m.n.memberGrant("front", "username", p.name, "one_time_password", m.planted(p), "account_id", home.ID))
	got := paperOf(t, "switch", http.StatusOK, m.n.exchange("front", whole.text("access_token"), "account_id", away.ID)).text("access_token")
	if _, claims := decoded(t, got); claims["scope"] != "Buyer Shopper" {
		t.Errorf("a whole token became one with %v", claims["scope"])
	}
}

// selectionForgivesNothing guesses, chooses an account by a token got before,
// and guesses on.
func selectionForgivesNothing(t *testing.T, m *mall) {
	first, second := m.company("First"), m.company("Second")
	p := m.shopper("chooser", first, second)
	asked := m.n.memberGrant("front", "username", p.name, "one_time_password", m.planted(p))
	selection := paperOf(t, "sign-in", http.StatusBadRequest, asked).text("selection_token")
	for range 9 {
		m.n.memberGrant("front", "username", p.name, "one_time_password", "WRONGWRONG")
	}
	paperOf(t, "choice", http.StatusOK, m.n.memberGrant("front", "selection_token", selection, "account_id", first.ID))
	m.n.memberGrant("front", "username", p.name, "one_time_password", "WRONGWRONG")
	failedV2(t, "the right code after ten wrong ones", m.front().tokens(byCode("default", p.name, m.planted(p))))
}

// memberHeaderCounts: who sends a member's token wants no more than that allows.
func memberHeaderCounts(t *testing.T, m *mall) {
	p := m.shopper("carried", m.company("Carried"))
	token := m.accountTokens(p).text("data", 0, "token")
	carrier := m.admin().as(token)
	for method, path := range map[string]string{http.MethodPost: "/v2/accounts", http.MethodDelete: p.userPath(), http.MethodGet: "/v2/integrations"} {
		if got := carrier.try(method, path, jsonObject{"type": "account", "name": "n"}); got.status != http.StatusForbidden {
			t.Errorf("%s %s: %d %s", method, path, got.status, got.body)
		}
	}
}
