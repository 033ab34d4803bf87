package main

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"latchkey/grants"
)

func memberByPassword(t *testing.T, m *mall) {
	hash, err := hashOfJane()
	m.must(err)
	p := m.shopperWith(hash, "by-password", m.company("By password"))
	got := granted(t, "password", m.n.memberGrant("front", "username", p.name, "password", janesPassword))
	if c := claimsOf(t, got.field("access_token")); !slices.Equal(c.AMR, []string{"pwd"}) {
		t.Errorf("amr %q", c.AMR)
	}
	code := m.planted(p)
	refused(t, "a code as password", m.n.memberGrant("front", "username", p.name, "password", code), refusedSignIn)
	refused(t, "a password as code", m.n.memberGrant("front", "username", p.name, "one_time_password", janesPassword), refusedSignIn)
	refused(t, "through a client of codes", m.n.memberGrant("otponly", "username", p.name, "password", janesPassword), refusedSignIn)
	granted(t, "the code", m.n.memberGrant("otponly", "username", p.name, "one_time_password", code))
}

// memberOfProfile: a login in another profile than the client's is named by it.
func memberOfProfile(t *testing.T, m *mall) {
	p := m.shopper("profiled", m.company("Profiled"))
	code := m.planted(p)
	ask := func(profile, code string) answer {
		return m.n.memberGrant("front", "username", p.name, "password_profile_id", profile, "one_time_password", code)
	}
	for _, profile := range []string{"digits", "wordy", "nonesuch", "DEFAULT"} {
		refused(t, "profile "+profile, ask(profile, code), refusedSignIn)
	}
	granted(t, "its own", ask("default", code))
	uid := m.twin(p, "digits")
	m.join(shopper{uid: uid}, m.company("Twins"))
	if got := m.front().askFor("digits", p.name, "reset_password"); got.status != http.StatusAccepted {
		t.Fatalf("%d %s", got.status, got.body)
	}
	theirs := granted(t, "the twin", ask("digits", m.receiver.next(t).Payload.Code))
	if c := claimsOf(t, theirs.field("access_token")); c.Sub != uid {
		t.Errorf("signed in as %s", c.Sub)
	}
}

// memberRoles: a token has the membership's roles, cut at the client's ceiling
// and at what was asked for.
func memberRoles(t *testing.T, m *mall) {
	acme, bare := m.company("Roles"), m.company("No roles")
	p := m.shopper("roled", acme)
	m.join(p, acme, "Approver", "Buyer", "Shopper")
	m.join(p, bare)
	scope := func(client, account string, more ...string) string {
		t.Helper()
		fields := append([]string{"username", p.name, "one_time_password", m.planted(p), "account_id", account}, more...)
		return claimsOf(t, granted(t, "sign-in", m.n.memberGrant(client, fields...)).field("access_token")).Scope
	}
	for what, got := range map[string][2]string{
		"all":                       {scope("front", acme.ID), "Approver Buyer Shopper"},
		"at the ceiling":            {scope("capped", acme.ID), "Shopper"},
		"asked for":                 {scope("front", acme.ID, "scope", "Buyer FullAccess"), "Buyer"},
		"none":                      {scope("front", bare.ID), ""},
		"asked for, at the ceiling": {scope("capped", acme.ID, "scope", "Shopper Buyer"), "Shopper"},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: scope %q, want %q", what, got[0], got[1])
		}
	}
	for account, wanted := range map[string]string{acme.ID: "FullAccess", bare.ID: "Shopper"} {
		code := m.planted(p)
		got := m.n.memberGrant("front", "username", p.name, "one_time_password", code, "account_id", account, "scope", wanted)
		if got.status != http.StatusBadRequest || got.field("error") != "invalid_scope" {
			t.Errorf("%s: %d %s", wanted, got.status, got.body)
		}
		if l := m.login(p.name); !l.Code.UsedAt.IsZero() {
			t.Error("the code was used up")
		}
	}
}

