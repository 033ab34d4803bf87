package accounts

import (
	"net/http"
	"testing"

	"latchkey/storage"
	"latchkey/test/e2e/kit"
)

// TestStorefronts tests everything that storefronts do, through Elastic Path's dialect and
// through OAuth, with one server for each database, because a start takes long.
func TestStorefronts(t *testing.T) {
	kit.EachElasticPath(t, func(t *testing.T, m *kit.ElasticPath) { runStorefrontTests(m, t) })
}

func runStorefrontTests(m *kit.ElasticPath, t *testing.T) {
	for _, group := range []struct {
		name  string
		tests []storefrontTest
	}{
		{"walk-through", []storefrontTest{{"both ways", walkThrough}}},
		{"codes", codeTests()},
		{"members", memberTests()},
		{"input", inputTests()},
		{"account-member grant", grantTests()},
		{"kinds of token", kindTests()},
		{"one core", coreTests()},
		{"credentials", credentialTests()},
	} {
		t.Run(group.name, func(t *testing.T) { each(m, t, group.tests) })
	}
}

// each runs subtests one after the other.
func each(m *kit.ElasticPath, t *testing.T, tests []storefrontTest) {
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := m.T
			m.T, m.Server.T = t, t
			defer func() { m.T, m.Server.T = before, before }()
			test.run(t, m)
		})
	}
}

type storefrontTest struct {
	name string
	run  func(t *testing.T, m *kit.ElasticPath)
}

func userPath(p kit.Shopper) string { return kit.RealmPath + "/user-authentication-info/" + p.UID }

func loginPath(p kit.Shopper) string {
	return userPath(p) + "/user-authentication-password-profile-info/" + p.LoginID
}

func leave(m *kit.ElasticPath, p kit.Shopper, a storage.Account) {
	m.T.Helper()
	membership, err := m.App.Store.Membership(m.T.Context(), a.UID, p.UID)
	m.Must(err)
	m.Must(m.App.Store.DeleteMembership(m.T.Context(), membership.ID, 0))
}

// addKnownCode gives a shopper a live code.
func addKnownCode(m *kit.ElasticPath, p kit.Shopper) string {
	m.T.Helper()
	m.StoreCode(p.Username, kit.KnownCode, nil)
	return kit.KnownCode
}

// accountTokens signs a shopper in with a known code and returns the answer.
func accountTokens(m *kit.ElasticPath, p kit.Shopper) kit.JSON {
	m.T.Helper()
	return kit.MustJSON(m.T, "account tokens", http.StatusCreated, m.Storefront().AccountTokens(kit.ByCode("default", p.Username, addKnownCode(m, p))))
}
