package accounts

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"latchkey/storage"
	"latchkey/test/e2e/kit"
)

// credentialChanges are all requests below /v1 with which a user could change its credentials
// or its addresses.
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

// TestCodeChangesNoCredentials tests that a session that began with a one-time password cannot
// change the password or the addresses of its user, whatever roles it has, refreshed or not. A
// session that began with the password can.
func TestCodeChangesNoCredentials(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		a := kit.NewOneServer(w)
		a.Apply(`SecurityProfiles: [{ID: selfish, Name: Selfish, Roles: [MeAdmin, PasswordReset, BuyerUserAdmin], Assignments: [{BuyerID: acme}]}]`)
		a.AddUsers("cc1")
		before := a.Login("cc1")
		session := kit.TokenPairOf(t, "code", a.Server.SignIn("cc1", a.RequestCode(a.Server, "shop", "cc1")))
		refreshed := kit.TokenPairOf(t, "refresh", a.Server.Refresh(session.Refresh))
		for what, token := range map[string]string{"fresh": session.Access, "refreshed": refreshed.Access} {
			for _, call := range credentialChanges("cc1") {
				if got := a.Server.CallV1(token, call[0], call[1], call[2]); got.Status != http.StatusForbidden {
					t.Errorf("%s: %v: got %d %s, want 403", what, call, got.Status, got.Body)
				}
			}
			if got := a.Server.CallV1(token, http.MethodPatch, "/v1/me", `{"FirstName":"Jane","Email":"cc1@people.example"}`); got.Status != http.StatusOK {
				t.Errorf("%s: a name: got %d %s, want 200", what, got.Status, got.Body)
			}
		}
		if after := a.Login("cc1"); after.PasswordHash != before.PasswordHash || after.Username != before.Username {
			t.Errorf("got another login: %+v before, %+v after", before, after)
		}
		if got := a.RequestCode(a.Server, "shop", "cc1"); got == "" {
			t.Error("got no code")
		}
		for _, call := range credentialChanges("cc1") {
			a.AddUsers("cc1")
			token := kit.MustIssue(t, "password", a.Server.SignIn("cc1", kit.Password)).Field("access_token")
			if got := a.Server.CallV1(token, call[0], call[1], call[2]); got.Status >= 300 {
				t.Errorf("by password: %v: got %d %s", call, got.Status, got.Body)
			}
			deleteUser(a, "cc1")
		}
	})
}

// deleteUser deletes a user of company acme.
func deleteUser(a *kit.OneServer, id string) {
	a.T.Helper()
	ctx := a.T.Context()
	account, err := a.App.Store.Account(ctx, storage.DefaultRealmID, storage.Buyer, "acme")
	a.Must(err)
	user, err := a.App.Store.User(ctx, storage.DefaultRealmID, storage.Buyer, account.UID, id)
	a.Must(err)
	a.Must(a.App.Store.DeleteUser(ctx, user.UID, 0))
}

