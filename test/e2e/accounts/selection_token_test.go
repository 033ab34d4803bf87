package accounts

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"latchkey/grants"
	"latchkey/test/e2e/kit"
)

func memberByPassword(t *testing.T, m *kit.ElasticPath) {
	hash, err := kit.PasswordHash()
	m.Must(err)
	p := m.AddShopperWithHash(hash, "by-password", m.AddAccount("By password"))
	got := kit.MustIssue(t, "password", m.Server.MemberGrant("front", "username", p.Username, "password", kit.Password))
	if c := kit.ClaimsOf(t, got.Field("access_token")); !slices.Equal(c.AMR, []string{"pwd"}) {
		t.Errorf("got amr %q", c.AMR)
	}
	code := addKnownCode(m, p)
	kit.MustRefuse(t, "a code as password", m.Server.MemberGrant("front", "username", p.Username, "password", code), kit.WrongCredentialsBody)
	kit.MustRefuse(t, "a password as code", m.Server.MemberGrant("front", "username", p.Username, "one_time_password", kit.Password), kit.WrongCredentialsBody)
	kit.MustRefuse(t, "through a client of codes", m.Server.MemberGrant("otponly", "username", p.Username, "password", kit.Password), kit.WrongCredentialsBody)
	kit.MustIssue(t, "the code", m.Server.MemberGrant("otponly", "username", p.Username, "one_time_password", code))
}

// memberOfProfile tests a login in another profile than that of the client. The request must
// name the profile.
func memberOfProfile(t *testing.T, m *kit.ElasticPath) {
	p := m.AddShopper("profiled", m.AddAccount("Profiled"))
	code := addKnownCode(m, p)
	ask := func(profile, code string) kit.Response {
		return m.Server.MemberGrant("front", "username", p.Username, "password_profile_id", profile, "one_time_password", code)
	}
	for _, profile := range []string{"digits", "wordy", "nonesuch", "DEFAULT"} {
		kit.MustRefuse(t, "profile "+profile, ask(profile, code), kit.WrongCredentialsBody)
	}
	kit.MustIssue(t, "its own", ask("default", code))
	uid := sameName(m, p, "digits")
	m.AddMembership(kit.Shopper{UID: uid}, m.AddAccount("Twins"))
	if got := m.Storefront().RequestCode("digits", p.Username, "reset_password"); got.Status != http.StatusAccepted {
		t.Fatalf("got %d %s, want 202", got.Status, got.Body)
	}
	theirs := kit.MustIssue(t, "the twin", ask("digits", m.Receiver.Next(t).Payload.Code))
	if c := kit.ClaimsOf(t, theirs.Field("access_token")); c.Sub != uid {
		t.Errorf("got a sign-in as %s", c.Sub)
	}
}

// memberRoles tests that a token has the roles of the membership, limited by the client and by
// the request.
func memberRoles(t *testing.T, m *kit.ElasticPath) {
	acme, bare := m.AddAccount("Roles"), m.AddAccount("No roles")
	p := m.AddShopper("roled", acme)
	m.AddMembership(p, acme, "Approver", "Buyer", "Shopper")
	m.AddMembership(p, bare)
	scope := func(client, account string, more ...string) string {
		t.Helper()
		fields := append([]string{"username", p.Username, "one_time_password", addKnownCode(m, p), "account_id", account}, more...)
		return kit.ClaimsOf(t, kit.MustIssue(t, "sign-in", m.Server.MemberGrant(client, fields...)).Field("access_token")).Scope
	}
	for what, got := range map[string][2]string{
		"all":                       {scope("front", acme.ID), "Approver Buyer Shopper"},
		"at the ceiling":            {scope("capped", acme.ID), "Shopper"},
		"asked for":                 {scope("front", acme.ID, "scope", "Buyer FullAccess"), "Buyer"},
		"none":                      {scope("front", bare.ID), ""},
		"asked for, at the ceiling": {scope("capped", acme.ID, "scope", "Shopper Buyer"), "Shopper"},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: got the scope %q, want %q", what, got[0], got[1])
		}
	}
	for account, wanted := range map[string]string{acme.ID: "FullAccess", bare.ID: "Shopper"} {
		code := addKnownCode(m, p)
		got := m.Server.MemberGrant("front", "username", p.Username, "one_time_password", code, "account_id", account, "scope", wanted)
		if got.Status != http.StatusBadRequest || got.Field("error") != "invalid_scope" {
			t.Errorf("%s: got %d %s, want 400", wanted, got.Status, got.Body)
		}
		if l := m.Login(p.Username); !l.Code.UsedAt.IsZero() {
			t.Error("the code was used, want it unused")
		}
	}
}

