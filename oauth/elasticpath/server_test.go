package elasticpath_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"latchkey/grants"
	"latchkey/grants/signin"
	"latchkey/keys"
	"latchkey/oauth"
	"latchkey/oauth/admin"
	"latchkey/oauth/elasticpath"
	"latchkey/oauth/elasticpath/wire"
	"latchkey/oauth/surface"
	"latchkey/otp"
	"latchkey/storage"
	"latchkey/storage/gormstore"
	"latchkey/storage/gormstore/gormtest"
)

const issuer = "https://id.example"

// testServer serves the dialect with a store on SQLite.
type testServer struct {
	t     *testing.T
	store *gormstore.Store
	mux   *http.ServeMux
	codes *otp.Codes
	api   *elasticpath.API

	peppers *keys.Peppers

	admin, shop string // access tokens of a client with FullAccess and of a storefront
}

func newServer(t *testing.T) *testServer {
	t.Helper()
	ctx := t.Context()
	store, err := gormstore.Open(ctx, gormstore.Config{URL: gormtest.SQLite(t)})
	must(t, err)
	t.Cleanup(func() { must(t, store.Close()) })
	sealer, err := keys.NewSealer(bytes.Repeat([]byte{1}, 32))
	must(t, err)
	peppers, err := keys.LoadPeppers(ctx, store, sealer, rand.Reader, time.Now())
	must(t, err)
	ring, err := keys.NewRing(ctx, keys.RingConfig{Store: store, Sealer: sealer, Algs: []string{"ES256"}})
	must(t, err)
	hasher, err := signin.NewHasher(signin.HasherConfig{})
	must(t, err)
	s := &testServer{t: t, store: store, mux: http.NewServeMux(), codes: otp.NewCodes(peppers), peppers: peppers}
	endpoints, err := oauth.New(oauth.Config{
		Issuer: issuer, Clients: store, SignIns: store, Families: store, Tokens: store, Members: store, Profiles: store, Authorizations: store, Sealer: sealer,
		Codes: s.codes, Passwords: hasher, Ring: ring, Peppers: peppers, Rand: rand.Reader,
	})
	must(t, err)
	passwords, err := signin.NewPasswords(signin.PasswordsConfig{Store: store, Hasher: hasher, Codes: s.codes})
	must(t, err)
	requests, err := otp.New(otp.Config{Store: store, People: store, Directory: store, Codes: s.codes, Sealer: sealer, Rand: rand.Reader})
	must(t, err)
	rules, err := admin.New(store)
	must(t, err)
	s.api, err = elasticpath.New(elasticpath.Config{
		Runtime: surface.Runtime{
			TraceID: func(context.Context) string { return "req_1" },
			Address: func(context.Context) netip.Addr { return netip.MustParseAddr("192.0.2.1") },
			Rand:    rand.Reader, Logger: zerolog.Nop(),
		},
		Issuer: issuer, Rules: rules, Bearer: endpoints.Tokens(), Realms: store, Profiles: store, Users: store, Logins: store, Accounts: store,
		Memberships: store, Senders: store, Codes: requests, Passwords: passwords, SignIns: endpoints.Authenticator(),
		Tokens: endpoints.Tokens(), AccessTokens: endpoints, CallerAddress: endpoints.CallerAddress, Sealer: sealer,
		SignUps: &signin.SignUps{Store: store, Passwords: passwords, Rand: rand.Reader, MinPasswordLength: elasticpath.MinPasswordLength},
	})
	must(t, err)
	s.api.Mount(s.mux)
	s.admin = s.createClient("admin", "FullAccess")
	_, err = store.PutClient(ctx, storage.Client{
		ID: "shop", Name: "shop", Active: true, Public: true, ProfileID: storage.DefaultProfileID, AllowAnyBuyer: true,
		GrantTypes: []string{grants.GrantImplicit}, Credentials: storage.Credentials{OTP: true, Password: true}, AccessTokenTTL: time.Hour,
	})
	must(t, err)
	s.shop = s.accessToken(url.Values{"grant_type": {"implicit"}, "client_id": {"shop"}})
	return s
}

// createClient creates a client with the roles and returns an access token of the client.
func (s *testServer) createClient(id string, roles ...string) string {
	s.t.Helper()
	_, err := s.store.PutClient(s.t.Context(), storage.Client{
		ID: id, Name: id, Active: true, ProfileID: storage.DefaultProfileID, Roles: roles,
		GrantTypes: []string{grants.GrantClientCredentials}, AccessTokenTTL: 10 * time.Hour,
	})
	must(s.t, err)
	must(s.t, s.store.AddClientSecret(s.t.Context(), id, storage.ClientSecret{
		ID: "sec_" + id, Digest: grants.DigestClientSecret(s.peppers, id, "s3cret"),
	}, 10))
	return s.accessToken(url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {"s3cret"}})
}

func (s *testServer) accessToken(form url.Values) string {
	s.t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/oauth/access_token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/json") // as the examples of Elastic Path do
	answer := httptest.NewRecorder()
	s.mux.ServeHTTP(answer, r)
	var got wire.AccessToken
	if answer.Code != http.StatusOK || json.Unmarshal(answer.Body.Bytes(), &got) != nil {
		s.t.Fatalf("access token: got %d %s, want 200", answer.Code, answer.Body)
	}
	left := time.Until(time.Unix(got.Expires, 0))
	if got.TokenType != "Bearer" || got.Identifier != form.Get("grant_type") || left > time.Hour || got.ExpiresIn > 3600 || got.ExpiresIn < 3598 {
		s.t.Errorf("access token: got %s", answer.Body)
	}
	return got.AccessToken
}