// TestSessionThatSetsThePassword tests that a session that sets the password continues with its
// tokens on all servers, and that all other sessions of the login end.
func TestSessionThatSetsThePassword(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		a := kit.NewOneServer(w)
		a.Apply(`SecurityProfiles: [{ID: renewing, Name: Renewing, Roles: [MeAdmin, PasswordReset], Assignments: [{BuyerID: acme}]}]`)
		servers := []*kit.Server{a.Server, a.StartServer()}
		own := a.SignIn("shop", "kp1")
		password := kit.Password
		for i, call := range [][3]string{
			{http.MethodPost, "/v1/me/password", "NewPassword"}, {http.MethodPatch, "/v1/me", "Password"},
		} {
			other := kit.TokenPairOf(t, "other session", a.Server.SignIn("kp1", password))
			byCode := kit.TokenPairOf(t, "session by code", a.Server.SignIn("kp1", a.RequestCode(a.Server, "shop", "kp1")))
			code := a.RequestCode(a.Server, "shop", "kp1")
			a.Clock.Advance(time.Second)
			password = "changed-Horse-" + strconv.Itoa(i)
			if got := a.Server.CallV1(own.Access, call[0], call[1], `{"`+call[2]+`":"`+password+`"}`); got.Status >= 300 {
				t.Fatalf("%v: got %d %s", call, got.Status, got.Body)
			}
			for _, n := range servers {
				kit.MustBeActive(t, "own access token", n.Introspect(own.Access))
				kit.MustBeActive(t, "own refresh token", n.Introspect(own.Refresh))
				for what, p := range map[string]kit.TokenPair{"other": other, "by code": byCode} {
					kit.MustBeInactive(t, what, n.Introspect(p.Access))
					kit.MustRefuse(t, what, n.Refresh(p.Refresh), kit.InvalidRefreshTokenBody)
				}
				kit.MustRefuse(t, "code on its way", n.SignIn("kp1", code), kit.WrongCredentialsBody)
			}
			own = kit.TokenPairOf(t, "own refresh", servers[1].Refresh(own.Refresh))
			a.Clock.Advance(kit.AfterRefreshGrace)
		}
		// A change by an administrator ends this session too.
		o := a.NewAdmin(a.Server)
		if got := o.Do(http.MethodPatch, "/v1/buyers/acme/users/kp1", `{"Password":"third-Horse-3-battery"}`); got.Status != http.StatusOK {
			t.Fatalf("administrator: got %d %s, want 200", got.Status, got.Body)
		}
		kit.MustBeInactive(t, "own access token", a.Server.Introspect(own.Access))
		kit.MustRefuse(t, "own refresh token", a.Server.Refresh(own.Refresh), kit.InvalidRefreshTokenBody)
	})
}

// credentialTests are tests of what a member can change with an account token, and of the
// lifetime of account tokens.
func credentialTests() []storefrontTest {
	return []storefrontTest{
		{"what a code may change", codeOfEachPurpose},
		{"the password keeps the session", passwordKeepsSession},
		{"absolute end", accountSessionEnds},
		{"own account only", ownAccountOnly},
		{"former address", formerAddressNotified},
		{"a credential that a client no longer allows", withdrawnCredential},
	}
}