// memberRefresh tests that a refreshed token has the same account and the present roles, and
// that the family ends with the membership.
func memberRefresh(t *testing.T, m *kit.ElasticPath) {
	acme, other := m.AddAccount("Refreshed"), m.AddAccount("Also")
	p := m.AddShopper("refresher", acme, other)
	session := func() kit.TokenPair {
		return kit.TokenPairOf(t, "sign-in", m.Server.MemberGrant("front", "username", p.Username, "one_time_password", addKnownCode(m, p), "account_id", acme.ID))
	}
	first := session()
	got := kit.MustIssue(t, "refresh", m.Server.RefreshThrough("front", first.Refresh))
	if _, claims := kit.DecodeJWT(t, got.Field("access_token")); claims["account_id"] != acme.ID || claims["scope"] != "Buyer Shopper" || got.Field("account_id") != acme.ID {
		t.Errorf("got the claims %v", claims)
	}
	m.AddMembership(p, acme, "Approver", "Shopper")
	got = kit.MustIssue(t, "after a change of roles", m.Server.RefreshThrough("front", got.Field("refresh_token")))
	if scope := kit.ClaimsOf(t, got.Field("access_token")).Scope; scope != "Shopper" {
		t.Errorf("got the scope %q, want the granted roles that remain", scope)
	}
	leave(m, p, acme)
	kit.MustRefuse(t, "no member any more", m.Server.RefreshThrough("front", got.Field("refresh_token")), kit.InvalidRefreshTokenBody)
	for _, token := range []string{first.Access, got.Field("access_token"), got.Field("refresh_token")} {
		kit.MustBeInactive(t, "no member any more", m.Server.IntrospectThrough("front", token))
	}
	m.AddMembership(p, acme, "Shopper")
	p2 := session()
	acme.Active = false
	_, err := m.App.Store.PutAccount(t.Context(), acme)
	m.Must(err)
	kit.MustRefuse(t, "closed account", m.Server.RefreshThrough("front", p2.Refresh), kit.InvalidRefreshTokenBody)
	kit.MustBeInactive(t, "closed account", m.Server.IntrospectThrough("front", p2.Access))
}

// heldTokens tests tokens that are used instead of a sign-in: an access token for an account,
// an access token without an account, and a token of Elastic Path's dialect.
func heldTokens(t *testing.T, m *kit.ElasticPath) {
	one, two, foreign := m.AddAccount("Held one"), m.AddAccount("Held two"), m.AddAccount("Held foreign")
	p := m.AddShopper("holder", one, two)
	vendor := accountTokens(m, p).Text("data", 0, "token") // a token of account one
	scoped := kit.MustIssue(t, "scoped", m.Server.MemberGrant("front", "username", p.Username, "one_time_password", addKnownCode(m, p), "account_id", one.ID)).Field("access_token")
	plain := kit.MustIssue(t, "plain", m.Server.SignInThrough("front", p.Username, addKnownCode(m, p))).Field("access_token")
	hold := func(client, token string, more ...string) kit.Response {
		return m.Server.MemberGrant(client, append([]string{"member_token", token}, more...)...)
	}
	for what, token := range map[string]string{"vendor's": vendor, "scoped": scoped, "plain": plain} {
		for _, account := range []string{one.ID, two.ID} {
			got := kit.MustIssue(t, what, hold("front", token, "account_id", account))
			if got.Field("account_id") != account || got.Field("refresh_token") != "" {
				t.Errorf("%s: got %s", what, got.Body)
			}
		}
		want := hold("front", token, "account_id", foreign.ID)
		kit.MustRefuse(t, what+", another's account", want, refusedMemberToken)
		sameAnswer(t, what+", unknown account", want, hold("front", token, "account_id", uuid.NewString()))
		sameAnswer(t, what+", another client", want, hold("till", token, "account_id", one.ID))
	}
	for what, token := range map[string]string{"vendor's": vendor, "scoped": scoped} {
		if got := kit.MustIssue(t, what, hold("front", token)); got.Field("account_id") != one.ID {
			t.Errorf("%s without account_id: got %s", what, got.Body)
		}
	}
	if choice := mustSelect(m, "plain", hold("front", plain)); choice.Token != "" || choice.Total != 2 {
		t.Errorf("got the choice %+v", choice)
	}
	narrow := kit.MustIssue(t, "narrow", hold("front", scoped, "scope", "Shopper")).Field("access_token")
	if got := hold("front", narrow, "scope", "Buyer"); got.Body != kit.InvalidScopeBody {
		t.Errorf("wider again: got %d %s", got.Status, got.Body)
	}
	lock(m, p)
	for _, token := range []string{vendor, scoped, plain} {
		kit.MustRefuse(t, "locked", hold("front", token, "account_id", one.ID), refusedMemberToken)
	}
}

