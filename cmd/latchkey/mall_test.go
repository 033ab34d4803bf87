package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"latchkey/grants"
	"latchkey/otp"
	"latchkey/storage"
)

// mallDocument is the world of Elastic Path's storefronts: the clients "front"
// and "till" may do all that a storefront does, "capped" is one with a ceiling,
// "bare" one without grants for accounts. Nobody in it has a password.
const mallDocument = `
authentication_realms:
  - id: default
    password_profiles:
      - {id: wordy, name: No codes, enable_one_time_password_token: false}
ApiClients:
  - &front {ID: front, AppName: Storefront, ClientSecret: shop-secret-shop-secret-shop-secret, Active: true, AccessTokenDuration: 60, RefreshTokenDuration: 2880, AllowAnyBuyer: true,
     AllowedCredentials: [otp, password],
     GrantTypes: [implicit, password, refresh_token, "urn:latchkey:params:oauth:grant-type:account-member", "urn:ietf:params:oauth:grant-type:token-exchange"]}
  - {<<: *front, ID: till, AppName: Other storefront}
  - {<<: *front, ID: capped, AppName: Ceiling, MaximumGrantedRoles: [Shopper]}
  - {<<: *front, ID: bare, AppName: No accounts, GrantTypes: [password, refresh_token]}
  - {<<: *front, ID: otponly, AppName: Codes only, AllowedCredentials: [otp]}
`

const (
	realmV2       = "/v2/authentication-realms/default"
	tokensV2      = "/v2/account-members/tokens"
	settingsV2    = "/v2/settings/account-authentication"
	accountHeader = "EP-Account-Management-Authentication-Token"
	codeRequested = "one-time-password-token-request.created"
)

// mall is an arena that Elastic Path's dialect is spoken in.
type mall struct {
	*arena
	adminSecret string
	receiver    *receiver
}

// TestStorefronts is everything that storefronts do, in Elastic Path's words
// and in OAuth's, in one mall for each database: to open one takes seconds.
func TestStorefronts(t *testing.T) {
	eachMall(t, func(t *testing.T, m *mall) { m.visit(t) })
}

// eachMall runs a test on SQLite and on PostgreSQL.
func eachMall(t *testing.T, test func(t *testing.T, m *mall)) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, openMall(t, "sqlite:"+filepath.Join(t.TempDir(), "latchkey.db"), unhurried))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, openMall(t, postgres(t).Database(t), unhurried))
	})
}

func (m *mall) visit(t *testing.T) {
	for _, group := range []struct {
		name  string
		tests []mallTest
	}{
		{"walk-through", []mallTest{{"both ways", walkThrough}}},
		{"codes", codeTests()},
		{"members", memberTests()},
		{"input", inputTests()},
		{"account-member grant", grantTests()},
		{"kinds of token", kindTests()},
		{"one core", coreTests()},
		{"credentials", credentialTests()},
		{"guess ceiling", []mallTest{{"lax policies", laxPoliciesRefused}}},
	} {
		t.Run(group.name, func(t *testing.T) { m.each(t, group.tests) })
	}
}

// openMall serves a mall with an integration that brings codes to its receiver;
// see world.serve for the settings.
func openMall(t testing.TB, databaseURL string, settings ...string) *mall {
	t.Helper()
	w := &world{t: t, databaseURL: databaseURL, inbox: newInbox(t)}
	w.apply(mallDocument)
	m := &mall{arena: enterArena(w, settings...), receiver: newReceiver(t, "moltin-secret")}
	var admin struct {
		Secret string `json:"client_secret"`
	}
	m.must(json.Unmarshal([]byte(m.run("client", "create", "--id", "admin", "--name", "Admin",
		"--role", "FullAccess", "--grant", "client_credentials")), &admin))
	m.adminSecret = admin.Secret
	m.admin().send(t, http.StatusCreated, http.MethodPost, "/v2/integrations", m.receiver.integration("Codes"))
	return m
}

// each runs subtests one after the other in one mall.
func (m *mall) each(t *testing.T, tests []mallTest) {
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := m.t
			m.t, m.n.t = t, t
			defer func() { m.t, m.n.t = before, before }()
			test.run(t, m)
		})
	}
}

type mallTest struct {
	name string
	run  func(t *testing.T, m *mall)
}

// visitor is who calls /v2: by an access token and perhaps an account token.
type visitor struct {
	n              *node
	bearer, member string
}

func (v visitor) ask(method, path, body string) answer {
	header := []string{"Authorization", "Bearer " + v.bearer}
	if v.member != "" {
		header = append(header, accountHeader, v.member)
	}
	return v.n.do(method, path, "application/json", body, header...)
}

// try sends a resource in its envelope; nil is no body.
func (v visitor) try(method, path string, data jsonObject) answer {
	if data == nil {
		return v.ask(method, path, "")
	}
	body, err := json.Marshal(jsonObject{"data": data})
	if err != nil {
		v.n.t.Error(err)
	}
	return v.ask(method, path, string(body))
}