// caller has the tokens of a request: an access token, and possibly an account token.
type caller struct{ bearer, member string }

// send sends a request and expects that status. It returns the body.
func (s *testServer) send(who caller, method, path, body string, status int) map[string]any {
	s.t.Helper()
	answer := s.answer(who, method, path, body)
	if answer.Code != status {
		s.t.Fatalf("%s %s: got %d %s, want %d", method, path, answer.Code, answer.Body, status)
	}
	if cache := answer.Header().Get("Cache-Control"); cache != "no-store" {
		s.t.Errorf("%s %s: got Cache-Control %q, want no-store", method, path, cache)
	}
	if answer.Body.Len() == 0 {
		return nil
	}
	var got map[string]any
	if err := json.Unmarshal(answer.Body.Bytes(), &got); err != nil {
		s.t.Fatalf("%s %s: %v: got %s", method, path, err, answer.Body)
	}
	return got
}

func (s *testServer) answer(who caller, method, path, body string) *httptest.ResponseRecorder {
	s.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	if who.bearer != "" {
		r.Header.Set("Authorization", "Bearer "+who.bearer)
	}
	if who.member != "" {
		r.Header.Set("EP-Account-Management-Authentication-Token", who.member)
	}
	answer := httptest.NewRecorder()
	s.mux.ServeHTTP(answer, r)
	return answer
}

// expectRefusal sends a request and expects that status and detail.
func (s *testServer) expectRefusal(who caller, method, path, body string, status int, detail string) {
	s.t.Helper()
	got := s.send(who, method, path, body, status)
	if shown := valueAt(got, "errors", 0, "detail"); shown != detail {
		s.t.Errorf("%s %s %s: got the detail %q, want %q", method, path, body, shown, detail)
	}
}

// valueAt returns the value at a path in a document, or "" if there is none.
func valueAt(document any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			object, _ := document.(map[string]any)
			document = object[step]
		case int:
			list, _ := document.([]any)
			if step >= len(list) {
				return ""
			}
			document = list[step]
		}
	}
	if document == nil {
		return ""
	}
	return document
}

func textAt(document any, path ...any) string {
	s, _ := valueAt(document, path...).(string)
	return s
}

const realm = "/v2/authentication-realms/default"

// shownRealm is the path of the realm as answers show it.
var shownRealm = "/v2/authentication-realms/" + storage.RealmUUID(storage.DefaultRealmID)

// createUser creates a user with a login in the profile, and returns the IDs of both.
func (s *testServer) createUser(profile, username string) (user, info string) {
	s.t.Helper()
	admin := caller{bearer: s.admin}
	made := s.send(admin, "POST", realm+"/user-authentication-info",
		`{"data":{"type":"user_authentication_info","name":"`+username+` Doe","email":"`+username+`@example.com"}}`, 201)
	user = textAt(made, "data", "id")
	made = s.send(admin, "POST", realm+"/user-authentication-info/"+user+"/user-authentication-password-profile-info",
		`{"data":{"type":"user_authentication_password_profile_info","password_profile_id":"`+profile+`","username":"`+username+`","password":"first password"}}`, 201)
	return user, textAt(made, "data", "id")
}

// createProfile creates a password profile that allows one-time passwords.
func (s *testServer) createProfile() string {
	s.t.Helper()
	made := s.send(caller{bearer: s.admin}, "POST", realm+"/password-profiles",
		`{"data":{"type":"password_profile","name":"storefront","enable_one_time_password_token":true}}`, 201)
	return textAt(made, "data", "id")
}

// giveCode issues a code for a login, as the worker does.
func (s *testServer) giveCode(profile, info, code string, purpose storage.Purpose) {
	s.t.Helper()
	now := time.Now().UTC()
	id, err := storage.NewID(rand.Reader, "otr_")
	must(s.t, err)
	must(s.t, s.store.AddCodeRequest(s.t.Context(), storage.CodeRequest{
		ID: id, Type: storage.MessageOneTimePassword, ProfileID: profile, Purpose: purpose, CreatedAt: now, ExpiresAt: now.Add(time.Minute),
	}))
	_, err = s.store.IssueCodes(s.t.Context(), storage.Issuance{RequestID: id, Now: now, Codes: []storage.IssuedCode{{
		LoginID: info, Code: storage.Code{
			ID: "otc_" + id, RequestID: id, Purpose: purpose, Digest: s.codes.Digest(info, code), ExpiresAt: now.Add(time.Minute),
		},
	}}})
	must(s.t, err)
}

// requestTokens requests account tokens with the given members of the body.
func (s *testServer) requestTokens(status int, members string) map[string]any {
	s.t.Helper()
	return s.send(caller{bearer: s.shop}, "POST", "/v2/account-members/tokens",
		`{"data":{"type":"account_management_authentication_token",`+members+`}}`, status)
}

func byPassword(profile, username, password string) string {
	return `"authentication_mechanism":"password","password_profile_id":"` + profile + `","username":"` + username + `","password":"` + password + `"`
}

func byCode(profile, username, code string) string {
	return `"authentication_mechanism":"passwordless","password_profile_id":"` + profile + `","username":"` + username + `","one_time_password_token":"` + code + `"`
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func checkEqual(t *testing.T, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