// codeOfEachPurpose tests that the purpose of the code decides what the member may change, and
// that tokens that are derived from the first token keep it.
func codeOfEachPurpose(t *testing.T, m *kit.ElasticPath) {
	m.ChangeSettings(kit.Object{"account_member_self_management": "update_only"})
	hash, err := kit.PasswordHash()
	m.Must(err)
	acme := m.AddAccount("Purposes")
	p := m.AddShopperWithHash(hash, "purposeful", acme)
	m.AddMembership(p, acme, "MeAdmin")
	front := m.Storefront()
	for _, test := range []struct {
		by     string
		signIn func() kit.JSON
		may    bool
	}{
		{"sign-in code", func() kit.JSON { return accountTokens(m, p) }, false},
		{"reset code", func() kit.JSON { return m.ResetPasswordTokens(p) }, true},
		{"password", func() kit.JSON {
			return front.Send(t, 201, http.MethodPost, kit.AccountTokensPath, kit.ByPassword(p.Username, kit.Password))
		}, true},
	} {
		what := test.by
		first := test.signIn().Text("data", 0, "token")
		renewed := front.WithAccountToken(first).Send(t, 201, http.MethodPost, kit.AccountTokensPath, kit.ByAccountToken()).Text("data", 0, "token")
		twice := front.WithAccountToken(renewed).Send(t, 201, http.MethodPost, kit.AccountTokensPath, kit.ByAccountToken()).Text("data", 0, "token")
		for i, token := range []string{first, renewed, twice} {
			member, name := front.WithAccountToken(token), fmt.Sprint(what, " ", i)
			for field, got := range map[string]kit.Response{
				"email":    member.Try(http.MethodPut, userPath(p), kit.Object{"email": strings.ReplaceAll(name, " ", "-") + "@example.com"}),
				"username": member.Try(http.MethodPut, loginPath(p), kit.Object{"username": p.Username + strconv.Itoa(i)}),
			} {
				if ok := got.Status == http.StatusOK; ok != test.may || !ok && got.Status != http.StatusForbidden {
					t.Errorf("%s: %s: got %d %s", name, field, got.Status, got.Body)
				}
			}
			member.Send(t, 200, http.MethodPut, userPath(p), kit.Object{"name": "New name"})
			if test.may {
				member.Send(t, 200, http.MethodPut, loginPath(p), kit.Object{"username": p.Username})
			}
		}
		m.Clock.Advance(15 * time.Minute) // so that the limit of username changes is not reached
		// An access token that is derived from the account token has the same permissions.
		access := kit.MustIssue(t, what, m.Server.MemberGrant("front", "member_token", twice)).Field("access_token")
		access = kit.MustIssue(t, what, m.Server.ExchangeToken("front", access)).Field("access_token")
		if got := m.Server.CallV1(access, http.MethodPatch, "/v1/me", `{"Password":"other-Horse-7-battery"}`); (got.Status == http.StatusOK) != test.may {
			t.Errorf("%s: by an access token: got %d %s", what, got.Status, got.Body)
		}
		got := front.WithAccountToken(twice).Try(http.MethodPut, loginPath(p), kit.Object{"password": kit.Password})
		if ok := got.Status == http.StatusOK; ok != test.may || !ok && got.Status != http.StatusForbidden {
			t.Errorf("%s: password: got %d %s", what, got.Status, got.Body)
		}
	}
	// A refresh family keeps the purpose too.
	m.StoreCode(p.Username, kit.KnownCode, func(c *storage.Code) { c.Purpose = storage.PurposeResetPassword })
	session := kit.TokenPairOf(t, "reset code", m.Server.MemberGrant("front", "username", p.Username, "one_time_password", kit.KnownCode))
	session = kit.TokenPairOf(t, "refresh", m.Server.RefreshThrough("front", session.Refresh))
	if got := m.Server.CallV1(session.Access, http.MethodPatch, "/v1/me", `{"Password":"other-Horse-7-battery"}`); got.Status != http.StatusOK {
		t.Errorf("refreshed session of a reset code: got %d %s, want 200", got.Status, got.Body)
	}
}

// passwordKeepsSession tests that the tokens of the same sign-in for other accounts, and tokens
// derived from them, stay valid too.
func passwordKeepsSession(t *testing.T, m *kit.ElasticPath) {
	m.ChangeSettings(kit.Object{"account_member_self_management": "update_only"})
	p := m.AddShopper("keeper", m.AddAccount("Kept one"), m.AddAccount("Kept two"))
	before := accountTokens(m, p)
	own := m.ResetPasswordTokens(p)
	front := m.Storefront()
	renewed := front.WithAccountToken(own.Text("data", 1, "token")).Send(t, 201, http.MethodPost, kit.AccountTokensPath, kit.ByAccountToken())
	access := kit.MustIssue(t, "held", m.Server.MemberGrant("front", "member_token", own.Text("data", 0, "token"))).Field("access_token")
	m.Clock.Advance(time.Second)
	front.WithAccountToken(own.Text("data", 0, "token")).Send(t, 200, http.MethodPut, loginPath(p), kit.Object{"password": "kept-Horse-1"})
	for _, n := range []*kit.Server{m.Server, m.StartServer()} {
		for i, token := range append(own.Column("token"), renewed.Column("token")...) {
			if got := m.StorefrontAt(n).WithAccountToken(token).Try(http.MethodGet, userPath(p), nil); got.Status != http.StatusOK {
				t.Errorf("token %d of the session: got %d %s, want 200", i, got.Status, got.Body)
			}
		}
		kit.MustBeActive(t, "access token of the session", n.IntrospectThrough("front", access))
		for i, token := range before.Column("token") {
			kit.MustRefuseV2(t, fmt.Sprint("older token ", i), m.StorefrontAt(n).WithAccountToken(token).Try(http.MethodGet, userPath(p), nil), http.StatusUnauthorized, "")
		}
	}
	again := front.WithAccountToken(own.Text("data", 1, "token")).Send(t, 201, http.MethodPost, kit.AccountTokensPath, kit.ByAccountToken())
	front.WithAccountToken(again.Text("data", 0, "token")).Send(t, 200, http.MethodPut, loginPath(p), kit.Object{"password": "kept-Horse-2"})
}