// send is try for a request that must get that status.
func (v visitor) send(t testing.TB, status int, method, path string, data jsonObject) paper {
	t.Helper()
	return paperOf(t, method+" "+path, status, v.try(method, path, data))
}

// as is the visitor with an account token.
func (v visitor) as(accountToken string) visitor {
	v.member = accountToken
	return v
}

// paper is a JSON document.
type paper struct{ value any }

func paperOf(t testing.TB, what string, status int, a answer) (p paper) {
	t.Helper()
	if a.status != status {
		t.Fatalf("%s: %d %s, want %d", what, a.status, a.body, status)
	}
	if a.body == "" {
		return p
	}
	if err := json.Unmarshal([]byte(a.body), &p.value); err != nil {
		t.Fatalf("%s: %v: %s", what, err, a.body)
	}
	return p
}

// at follows names and indexes; what is not there is nil.
func (p paper) at(path ...any) any {
	v := p.value
	for _, step := range path {
		switch step := step.(type) {
		case string:
			object, _ := v.(map[string]any)
			v = object[step]
		case int:
			list, _ := v.([]any)
			if step >= len(list) {
				return nil
			}
			v = list[step]
		}
	}
	return v
}

func (p paper) text(path ...any) string {
	s, _ := p.at(path...).(string)
	return s
}

// column returns a member of every item of the list.
func (p paper) column(name string) (values []string) {
	items, _ := p.at("data").([]any)
	for i := range items {
		values = append(values, p.text("data", i, name))
	}
	return values
}

// front is a storefront with a fresh implicit token; admin may do everything.
func (m *mall) front() visitor { return m.frontAt(m.n) }

func (m *mall) frontAt(n *node) visitor {
	m.t.Helper()
	got := n.form("/oauth/access_token", "grant_type", "implicit", "client_id", "front")
	return visitor{n: n, bearer: paperOf(m.t, "implicit token", http.StatusOK, got).text("access_token")}
}

func (m *mall) admin() visitor {
	m.t.Helper()
	got := m.n.form("/oauth/access_token", "grant_type", "client_credentials", "client_id", "admin", "client_secret", m.adminSecret)
	return visitor{n: m.n, bearer: paperOf(m.t, "admin token", http.StatusOK, got).text("access_token")}
}

// set changes the account authentication settings.
func (m *mall) set(changes jsonObject) {
	m.t.Helper()
	m.admin().send(m.t, http.StatusOK, http.MethodPut, settingsV2, changes)
}

// company makes an account.
func (m *mall) company(name string) storage.Account {
	m.t.Helper()
	uid, err := storage.NewID(rand.Reader, storage.AccountPrefix)
	m.must(err)
	a, err := m.app.store.PutAccount(m.t.Context(), storage.Account{
		UID: uid, RealmID: storage.DefaultRealmID, Kind: storage.Buyer, ID: uuid.NewString(), Name: name, Active: true,
	})
	m.must(err)
	return a
}

// shopper is a user with a login in the default profile.
type shopper struct{ uid, info, name string }

func (p shopper) userPath() string { return realmV2 + "/user-authentication-info/" + p.uid }

func (p shopper) infoPath() string {
	return p.userPath() + "/user-authentication-password-profile-info/" + p.info
}

// shopper makes one without a password, who is a member of the accounts.
func (m *mall) shopper(name string, accounts ...storage.Account) shopper {
	m.t.Helper()
	return m.shopperWith("", name, accounts...)
}

// shopperWith is shopper with the hash of a password.
func (m *mall) shopperWith(hash, name string, accounts ...storage.Account) shopper {
	m.t.Helper()
	uid, err := storage.NewID(rand.Reader, storage.UserPrefix)
	m.must(err)
	info, err := storage.NewID(rand.Reader, "lgn_")
	m.must(err)
	email := name + "@example.com"
	_, err = m.app.store.AddUser(m.t.Context(), storage.NewUser{
		User: storage.User{
			UID: uid, RealmID: storage.DefaultRealmID, Kind: storage.Buyer, ID: uuid.NewString(), Name: name + " Doe",
			Email: email, EmailKey: otp.NormalizeUsername(email), Active: true,
		},
		Login: &storage.Login{
			ID: info, ProfileID: storage.DefaultProfileID, Username: name, UsernameKey: otp.NormalizeUsername(name),
			PasswordHash: hash, PasswordSetAt: m.clock.now().Add(-time.Hour).UTC(), Active: true,
		},
	})
	m.must(err)
	p := shopper{uid, info, name}
	for _, a := range accounts {
		m.join(p, a, "Buyer", "Shopper")
	}
	return p
}

// join makes a shopper a member, or gives the member other roles.
func (m *mall) join(p shopper, a storage.Account, roles ...string) storage.Membership {
	m.t.Helper()
	membership, err := m.app.store.PutMembership(m.t.Context(), storage.Membership{AccountUID: a.UID, UserUID: p.uid, Roles: roles})
	m.must(err)
	return membership
}

func (m *mall) leave(p shopper, a storage.Account) {
	m.t.Helper()
	m.must(m.app.store.DeleteMembership(m.t.Context(), a.UID, p.uid))
}

