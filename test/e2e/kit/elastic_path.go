package kit

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"latchkey/grants"
	"latchkey/otp"
	"latchkey/storage"
)

// ElasticPathDocument contains the clients of storefronts. "front" and "till" may do everything
// that a storefront does. "capped" has maximum roles, "bare" has no grant for accounts, and
// "otponly" accepts only codes. There are no users.
const ElasticPathDocument = `
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
	RealmPath          = "/v2/authentication-realms/default"
	AccountTokensPath  = "/v2/account-members/tokens"
	SettingsPath       = "/v2/settings/account-authentication"
	AccountTokenHeader = "EP-Account-Management-Authentication-Token"
	CodeRequestedEvent = "one-time-password-token-request.created"
)

// ElasticPath is a OneServer with the clients of ElasticPathDocument, an administrator,
// and an integration that sends codes to the receiver.
type ElasticPath struct {
	*OneServer
	AdminSecret string
	Receiver    *EventReceiver
}

// EachElasticPath runs a test on SQLite and on PostgreSQL.
func EachElasticPath(t *testing.T, test func(t *testing.T, m *ElasticPath)) {
	elasticPathDatabase.each(t, func(t *testing.T, databaseURL string, admin Client) {
		w := &Fixture{T: t, DatabaseURL: databaseURL, Inbox: NewInbox(t), hasOneServerClients: true}
		test(t, newElasticPath(w, admin, LongRequestTimeout))
	})
}

// elasticPathDatabase contains the clients of ElasticPathDocument and of OneServer, and
// an administrator.
var elasticPathDatabase = &prepared[Client]{fill: func(w *Fixture) Client {
	w.Apply(ElasticPathDocument)
	w.Apply(oneServerDocument)
	return w.createAdmin()
}}

// NewElasticPath fills an empty database and starts a server with the settings.
// EachElasticPath is faster.
func NewElasticPath(t testing.TB, databaseURL string, settings ...string) *ElasticPath {
	t.Helper()
	w := &Fixture{T: t, DatabaseURL: databaseURL, Inbox: NewInbox(t)}
	w.Apply(ElasticPathDocument)
	return newElasticPath(w, w.createAdmin(), settings...)
}

// createAdmin creates a client that may do everything.
func (w *Fixture) createAdmin() Client {
	w.T.Helper()
	return w.CreateClient(w.T, "--id", "admin", "--name", "Admin", "--role", "FullAccess", "--grant", "client_credentials")
}

// newElasticPath starts a server, and creates an integration that sends codes to the
// receiver.
func newElasticPath(w *Fixture, admin Client, settings ...string) *ElasticPath {
	w.T.Helper()
	m := &ElasticPath{OneServer: NewOneServer(w, settings...), Receiver: NewEventReceiver(w.T, "moltin-secret"), AdminSecret: admin.Secret}
	m.Admin().Send(w.T, http.StatusCreated, http.MethodPost, "/v2/integrations", m.Receiver.Integration("Codes"))
	return m
}

// Caller calls /v2 with an access token, and with an account token unless it is "".
type Caller struct {
	Server                    *Server
	AccessToken, AccountToken string
}

// SendText sends JSON text.
func (v Caller) SendText(method, path, body string) Response {
	header := []string{"Authorization", "Bearer " + v.AccessToken}
	if v.AccountToken != "" {
		header = append(header, AccountTokenHeader, v.AccountToken)
	}
	return v.Server.Do(method, path, "application/json", body, header...)
}

// Try sends a resource in its envelope. If data is nil, there is no body.
func (v Caller) Try(method, path string, data Object) Response {
	if data == nil {
		return v.SendText(method, path, "")
	}
	body, err := json.Marshal(Object{"data": data})
	if err != nil {
		v.Server.T.Error(err)
	}
	return v.SendText(method, path, string(body))
}

// Send is Try for a request that must be answered with the status.
func (v Caller) Send(t testing.TB, status int, method, path string, data Object) JSON {
	t.Helper()
	return MustJSON(t, method+" "+path, status, v.Try(method, path, data))
}

// JSON is a JSON document.
type JSON struct{ Value any }

// MustJSON returns the body of a response that must have the status.
func MustJSON(t testing.TB, what string, status int, a Response) (p JSON) {
	t.Helper()
	if a.Status != status {
		t.Fatalf("%s: got %d %s, want %d", what, a.Status, a.Body, status)
	}
	if a.Body == "" {
		return p
	}
	if err := json.Unmarshal([]byte(a.Body), &p.Value); err != nil {
		t.Fatalf("%s: got %v for %s", what, err, a.Body)
	}
	return p
}

// At follows names and indexes into the document. It returns nil for what is missing.
func (p JSON) At(path ...any) any {
	v := p.Value
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

// Text is At for a string.
func (p JSON) Text(path ...any) string {
	s, _ := p.At(path...).(string)
	return s
}

// Column returns a member of each item of the list in "data".
func (p JSON) Column(name string) (values []string) {
	items, _ := p.At("data").([]any)
	for i := range items {
		values = append(values, p.Text("data", i, name))
	}
	return values
}

// Storefront returns a caller with a new implicit token.
func (m *ElasticPath) Storefront() Caller { return m.StorefrontAt(m.Server) }

// StorefrontAt is Storefront at another server.
func (m *ElasticPath) StorefrontAt(n *Server) Caller {
	m.T.Helper()
	got := n.Form("/oauth/access_token", "grant_type", "implicit", "client_id", "front")
	return Caller{Server: n, AccessToken: MustJSON(m.T, "implicit token", http.StatusOK, got).Text("access_token")}
}

// Admin returns a caller that may do everything.
func (m *ElasticPath) Admin() Caller {
	m.T.Helper()
	got := m.Server.Form("/oauth/access_token", "grant_type", "client_credentials", "client_id", "admin", "client_secret", m.AdminSecret)
	return Caller{Server: m.Server, AccessToken: MustJSON(m.T, "admin token", http.StatusOK, got).Text("access_token")}
}

// AddAccount creates an account.
func (m *ElasticPath) AddAccount(name string) storage.Account {
	m.T.Helper()
	uid, err := storage.NewID(rand.Reader, storage.AccountPrefix)
	m.Must(err)
	a, err := m.App.Store.PutAccount(m.T.Context(), storage.Account{
		UID: uid, RealmID: storage.DefaultRealmID, Kind: storage.Buyer, ID: uuid.NewString(), Name: name, Active: true,
	})
	m.Must(err)
	return a
}

// Shopper is a user with a login in the default profile.
type Shopper struct{ UID, LoginID, Username string }

// AddShopperWithHash creates a user with the hash of a password, or with no password if it
// is "". The user is a member of the accounts.
func (m *ElasticPath) AddShopperWithHash(hash, name string, accounts ...storage.Account) Shopper {
	m.T.Helper()
	uid, err := storage.NewID(rand.Reader, storage.UserPrefix)
	m.Must(err)
	info, err := storage.NewID(rand.Reader, "lgn_")
	m.Must(err)
	email := name + "@example.com"
	_, err = m.App.Store.AddUser(m.T.Context(), storage.NewUser{
		User: storage.User{
			UID: uid, RealmID: storage.DefaultRealmID, Kind: storage.Buyer, ID: uuid.NewString(), Name: name + " Doe",
			Email: email, EmailKey: otp.NormalizeUsername(email), Active: true,
		},
		Login: &storage.Login{
			ID: info, ProfileID: storage.DefaultProfileID, Username: name, UsernameKey: otp.NormalizeUsername(name),
			PasswordHash: hash, PasswordSetAt: m.Clock.Now().Add(-time.Hour).UTC(), Active: true,
		},
	})
	m.Must(err)
	p := Shopper{uid, info, name}
	for _, a := range accounts {
		m.AddMembership(p, a, "Buyer", "Shopper")
	}
	return p
}

// AddMembership makes a user a member of an account, or gives the member other roles.
func (m *ElasticPath) AddMembership(p Shopper, a storage.Account, roles ...string) storage.Membership {
	m.T.Helper()
	membership, err := m.App.Store.PutMembership(m.T.Context(), storage.Membership{AccountUID: a.UID, UserUID: p.UID, Roles: roles})
	m.Must(err)
	return membership
}

// KnownCode is a code that tests store for a login; see StoreCode.
const KnownCode = "K7M2QX9T"

// RequestCode requests a one-time password token (Elastic Path).
func (v Caller) RequestCode(profile, username, purpose string) Response {
	return v.Try(http.MethodPost, RealmPath+"/password-profiles/"+profile+"/one-time-password-token-request",
		Object{"type": "one_time_password_token_request", "username": username, "purpose": purpose})
}

// DeliveredCode requests a code, waits until the receiver has it, and returns it.
func (m *ElasticPath) DeliveredCode(p Shopper, purpose string) string {
	m.T.Helper()
	if got := m.Storefront().RequestCode("default", p.Username, purpose); got.Status != http.StatusAccepted || got.Body != "" {
		m.T.Fatalf("request for a code: got %d %s, want 202", got.Status, got.Body)
	}
	e := m.Receiver.Next(m.T)
	if e.Payload.Login.Username != p.Username || e.Payload.Purpose != purpose {
		m.T.Fatalf("got an event for %q: %s", e.Payload.Login.Username, e.Body)
	}
	return e.Payload.Code
}

// ByCode returns the body of a request for account tokens by a code.
func ByCode(profile, username, code string) Object {
	return Object{
		"type": "account_management_authentication_token", "authentication_mechanism": "passwordless",
		"password_profile_id": profile, "username": username, "one_time_password_token": code,
	}
}

// ByPassword returns the body of a request for account tokens by a password.
func ByPassword(username, password string) Object {
	return Object{
		"type": "account_management_authentication_token", "authentication_mechanism": "password",
		"password_profile_id": "default", "username": username, "password": password,
	}
}

// ByAccountToken returns the body of a request for account tokens by an account token.
func ByAccountToken() Object {
	return Object{
		"type":                     "account_management_authentication_token",
		"authentication_mechanism": "account_management_authentication_token",
	}
}

// AccountTokens requests account tokens; data is ByCode, ByPassword or ByAccountToken.
func (v Caller) AccountTokens(data Object) Response {
	return v.Try(http.MethodPost, AccountTokensPath, data)
}

// MemberGrant sends a request of the account-member grant.
func (n *Server) MemberGrant(clientID string, fields ...string) Response {
	all := append(ClientFields(clientID), "grant_type", grants.GrantAccountMember)
	return n.Form("/oauth/token", append(all, fields...)...)
}

// ExchangeToken sends a request of the token exchange grant (RFC 8693) for an access token.
func (n *Server) ExchangeToken(clientID, subject string, fields ...string) Response {
	all := append(ClientFields(clientID), "grant_type", grants.GrantTokenExchange,
		"subject_token", subject, "subject_token_type", grants.TokenTypeAccessToken)
	return n.Form("/oauth/token", append(all, fields...)...)
}

// MustFailV2 fails the test unless the response is that to any wrong credential.
func MustFailV2(t testing.TB, what string, a Response) {
	t.Helper()
	const body = `{"errors":[{"title":"Bad Request","status":"400","detail":"authentication failed"}]}`
	if a.Status != http.StatusBadRequest || a.Body != body {
		t.Errorf("%s: got %d %s, want 400 %s", what, a.Status, a.Body, body)
	}
}

// MustRefuseV2 fails the test unless the response is an error of the status in the
// envelope of /v2, with the detail unless that is "*".
func MustRefuseV2(t testing.TB, what string, a Response, status int, detail string) {
	t.Helper()
	var body struct {
		Errors []struct {
			Title, Detail string
			Status        any
		}
	}
	err := json.Unmarshal([]byte(a.Body), &body)
	if err != nil || a.Status != status || len(body.Errors) == 0 {
		t.Errorf("%s: got %d %s, want %d in an envelope", what, a.Status, a.Body, status)
		return
	}
	for _, e := range body.Errors {
		number, _ := e.Status.(float64)
		text, _ := e.Status.(string)
		if shown := strings.TrimSpace(text); e.Title != http.StatusText(status) || int(number) != status && shown != strconv.Itoa(status) {
			t.Errorf("%s: got %s", what, a.Body)
		}
	}
	if detail != "*" && body.Errors[0].Detail != detail {
		t.Errorf("%s: got the detail %q, want %q", what, body.Errors[0].Detail, detail)
	}
}

// DecodeJWT returns the header and the claims of a token. It does not verify the
// signature.
func DecodeJWT(t testing.TB, token string) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("got %q, want a JWT", token)
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

// WithAccountToken returns the caller with an account token.
func (v Caller) WithAccountToken(accountToken string) Caller {
	v.AccountToken = accountToken
	return v
}

// ChangeSettings changes the account authentication settings.
func (m *ElasticPath) ChangeSettings(changes Object) {
	m.T.Helper()
	m.Admin().Send(m.T, http.StatusOK, http.MethodPut, SettingsPath, changes)
}

// AddShopper creates a user without a password, who is a member of the accounts.
func (m *ElasticPath) AddShopper(name string, accounts ...storage.Account) Shopper {
	m.T.Helper()
	return m.AddShopperWithHash("", name, accounts...)
}

// ResetPasswordTokens signs a user in by a code whose purpose is to reset the password.
func (m *ElasticPath) ResetPasswordTokens(p Shopper) JSON {
	m.T.Helper()
	m.StoreCode(p.Username, KnownCode, func(c *storage.Code) { c.Purpose = storage.PurposeResetPassword })
	return MustJSON(m.T, "account tokens", http.StatusCreated, m.Storefront().AccountTokens(ByCode("default", p.Username, KnownCode)))
}
