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
	"path/filepath"
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
	"latchkey/otp"
	"latchkey/storage"
	"latchkey/storage/gormstore"
)

const issuer = "https://id.example"

// world is the surface over a real store on SQLite.
type world struct {
	t     *testing.T
	store *gormstore.Store
	mux   *http.ServeMux
	codes *otp.Codes
	api   *elasticpath.API

	peppers *keys.Peppers

	admin, shop string // access tokens: of one who may do everything, of a storefront
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ctx := t.Context()
	store, err := gormstore.Open(ctx, gormstore.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "latchkey.db")})
	must(t, err)
	t.Cleanup(func() { must(t, store.Close()) })
	must(t, store.Migrate(ctx))
	sealer, err := keys.NewSealer(bytes.Repeat([]byte{1}, 32))
	must(t, err)
	peppers, err := keys.LoadPeppers(ctx, store, sealer, rand.Reader, time.Now())
	must(t, err)
	ring, err := keys.NewRing(ctx, keys.RingConfig{Store: store, Sealer: sealer, Algs: []string{"ES256"}})
	must(t, err)
	hasher, err := signin.NewHasher(signin.HasherConfig{})
	must(t, err)
	w := &world{t: t, store: store, mux: http.NewServeMux(), codes: otp.NewCodes(peppers), peppers: peppers}
	endpoints, err := oauth.New(oauth.Config{
		Issuer: issuer, Clients: store, SignIns: store, Families: store, Tokens: store, Members: store, Profiles: store,
		Codes: w.codes, Passwords: hasher, Ring: ring, Peppers: peppers, Rand: rand.Reader,
	})
	must(t, err)
	passwords, err := signin.NewPasswords(signin.PasswordsConfig{Store: store, Hasher: hasher, Codes: w.codes})
	must(t, err)
	requests, err := otp.New(otp.Config{Store: store, People: store, Directory: store, Codes: w.codes, Sealer: sealer, Rand: rand.Reader})
	must(t, err)
	rules, err := admin.New(store)
	must(t, err)
	w.api, err = elasticpath.New(elasticpath.Config{
		Issuer: issuer, Rules: rules, Bearer: endpoints.Tokens(), Realms: store, Profiles: store, Users: store, Logins: store, Accounts: store,
		Memberships: store, Senders: store, Codes: requests, Passwords: passwords, SignIns: endpoints.Authenticator(),
		Tokens: endpoints.Tokens(), AccessTokens: endpoints, CallerAddress: endpoints.CallerAddress, Sealer: sealer, Rand: rand.Reader, Logger: zerolog.Nop(),
		TraceID: func(context.Context) string { return "req_1" },
		Address: func(context.Context) netip.Addr { return netip.MustParseAddr("192.0.2.1") },
	})
	must(t, err)
	w.api.Mount(w.mux)
	w.admin = w.client("admin", "FullAccess")
	_, err = store.PutClient(ctx, storage.Client{
		ID: "shop", Name: "shop", Active: true, Public: true, ProfileID: storage.DefaultProfileID, AllowAnyBuyer: true,
		GrantTypes: []string{grants.GrantImplicit}, Credentials: storage.Credentials{OTP: true, Password: true}, AccessTokenTTL: time.Hour,
	})
	must(t, err)
	w.shop = w.accessToken(url.Values{"grant_type": {"implicit"}, "client_id": {"shop"}})
	return w
}

// client makes a client with roles of its own, and returns a token of it.
func (w *world) client(id string, roles ...string) string {
	w.t.Helper()
	_, err := w.store.PutClient(w.t.Context(), storage.Client{
		ID: id, Name: id, Active: true, ProfileID: storage.DefaultProfileID, Roles: roles,
		GrantTypes: []string{grants.GrantClientCredentials}, AccessTokenTTL: 10 * time.Hour,
	})
	must(w.t, err)
	must(w.t, w.store.AddClientSecret(w.t.Context(), id, storage.ClientSecret{
		ID: "sec_" + id, Digest: grants.DigestClientSecret(w.peppers, id, "s3cret"),
	}, 10))
	return w.accessToken(url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {"s3cret"}})
}

func (w *world) accessToken(form url.Values) string {
	w.t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/oauth/access_token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/json") // as the documentation's examples have it
	answer := httptest.NewRecorder()
	w.mux.ServeHTTP(answer, r)
	var got elasticpath.AccessToken
	if answer.Code != http.StatusOK || json.Unmarshal(answer.Body.Bytes(), &got) != nil {
		w.t.Fatalf("access token: %d %s", answer.Code, answer.Body)
	}
	left := time.Until(time.Unix(got.Expires, 0))
	if got.TokenType != "Bearer" || got.Identifier != form.Get("grant_type") || left > time.Hour || got.ExpiresIn > 3600 || got.ExpiresIn < 3598 {
		w.t.Errorf("access token: %s", answer.Body)
	}
	return got.AccessToken
}