// easyCode is what plant gives out in malls.
const easyCode = "K7M2QX9T"

// planted gives a shopper a live code.
func (m *mall) planted(p shopper) string {
	m.t.Helper()
	m.plant(p.name, easyCode, nil)
	return easyCode
}

// resetTokens signs a shopper in by a planted code that was asked for to reset the
// password.
func (m *mall) resetTokens(p shopper) paper {
	m.t.Helper()
	m.plant(p.name, easyCode, func(c *storage.Code) { c.Purpose = storage.PurposeResetPassword })
	return paperOf(m.t, "account tokens", http.StatusCreated, m.front().tokens(byCode("default", p.name, easyCode)))
}

// askFor asks for a one-time password in Elastic Path's words.
func (v visitor) askFor(profile, username, purpose string) answer {
	return v.try(http.MethodPost, realmV2+"/password-profiles/"+profile+"/one-time-password-token-request",
		jsonObject{"type": "one_time_password_token_request", "username": username, "purpose": purpose})
}

// codeOf asks for a code and waits for it.
func (m *mall) codeOf(p shopper, purpose string) string {
	m.t.Helper()
	if got := m.front().askFor("default", p.name, purpose); got.status != http.StatusAccepted || got.body != "" {
		m.t.Fatalf("asked for a code: %d %s", got.status, got.body)
	}
	e := m.receiver.next(m.t)
	if e.Payload.Login.Username != p.name || e.Payload.Purpose != purpose {
		m.t.Fatalf("an event for %q came: %s", e.Payload.Login.Username, e.body)
	}
	return e.Payload.Code
}

// byCode and byPassword are the bodies of requests for account tokens.
func byCode(profile, username, code string) jsonObject {
	return jsonObject{
		"type": "account_management_authentication_token", "authentication_mechanism": "passwordless",
		"password_profile_id": profile, "username": username, "one_time_password_token": code,
	}
}

func byPassword(username, password string) jsonObject {
	return jsonObject{
		"type": "account_management_authentication_token", "authentication_mechanism": "password",
		"password_profile_id": "default", "username": username, "password": password,
	}
}

func byHeld() jsonObject {
	return jsonObject{
		"type":                     "account_management_authentication_token",
		"authentication_mechanism": "account_management_authentication_token",
	}
}

// tokens signs in through the storefront and returns the answer.
func (v visitor) tokens(data jsonObject) answer { return v.try(http.MethodPost, tokensV2, data) }

// accountTokens signs a shopper in by a planted code and returns the answer.
func (m *mall) accountTokens(p shopper) paper {
	m.t.Helper()
	return paperOf(m.t, "account tokens", http.StatusCreated, m.front().tokens(byCode("default", p.name, m.planted(p))))
}

// memberGrant asks for a token scoped to an account.
func (n *node) memberGrant(clientID string, fields ...string) answer {
	all := append(clientFields(clientID), "grant_type", grants.GrantAccountMember)
	return n.form("/oauth/token", append(all, fields...)...)
}

// exchange asks for another token in place of an access token.
func (n *node) exchange(clientID, subject string, fields ...string) answer {
	all := append(clientFields(clientID), "grant_type", grants.GrantTokenExchange,
		"subject_token", subject, "subject_token_type", grants.TokenTypeAccessToken)
	return n.form("/oauth/token", append(all, fields...)...)
}

// failedV2 fails the test unless the answer is what every wrong credential gets.
func failedV2(t testing.TB, what string, a answer) {
	t.Helper()
	const body = `{"errors":[{"title":"Bad Request","status":"400","detail":"authentication failed"}]}`
	if a.status != http.StatusBadRequest || a.body != body {
		t.Errorf("%s: %d %s, want 400 %s", what, a.status, a.body, body)
	}
}

// refusedV2 fails the test unless the answer is a refusal of that status in the
// dialect's envelope, with that detail unless it is "*".
func refusedV2(t testing.TB, what string, a answer, status int, detail string) {
	t.Helper()
	var body struct {
		Errors []struct {
			Title, Detail string
			Status        any
		}
	}
	err := json.Unmarshal([]byte(a.body), &body)
	if err != nil || a.status != status || len(body.Errors) == 0 {
		t.Errorf("%s: %d %s, want %d in an envelope", what, a.status, a.body, status)
		return
	}
	for _, e := range body.Errors {
		number, _ := e.Status.(float64)
		text, _ := e.Status.(string)
		if told := strings.TrimSpace(text); e.Title != http.StatusText(status) || int(number) != status && told != strconv.Itoa(status) {
			t.Errorf("%s: %s", what, a.body)
		}
	}
	if detail != "*" && body.Errors[0].Detail != detail {
		t.Errorf("%s: detail %q, want %q", what, body.Errors[0].Detail, detail)
	}
}

// decoded returns the header and the claims of a token, not verified.
func decoded(t testing.TB, token string) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no JWT", token)
	}
	for i, into := range []*map[string]any{&header, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err == nil {
			err = json.Unmarshal(text, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}