// accountSessionEnds tests that renewal ends when a refresh token of the sign-in would end, and
// that no token lives longer.
func accountSessionEnds(t *testing.T, m *kit.ElasticPath) {
	p := m.AddShopper("endless", m.AddAccount("Endless"))
	began := m.Clock.Now()
	token := accountTokens(m, p).Text("data", 0, "token")
	end := began.Add(48 * time.Hour) // RefreshTokenDuration of client front
	var expires time.Time
	for range 4 {
		got := m.Storefront().WithAccountToken(token).Send(t, 201, http.MethodPost, kit.AccountTokensPath, kit.ByAccountToken())
		token = got.Text("data", 0, "token")
		var err error
		if expires, err = time.Parse(time.RFC3339, got.Text("data", 0, "expires")); err != nil || expires.After(end.Add(2*time.Second)) {
			t.Fatalf("got an expiry at %v, error %v; the session ends at %v", expires, err, end)
		}
		access := kit.MustIssue(t, "held", m.Server.MemberGrant("front", "member_token", token)).Field("access_token")
		if _, claims := kit.DecodeJWT(t, access); claims["exp"].(float64) > float64(end.Unix()+2) {
			t.Errorf("got an access token until %v, want it to end with the session", claims["exp"])
		}
		m.Clock.Advance(expires.Sub(m.Clock.Now()) - time.Minute)
	}
	if left := end.Sub(expires); left.Abs() > 2*time.Second {
		t.Errorf("got the end of the last token %v before that of the session, want the same", left)
	}
	m.Storefront().WithAccountToken(token).Send(t, 200, http.MethodGet, "/v2/accounts", nil)
	m.Clock.Advance(2 * time.Minute)
	kit.MustFailV2(t, "after the end", m.Storefront().WithAccountToken(token).AccountTokens(kit.ByAccountToken()))
	kit.MustRefuse(t, "after the end", m.Server.MemberGrant("front", "member_token", token), refusedMemberToken)
}

// ownAccountOnly tests that an hour after the sign-in the token of an account gets tokens for
// that account only.
func ownAccountOnly(t *testing.T, m *kit.ElasticPath) {
	one, two := m.AddAccount("Own one"), m.AddAccount("Own two")
	p := m.AddShopper("owner-of-two", one, two)
	token := accountTokens(m, p).Text("data", 1, "token")
	kit.MustIssue(t, "soon", m.Server.MemberGrant("front", "member_token", token, "account_id", one.ID))
	m.Clock.Advance(time.Hour + time.Second)
	front := m.Storefront()
	for range 2 {
		got := front.WithAccountToken(token).Send(t, 201, http.MethodPost, kit.AccountTokensPath, kit.ByAccountToken())
		if ids := got.Column("account_id"); len(ids) != 1 || ids[0] != two.ID || got.At("meta", "results", "total") != 1.0 {
			t.Errorf("tokens for %v: got %v", ids, got.Value)
		}
		token = got.Text("data", 0, "token")
	}
	if got := front.WithAccountToken(token).Send(t, 201, http.MethodPost, kit.AccountTokensPath+"?page[offset]=1", kit.ByAccountToken()); len(got.Column("token")) != 0 {
		t.Errorf("behind the first page: got %v", got.Value)
	}
	kit.MustRefuse(t, "another account", m.Server.MemberGrant("front", "member_token", token, "account_id", one.ID), refusedMemberToken)
	kit.MustIssue(t, "the own account", m.Server.MemberGrant("front", "member_token", token, "account_id", two.ID))
}