// as is who sends a request: by an access token and perhaps an account token.
type as struct{ bearer, member string }

// send sends a request and returns the answer's body, which must have come with
// the status.
func (w *world) send(who as, method, path, body string, status int) map[string]any {
	w.t.Helper()
	answer := w.answer(who, method, path, body)
	if answer.Code != status {
		w.t.Fatalf("%s %s: %d %s, want %d", method, path, answer.Code, answer.Body, status)
	}
	if cache := answer.Header().Get("Cache-Control"); cache != "no-store" {
		w.t.Errorf("%s %s: Cache-Control %q", method, path, cache)
	}
	if answer.Body.Len() == 0 {
		return nil
	}
	var got map[string]any
	if err := json.Unmarshal(answer.Body.Bytes(), &got); err != nil {
		w.t.Fatalf("%s %s: %v: %s", method, path, err, answer.Body)
	}
	return got
}

func (w *world) answer(who as, method, path, body string) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	if who.bearer != "" {
		r.Header.Set("Authorization", "Bearer "+who.bearer)
	}
	if who.member != "" {
		r.Header.Set("EP-Account-Management-Authentication-Token", who.member)
	}
	answer := httptest.NewRecorder()
	w.mux.ServeHTTP(answer, r)
	return answer
}

// refused sends a request that must be refused with the status and the detail.
func (w *world) refused(who as, method, path, body string, status int, detail string) {
	w.t.Helper()
	got := w.send(who, method, path, body, status)
	if told := at(got, "errors", 0, "detail"); told != detail {
		w.t.Errorf("%s %s %s: detail %q, want %q", method, path, body, told, detail)
	}
}

// at returns what is found in a document along a path; "" for nothing.
func at(document any, path ...any) any {
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

func text(document any, path ...any) string {
	s, _ := at(document, path...).(string)
	return s
}

const realm = "/v2/authentication-realms/default"

// shownRealm is the path of the realm in answers.
var shownRealm = "/v2/authentication-realms/" + storage.RealmUUID(storage.DefaultRealmID)

// person makes a user with a login in a profile, and returns both ids.
func (w *world) person(profile, username string) (user, info string) {
	w.t.Helper()
	admin := as{bearer: w.admin}
	made := w.send(admin, "POST", realm+"/user-authentication-info",
		`{"data":{"type":"user_authentication_info","name":"`+username+` Doe","email":"`+username+`@example.com"}}`, 201)
	user = text(made, "data", "id")
	made = w.send(admin, "POST", realm+"/user-authentication-info/"+user+"/user-authentication-password-profile-info",
		`{"data":{"type":"user_authentication_password_profile_info","password_profile_id":"`+profile+`","username":"`+username+`","password":"first password"}}`, 201)
	return user, text(made, "data", "id")
}

// profile makes a password profile with one-time passwords.
func (w *world) profile() string {
	w.t.Helper()
	made := w.send(as{bearer: w.admin}, "POST", realm+"/password-profiles",
		`{"data":{"type":"password_profile","name":"storefront","enable_one_time_password_token":true}}`, 201)
	return text(made, "data", "id")
}

// plant gives a login a code, as the worker would.
func (w *world) plant(profile, info, code string, purpose storage.Purpose) {
	w.t.Helper()
	now := time.Now().UTC()
	id, err := storage.NewID(rand.Reader, "otr_")
	must(w.t, err)
	must(w.t, w.store.AddCodeRequest(w.t.Context(), storage.CodeRequest{
		ID: id, Type: storage.MessageOneTimePassword, ProfileID: profile, Purpose: purpose, CreatedAt: now, ExpiresAt: now.Add(time.Minute),
	}))
	_, err = w.store.IssueCodes(w.t.Context(), storage.Issuance{RequestID: id, Now: now, Codes: []storage.IssuedCode{{
		LoginID: info, Code: storage.Code{
			ID: "otc_" + id, RequestID: id, Purpose: purpose, Digest: w.codes.Digest(info, code), ExpiresAt: now.Add(time.Minute),
		},
	}}})
	must(w.t, err)
}

// tokens asks for account tokens.
func (w *world) tokens(status int, members string) map[string]any {
	w.t.Helper()
	return w.send(as{bearer: w.shop}, "POST", "/v2/account-members/tokens",
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

func equal(t *testing.T, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