func malformedMember(t *testing.T, m *kit.ElasticPath) {
	p := m.AddShopper("malformed", m.AddAccount("Malformed"))
	code := addKnownCode(m, p)
	for what, fields := range map[string][]string{
		"no credential":       {"username", p.Username},
		"no username":         {"one_time_password", code},
		"two credentials":     {"username", p.Username, "one_time_password", code, "password", "x"},
		"code and token":      {"username", p.Username, "one_time_password", code, "member_token", "x"},
		"token and name":      {"username", p.Username, "member_token", "x"},
		"token and profile":   {"password_profile_id", "default", "member_token", "x"},
		"code twice":          {"username", p.Username, "one_time_password", code, "one_time_password", code},
		"account twice":       {"username", p.Username, "one_time_password", code, "account_id", "a", "account_id", "b"},
		"empty code":          {"username", p.Username, "one_time_password", ""},
		"username with a NUL": {"username", p.Username + "\x00", "one_time_password", code},
	} {
		if got := m.Server.MemberGrant("front", fields...); got.Status != http.StatusBadRequest || got.Field("error") != "invalid_request" {
			t.Errorf("%s: got %d %s, want 400", what, got.Status, got.Body)
		}
	}
	if got := m.Server.MemberGrant("bare", "username", p.Username, "one_time_password", code); got.Field("error") != "unauthorized_client" {
		t.Errorf("a client without the grant: got %d %s", got.Status, got.Body)
	}
	if got := m.Server.ExchangeToken("bare", "x"); got.Field("error") != "unauthorized_client" {
		t.Errorf("exchange by a client without the grant: got %d %s", got.Status, got.Body)
	}
	if l := m.Login(p.Username); l.Lockout.Failures != 0 || !l.Code.UsedAt.IsZero() {
		t.Errorf("got %d failures, code used at %v; want none and an unused one", l.Lockout.Failures, l.Code.UsedAt)
	}
	kit.MustIssue(t, "the code", m.Server.MemberGrant("front", "username", p.Username, "one_time_password", code))
}