// memberRefresh: the account stays, its roles are those of the day, and with
// the membership ends the family.
func memberRefresh(t *testing.T, m *mall) {
	acme, other := m.company("Refreshed"), m.company("Also")
	p := m.shopper("refresher", acme, other)
	session := func() pair {
		return pairOf(t, "sign-in", m.n.memberGrant("front", "username", p.name, "one_time_password", m.planted(p), "account_id", acme.ID))
	}
	first := session()
	got := granted(t, "refresh", m.n.refreshAt("front", first.refresh))
	if _, claims := decoded(t, got.field("access_token")); claims["account_id"] != acme.ID || claims["scope"] != "Buyer Shopper" || got.field("account_id") != acme.ID {
		t.Errorf("claims %v", claims)
	}
	m.join(p, acme, "Approver", "Shopper")
	got = granted(t, "after a change of roles", m.n.refreshAt("front", got.field("refresh_token")))
	if scope := claimsOf(t, got.field("access_token")).Scope; scope != "Shopper" {
		t.Errorf("scope %q, want what was granted and is still there", scope)
	}
	m.leave(p, acme)
	refused(t, "no member any more", m.n.refreshAt("front", got.field("refresh_token")), refusedRefresh)
	for _, token := range []string{first.access, got.field("access_token"), got.field("refresh_token")} {
		isInactive(t, "no member any more", m.n.introspectAs("front", token))
	}
	m.join(p, acme, "Shopper")
	p2 := session()
	acme.Active = false
	_, err := m.app.store.PutAccount(t.Context(), acme)
	m.must(err)
	refused(t, "closed account", m.n.refreshAt("front", p2.refresh), refusedRefresh)
	isInactive(t, "closed account", m.n.introspectAs("front", p2.access))
}

// heldTokens stand for a sign-in: an account-scoped access token, one of a
// plain sign-in, or Elastic Path's.
func heldTokens(t *testing.T, m *mall) {
	one, two, foreign := m.company("Held one"), m.company("Held two"), m.company("Held foreign")
	p := m.shopper("holder", one, two)
	vendor := m.accountTokens(p).text("data", 0, "token") // of account one
	scoped := granted(t, "scoped", m.n.memberGrant("front", "username", p.name, "one_time_password", m.planted(p), "account_id", one.ID)).field("access_token")
	plain := granted(t, "plain", m.n.signInTo("front", p.name, m.planted(p))).field("access_token")
	hold := func(client, token string, more ...string) answer {
		return m.n.memberGrant(client, append([]string{"member_token", token}, more...)...)
	}
	for what, token := range map[string]string{"vendor's": vendor, "scoped": scoped, "plain": plain} {
		for _, account := range []string{one.ID, two.ID} {
			got := granted(t, what, hold("front", token, "account_id", account))
			if got.field("account_id") != account || got.field("refresh_token") != "" {
				t.Errorf("%s: %s", what, got.body)
			}
		}
		want := hold("front", token, "account_id", foreign.ID)
		refused(t, what+", another's account", want, refusedHeld)
		sameAnswer(t, what+", unknown account", want, hold("front", token, "account_id", uuid.NewString()))
		sameAnswer(t, what+", another client", want, hold("till", token, "account_id", one.ID))
	}
	for what, token := range map[string]string{"vendor's": vendor, "scoped": scoped} {
		if got := granted(t, what, hold("front", token)); got.field("account_id") != one.ID {
			t.Errorf("%s without account_id: %s", what, got.body)
		}
	}
	if choice := m.mustSelect("plain", hold("front", plain)); choice.Token != "" || choice.Total != 2 {
		t.Errorf("choice %+v", choice)
	}
	narrow := granted(t, "narrow", hold("front", scoped, "scope", "Shopper")).field("access_token")
	if got := hold("front", narrow, "scope", "Buyer"); got.body != refusedScope {
		t.Errorf("wider again: %d %s", got.status, got.body)
	}
	m.lock(p)
	for _, token := range []string{vendor, scoped, plain} {
		refused(t, "locked", hold("front", token, "account_id", one.ID), refusedHeld)
	}
}