// exchanges tests exchanges for another account and for fewer roles (RFC 8693).
func exchanges(t *testing.T, m *kit.ElasticPath) {
	one, two, foreign := m.AddAccount("Ex one"), m.AddAccount("Ex two"), m.AddAccount("Ex foreign")
	p := m.AddShopper("exchanger", one)
	m.AddMembership(p, two, "Approver")
	session := kit.TokenPairOf(t, "sign-in", m.Server.MemberGrant("front", "username", p.Username, "one_time_password", addKnownCode(m, p), "account_id", one.ID))
	m.Clock.Advance(time.Minute)
	got := kit.MustIssue(t, "switch", m.Server.ExchangeToken("front", session.Access, "account_id", two.ID))
	if got.Field("issued_token_type") != grants.TokenTypeAccessToken || got.Field("refresh_token") != "" || got.Field("account_id") != two.ID {
		t.Errorf("got the answer %s", got.Body)
	}
	_, before := kit.DecodeJWT(t, session.Access)
	_, after := kit.DecodeJWT(t, got.Field("access_token"))
	if after["scope"] != "Approver" || after["account_id"] != two.ID || after["sid"] != before["sid"] || after["exp"].(float64) > before["exp"].(float64) {
		t.Errorf("got the claims %v", after)
	}
	// An exchange in the same account gets no more roles than the token has.
	narrow := kit.MustIssue(t, "narrow", m.Server.ExchangeToken("front", session.Access, "scope", "Shopper")).Field("access_token")
	if scope := kit.ClaimsOf(t, narrow).Scope; scope != "Shopper" {
		t.Errorf("got the scope %q", scope)
	}
	kit.MustRefuse(t, "wider again", m.Server.ExchangeToken("front", narrow, "scope", "Buyer Shopper"), kit.InvalidScopeBody)
	kit.MustRefuse(t, "wider than granted", m.Server.ExchangeToken("front", session.Access, "scope", "FullAccess"), kit.InvalidScopeBody)
	if scope := kit.ClaimsOf(t, kit.MustIssue(t, "as it is", m.Server.ExchangeToken("front", narrow)).Field("access_token")).Scope; scope != "Shopper" {
		t.Errorf("exchange of a narrowed token: got the scope %q", scope)
	}
	for what, id := range map[string]string{"another's": foreign.ID, "unknown": uuid.NewString(), "internal": two.UID} {
		kit.MustRefuse(t, what, m.Server.ExchangeToken("front", session.Access, "account_id", id), refusedTarget)
	}
	leave(m, p, two)
	kit.MustRefuse(t, "left", m.Server.ExchangeToken("front", session.Access, "account_id", two.ID), refusedTarget)
	kit.MustRefuse(t, "token of an account left", m.Server.ExchangeToken("front", got.Field("access_token")), refusedSubject)

	// The new token ends with the family of the exchanged one.
	if got := m.Server.RevokeThrough("front", session.Refresh); got.Status != http.StatusOK {
		t.Fatalf("revocation: got %d %s, want 200", got.Status, got.Body)
	}
	for _, token := range []string{session.Access, narrow} {
		kit.MustRefuse(t, "revoked family", m.Server.ExchangeToken("front", token), refusedSubject)
		kit.MustBeInactive(t, "revoked family", m.Server.IntrospectThrough("front", token))
	}
}

// subjectTokens tests that all unusable subject tokens get the same refusal.
func subjectTokens(t *testing.T, m *kit.ElasticPath) {
	acme := m.AddAccount("Subjects")
	p := m.AddShopper("subject", acme)
	signIn := func() string {
		return kit.MustIssue(t, "sign-in", m.Server.MemberGrant("front", "username", p.Username, "one_time_password", addKnownCode(m, p))).Field("access_token")
	}
	token := signIn()
	kit.MustRefuse(t, "another client's", m.Server.ExchangeToken("till", token), refusedSubject)
	kit.MustRefuse(t, "nonsense", m.Server.ExchangeToken("front", "nonsense"), refusedSubject)
	kit.MustRefuse(t, "a client's own", m.Server.ExchangeToken("front", m.Storefront().AccessToken), refusedSubject)
	lock(m, p)
	kit.MustRefuse(t, "locked user", m.Server.ExchangeToken("front", token), refusedSubject)
	m.Run("user", "unlock", p.Username)
	kit.MustIssue(t, "unlocked user", m.Server.ExchangeToken("front", token))
	kit.MustIssue(t, "as a JWT", m.Server.Form("/oauth/token", append(kit.ClientFields("front"), "grant_type", grants.GrantTokenExchange,
		"subject_token", token, "subject_token_type", grants.TokenTypeJWT)...))
	if got := m.Server.RevokeThrough("front", token); got.Status != http.StatusOK {
		t.Errorf("revocation: got %d %s, want 200", got.Status, got.Body)
	}
	kit.MustRefuse(t, "revoked", m.Server.ExchangeToken("front", token), refusedSubject)
	token = signIn()
	m.Clock.Advance(time.Hour + time.Second)
	kit.MustRefuse(t, "expired", m.Server.ExchangeToken("front", token), refusedSubject)
	token = signIn()
	u, err := m.App.Store.UserByUID(t.Context(), p.UID)
	m.Must(err)
	m.Must(m.App.Store.RevokeUserTokens(t.Context(), u.UID, m.Clock.Now().UTC()))
	kit.MustRefuse(t, "all tokens ended", m.Server.ExchangeToken("front", token), refusedSubject)
	token = signIn()
	disable(m, p)
	kit.MustRefuse(t, "inactive user", m.Server.ExchangeToken("front", token), refusedSubject)
}

func malformedExchange(t *testing.T, m *kit.ElasticPath) {
	p := m.AddShopper("malexchange", m.AddAccount("Malexchange"))
	token := kit.MustIssue(t, "sign-in", m.Server.MemberGrant("front", "username", p.Username, "one_time_password", addKnownCode(m, p))).Field("access_token")
	const kind = grants.TokenTypeAccessToken
	for what, test := range map[string]struct {
		fields []string
		code   string
	}{
		"no subject":           {[]string{"subject_token_type", kind}, "invalid_request"},
		"no type":              {[]string{"subject_token", token}, "invalid_request"},
		"an id token":          {[]string{"subject_token", token, "subject_token_type", "urn:ietf:params:oauth:token-type:id_token"}, "invalid_request"},
		"an unknown type":      {[]string{"subject_token", token, "subject_token_type", "access_token"}, "invalid_request"},
		"a refresh token back": {[]string{"subject_token", token, "subject_token_type", kind, "requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"}, "invalid_request"},
		"an actor":             {[]string{"subject_token", token, "subject_token_type", kind, "actor_token", token, "actor_token_type", kind}, "invalid_request"},
		"subject twice":        {[]string{"subject_token", token, "subject_token", token, "subject_token_type", kind}, "invalid_request"},
		"a resource":           {[]string{"subject_token", token, "subject_token_type", kind, "resource", "https://api.example"}, "invalid_target"},
		"an audience":          {[]string{"subject_token", token, "subject_token_type", kind, "audience", "api"}, "invalid_target"},
	} {
		got := m.Server.Form("/oauth/token", append(append(kit.ClientFields("front"), "grant_type", grants.GrantTokenExchange), test.fields...)...)
		if got.Status != http.StatusBadRequest || got.Field("error") != test.code || got.Field("access_token") != "" {
			t.Errorf("%s: got %d %s, want %s", what, got.Status, got.Body, test.code)
		}
	}
}

// oneSignIn tests that each token of a long chain of exchanges has the claims of the first
// sign-in.
func oneSignIn(t *testing.T, m *kit.ElasticPath) {
	one, two := m.AddAccount("Chain one"), m.AddAccount("Chain two")
	p := m.AddShopper("chained", one, two)
	began := m.Clock.Now().Unix()
	choice := mustSelect(m, "sign-in", m.Server.MemberGrant("front", "username", p.Username, "one_time_password", addKnownCode(m, p)))
	m.Clock.Advance(2 * time.Minute)
	tokens := map[string]string{}
	chosen := kit.TokenPairOf(t, "choice", m.Server.MemberGrant("front", "selection_token", choice.Token, "account_id", one.ID))
	tokens["chosen"] = chosen.Access
	m.Clock.Advance(time.Minute)
	tokens["refreshed"] = kit.TokenPairOf(t, "refresh", m.Server.RefreshThrough("front", chosen.Refresh)).Access
	tokens["exchanged"] = kit.MustIssue(t, "exchange", m.Server.ExchangeToken("front", tokens["refreshed"], "account_id", two.ID)).Field("access_token")
	m.Clock.Advance(time.Minute)
	tokens["held"] = kit.MustIssue(t, "held", m.Server.MemberGrant("front", "member_token", tokens["exchanged"], "account_id", one.ID)).Field("access_token")
	for what, token := range tokens {
		c := kit.ClaimsOf(t, token)
		if diff := cmp.Diff([]string{"otp"}, c.AMR); diff != "" || c.AuthTime < began || c.AuthTime > began+30 || c.Iat < began+110 {
			t.Errorf("%s: got amr %v, auth_time %d of %d, iat %d", what, c.AMR, c.AuthTime, began, c.Iat)
		}
	}
}