func malformedMember(t *testing.T, m *mall) {
	p := m.shopper("malformed", m.company("Malformed"))
	code := m.planted(p)
	for what, fields := range map[string][]string{
		"no credential":       {"username", p.name},
		"no username":         {"one_time_password", code},
		"two credentials":     {"username", p.name, "one_time_password", code, "password", "x"},
		"code and token":      {"username", p.name, "one_time_password", code, "member_token", "x"},
		"token and name":      {"username", p.name, "member_token", "x"},
		"token and profile":   {"password_profile_id", "default", "member_token", "x"},
		"code twice":          {"username", p.name, "one_time_password", code, "one_time_password", code},
		"account twice":       {"username", p.name, "one_time_password", code, "account_id", "a", "account_id", "b"},
		"empty code":          {"username", p.name, "one_time_password", ""},
		"username with a NUL": {"username", p.name + "\x00", "one_time_password", code},
	} {
		if got := m.n.memberGrant("front", fields...); got.status != http.StatusBadRequest || got.field("error") != "invalid_request" {
			t.Errorf("%s: %d %s", what, got.status, got.body)
		}
	}
	if got := m.n.memberGrant("bare", "username", p.name, "one_time_password", code); got.field("error") != "unauthorized_client" {
		t.Errorf("a client without the grant: %d %s", got.status, got.body)
	}
	if got := m.n.exchange("bare", "x"); got.field("error") != "unauthorized_client" {
		t.Errorf("exchange by a client without the grant: %d %s", got.status, got.body)
	}
	if l := m.login(p.name); l.Lockout.Failures != 0 || !l.Code.UsedAt.IsZero() {
		t.Errorf("counted %d failures, code used at %v", l.Lockout.Failures, l.Code.UsedAt)
	}
	granted(t, "the code", m.n.memberGrant("front", "username", p.name, "one_time_password", code))
}

// exchanges: another account, or fewer roles (RFC 8693).
func exchanges(t *testing.T, m *mall) {
	one, two, foreign := m.company("Ex one"), m.company("Ex two"), m.company("Ex foreign")
	p := m.shopper("exchanger", one)
	m.join(p, two, "Approver")
	session := pairOf(t, "sign-in", m.n.memberGrant("front", "username", p.name, "one_time_password", m.planted(p), "account_id", one.ID))
	m.clock.advance(time.Minute)
	got := granted(t, "switch", m.n.exchange("front", session.access, "account_id", two.ID))
	if got.field("issued_token_type") != grants.TokenTypeAccessToken || got.field("refresh_token") != "" || got.field("account_id") != two.ID {
		t.Errorf("answer %s", got.body)
	}
	_, before := decoded(t, session.access)
	_, after := decoded(t, got.field("access_token"))
	if after["scope"] != "Approver" || after["account_id"] != two.ID || after["sid"] != before["sid"] || after["exp"].(float64) > before["exp"].(float64) {
		t.Errorf("claims %v", after)
	}
	// No wider than what is exchanged, in the same account.
	narrow := granted(t, "narrow", m.n.exchange("front", session.access, "scope", "Shopper")).field("access_token")
	if scope := claimsOf(t, narrow).Scope; scope != "Shopper" {
		t.Errorf("scope %q", scope)
	}
	refused(t, "wider again", m.n.exchange("front", narrow, "scope", "Buyer Shopper"), refusedScope)
	refused(t, "wider than granted", m.n.exchange("front", session.access, "scope", "FullAccess"), refusedScope)
	if scope := claimsOf(t, granted(t, "as it is", m.n.exchange("front", narrow)).field("access_token")).Scope; scope != "Shopper" {
		t.Errorf("scope of a narrow token's exchange %q", scope)
	}
	for what, id := range map[string]string{"another's": foreign.ID, "unknown": uuid.NewString(), "internal": two.UID} {
		refused(t, what, m.n.exchange("front", session.access, "account_id", id), refusedTarget)
	}
	m.leave(p, two)
	refused(t, "left", m.n.exchange("front", session.access, "account_id", two.ID), refusedTarget)
	refused(t, "token of an account left", m.n.exchange("front", got.field("access_token")), refusedSubject)

	// What was exchanged ends with the family.
	if got := m.n.revokeFor("front", session.refresh); got.status != http.StatusOK {
		t.Fatalf("revocation: %d %s", got.status, got.body)
	}
	for _, token := range []string{session.access, narrow} {
		refused(t, "revoked family", m.n.exchange("front", token), refusedSubject)
		isInactive(t, "revoked family", m.n.introspectAs("front", token))
	}
}

// subjectTokens that cannot be used are refused alike.
func subjectTokens(t *testing.T, m *mall) {
	acme := m.company("Subjects")
	p := m.shopper("subject", acme)
	signIn := func() string {
		return granted(t, "sign-in", m.n.memberGrant("front", "username", p.name, "one_time_password", m.planted(p))).field("access_token")
	}
	token := signIn()
	refused(t, "another client's", m.n.exchange("till", token), refusedSubject)
	refused(t, "nonsense", m.n.exchange("front", "nonsense"), refusedSubject)
	refused(t, "a client's own", m.n.exchange("front", m.front().bearer), refusedSubject)
	m.lock(p)
	refused(t, "locked user", m.n.exchange("front", token), refusedSubject)
	m.run("user", "unlock", p.name)
	granted(t, "unlocked user", m.n.exchange("front", token))
	granted(t, "as a JWT", m.n.form("/oauth/token", append(clientFields("front"), "grant_type", grants.GrantTokenExchange,
		"subject_token", token, "subject_token_type", grants.TokenTypeJWT)...))
	if got := m.n.revokeFor("front", token); got.status != http.StatusOK {
		t.Errorf("revocation: %d %s", got.status, got.body)
	}
	refused(t, "revoked", m.n.exchange("front", token), refusedSubject)
	token = signIn()
	m.clock.advance(time.Hour + time.Second)
	refused(t, "expired", m.n.exchange("front", token), refusedSubject)
	token = signIn()
	u, err := m.app.store.UserByUID(t.Context(), p.uid)
	m.must(err)
	m.must(m.app.store.RevokeUserTokens(t.Context(), u.UID, m.clock.now().UTC()))
	refused(t, "all tokens ended", m.n.exchange("front", token), refusedSubject)
	token = signIn()
	m.disable(p)
	refused(t, "inactive user", m.n.exchange("front", token), refusedSubject)
}

func malformedExchange(t *testing.T, m *mall) {
	p := m.shopper("malexchange", m.company("Malexchange"))
	token := granted(t, "sign-in", m.n.memberGrant("front", "username", p.name, "one_time_password", m.planted(p))).field("access_token")
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
		got := m.n.form("/oauth/token", append(append(clientFields("front"), "grant_type", grants.GrantTokenExchange), test.fields...)...)
		if got.status != http.StatusBadRequest || got.field("error") != test.code || got.field("access_token") != "" {
			t.Errorf("%s: %d %s, want %s", what, got.status, got.body, test.code)
		}
	}
}

// oneSignIn: however long a chain of tokens is, it tells of the sign-in that it
// began with.
func oneSignIn(t *testing.T, m *mall) {
	one, two := m.company("Chain one"), m.company("Chain two")
	p := m.shopper("chained", one, two)
	began := m.clock.now().Unix()
	choice := m.mustSelect("sign-in", m.n.memberGrant("front", "username", p.name, "one_time_password", m.planted(p)))
	m.clock.advance(2 * time.Minute)
	tokens := map[string]string{}
	chosen := pairOf(t, "choice", m.n.memberGrant("front", "selection_token", choice.Token, "account_id", one.ID))
	tokens["chosen"] = chosen.access
	m.clock.advance(time.Minute)
	tokens["refreshed"] = pairOf(t, "refresh", m.n.refreshAt("front", chosen.refresh)).access
	tokens["exchanged"] = granted(t, "exchange", m.n.exchange("front", tokens["refreshed"], "account_id", two.ID)).field("access_token")
	m.clock.advance(time.Minute)
	tokens["held"] = granted(t, "held", m.n.memberGrant("front", "member_token", tokens["exchanged"], "account_id", one.ID)).field("access_token")
	for what, token := range tokens {
		c := claimsOf(t, token)
		if diff := cmp.Diff([]string{"otp"}, c.AMR); diff != "" || c.AuthTime < began || c.AuthTime > began+30 || c.Iat < began+110 {
			t.Errorf("%s: amr %v, auth_time %d of %d, iat %d", what, c.AMR, c.AuthTime, began, c.Iat)
		}
	}
}
