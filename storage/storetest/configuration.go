package storetest

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"latchkey/storage"
)

func testConfiguration(t *testing.T, s suite) {
	s.run(t, cases{
		"the defaults exist":                    testDefaults,
		"an unused default profile is listed":   testUsedProfiles,
		"a client cannot have the ID of a user": testClientIsNoUser,
		"a realm is stored":                     testRealm,
		"a password profile is stored":          testPasswordProfile,
		"a client is stored":                    testClient,
		"client ids ignore letter case":         testClientCase,
		"client secrets are added and deleted":  testClientSecrets,
		"client secrets change":                 testChangeClientSecret,
		"a sender is stored":                    testSender,
		"an outdated version is stale":          testStale,
		"version 0 overwrites":                  testOverwrite,
		"unknown references are not found":      testReferences,
		"absent records are not found":          testAbsentConfiguration,
		"the store answers":                     func(t *testing.T, w *fixture) { check(t, w.store.Ping(w.ctx)) },
	})
}

func testDefaults(t *testing.T, w *fixture) {
	r := must(w.store.Realm(w.ctx, storage.DefaultRealmID))(t)
	if r.SelfManagement != storage.SelfManagementDisabled || r.DuplicateEmailPolicy != "allowed" || r.SelfSignup {
		t.Fatalf("got the default realm %+v", r)
	}
	p := must(w.store.PasswordProfile(w.ctx, storage.DefaultProfileID))(t)
	equal(t, p.Lockout, storage.LockoutPolicy{
		Threshold: 10, Duration: 2 * time.Minute, MaxDuration: day, ForgetsAfter: day,
	})
	if !p.OneTimeCodes || p.RealmID != storage.DefaultRealmID || p.CodeTTL > 10*time.Minute {
		t.Fatalf("got the default profile %+v", p)
	}
}

// testUsedProfiles checks that the list of used profiles contains the default profile
// only while it has logins.
func testUsedProfiles(t *testing.T, w *fixture) {
	used := storage.Condition{Fields: []string{"Used"}, Tests: []storage.Test{{Op: storage.OpEqual, Value: "true"}}}
	list := func() (ids []string) {
		got := must(w.store.ListPasswordProfiles(w.ctx, storage.DefaultRealmID, storage.Query{Limit: 10, Where: []storage.Condition{used}}))(t)
		for _, p := range got.Items {
			ids = append(ids, p.ID)
		}
		equal(t, got.Total, len(got.Items))
		return ids
	}
	var none []string
	equal(t, list(), []string{storage.DefaultProfileID}) // used by the login of the fixture
	check(t, w.store.DeleteLogin(w.ctx, w.login.ID, 0))
	equal(t, list(), none)
	must(w.store.PutPasswordProfile(w.ctx, storage.PasswordProfile{ID: "own", RealmID: storage.DefaultRealmID, Name: "Own"}))(t)
	equal(t, list(), []string{"own"})
	preset := must(w.store.PasswordProfile(w.ctx, storage.DefaultProfileID))(t)
	preset.Name = "Changed"
	must(w.store.PutPasswordProfile(w.ctx, preset))(t)
	equal(t, list(), []string{storage.DefaultProfileID, "own"})
}

// testClientIsNoUser checks that a client cannot have the UID of a user as its ID.
func testClientIsNoUser(t *testing.T, w *fixture) {
	const ofNobody = "7d1f3f0e-3c5b-8a55-9d0a-5f3f5a6f2c11" // the form decides: a deleted user may have had this ID
	for _, id := range []string{w.user.UID, strings.ToUpper(w.user.UID), ofNobody, strings.ReplaceAll(ofNobody, "-", ""), "usr_1"} {
		_, err := w.store.PutClient(w.ctx, storage.Client{ID: id, ProfileID: storage.DefaultProfileID})
		wantErr(t, err, storage.ErrConflict)
	}
}

// stamped checks the version and the times that a store sets for a new record.
func stamped(t *testing.T, version int64, created, updated time.Time) {
	t.Helper()
	if version != 1 || created.IsZero() || !created.Equal(updated) {
		t.Fatalf("new record has version %d, created %v, updated %v", version, created, updated)
	}
}

func testRealm(t *testing.T, w *fixture) {
	bare := must(w.store.PutRealm(w.ctx, storage.Realm{ID: "bare"}))(t)
	equal(t, bare, storage.Realm{
		ID: "bare", SelfManagement: storage.SelfManagementDisabled, DuplicateEmailPolicy: "allowed",
		Version: 1, CreatedAt: bare.CreatedAt, UpdatedAt: bare.UpdatedAt,
	})
	want := storage.Realm{
		ID: "r2", Name: "Second", SelfSignup: true, AutoCreateAccount: true, SelfManagement: storage.SelfManagementUpdate,
		AccountTokenTTL: time.Hour, RedirectURIs: []string{"https://a.example/x", "https://b.example"}, DuplicateEmailPolicy: "api_only",
	}
	got := must(w.store.PutRealm(w.ctx, want))(t)
	stamped(t, got.Version, got.CreatedAt, got.UpdatedAt)
	want.Version, want.CreatedAt, want.UpdatedAt = got.Version, got.CreatedAt, got.UpdatedAt
	equal(t, got, want)
	equal(t, must(w.store.Realm(w.ctx, "r2"))(t), want)
}

func testPasswordProfile(t *testing.T, w *fixture) {
	want := storage.PasswordProfile{
		ID: "strict", RealmID: storage.DefaultRealmID, Name: "Strict", OneTimeCodes: true, UsernameFormat: "email",
		Code: storage.CodeFormat{Alphabet: "digits", Length: 6}, CodeTTL: 5 * time.Minute,
		Lockout: storage.LockoutPolicy{Threshold: 3, Duration: time.Minute, MaxDuration: time.Hour, ForgetsAfter: 2 * day},
		Rules: storage.PasswordRules{
			MinLength: 10, UpperCase: true, LowerCase: true, Digit: true, Special: true, MaxRepeatedChars: 2,
		},
	}
	got := must(w.store.PutPasswordProfile(w.ctx, want))(t)
	stamped(t, got.Version, got.CreatedAt, got.UpdatedAt)
	want.Version, want.CreatedAt, want.UpdatedAt = got.Version, got.CreatedAt, got.UpdatedAt
	equal(t, got, want)
	equal(t, must(w.store.PasswordProfile(w.ctx, "strict"))(t), want)
}

func fullClient(id string) storage.Client {
	return storage.Client{
		ID: id, Name: "Web", Active: true, Public: true, ProfileID: storage.DefaultProfileID,
		GrantTypes: []string{"password", "refresh_token"}, Credentials: storage.Credentials{OTP: true, Password: true},
		Roles: []string{"A", "B"}, MinimumRoles: []string{"C"}, MaximumRoles: []string{"D", "E"},
		AllowAnyBuyer: true, AllowAnySupplier: true, AllowSeller: true, AccountUIDs: []string{"acc_1", "acc_2"},
		DefaultContextUser: "bob", RequiresContextUser: true, AnonymousBuyer: true,
		AccessTokenTTL: 10 * time.Minute, RefreshTokenTTL: day, RefreshIdleTTL: time.Hour, AnonymousTokenTTL: time.Minute,
		ReuseRefreshTokens: true, SigningAlg: "RS256",
		AuthMethod: storage.AuthMethodPrivateKeyJWT, JWKS: json.RawMessage(`{"keys":[{"kty":"EC","kid":"ü"}]}`),
		Resources: []string{"https://a.example/x?y=z", "urn:b"}, DPoPBound: true, TrustAddress: true,
		RedirectURIs: []string{"com.example.app:/cb", "https://a.example/cb?x=y"}, PostLogoutRedirectURIs: []string{"https://a.example/"},
		BackchannelLogoutURI: "https://a.example/logout", ThirdParty: true, IDTokenAlg: "ES256", RequirePAR: true,
		Registration: storage.Digest{PepperID: "p", Sum: []byte{0, 255, 7}}, XP: json.RawMessage(`{"x": "ü"}`),
	}
}

func testClient(t *testing.T, w *fixture) {
	want := fullClient("Web-1")
	got := must(w.store.PutClient(w.ctx, want))(t)
	stamped(t, got.Version, got.CreatedAt, got.UpdatedAt)
	want.Version, want.CreatedAt, want.UpdatedAt, want.ValidFrom = got.Version, got.CreatedAt, got.UpdatedAt, got.ValidFrom
	equal(t, got, want)
	equal(t, must(w.store.Client(w.ctx, "Web-1"))(t), want)

	bare := must(w.store.PutClient(w.ctx, storage.Client{ID: "bare", ProfileID: storage.DefaultProfileID}))(t)
	equal(t, bare, storage.Client{
		ID: "bare", ProfileID: storage.DefaultProfileID,
		Version: 1, CreatedAt: bare.CreatedAt, UpdatedAt: bare.UpdatedAt, ValidFrom: bare.ValidFrom,
	})
	equal(t, must(w.store.Clients(w.ctx))(t), []storage.Client{bare, want})
}

func testClientCase(t *testing.T, w *fixture) {
	want := must(w.store.PutClient(w.ctx, fullClient("Web-1")))(t)
	equal(t, must(w.store.Client(w.ctx, "wEB-1"))(t), want)
	fails(w.store.PutClient(w.ctx, fullClient("web-1")))(t, storage.ErrConflict)
	fails(w.store.PutClient(w.ctx, fullClient("Latchkey-Console")))(t, storage.ErrConflict) // the ID of the console
	fails(w.store.Client(w.ctx, "web\x00-1"))(t, storage.ErrNotFound)
	fails(w.store.Client(w.ctx, "web\xff-1"))(t, storage.ErrNotFound)
}

func testClientSecrets(t *testing.T, w *fixture) {
	must(w.store.PutClient(w.ctx, fullClient("Web")))(t)
	first := storage.ClientSecret{
		ID: "s1", Name: "first", Digest: storage.Digest{PepperID: "p", Sum: []byte{0, 255, 1}},
		ExpiresAt: w.now.Add(day), CreatedAt: w.now,
	}
	second := storage.ClientSecret{
		ID: "s2", Digest: storage.Digest{PepperID: "p", Sum: []byte{2}}, CreatedAt: w.now.Add(time.Second),
	}
	check(t, w.store.AddClientSecret(w.ctx, "Web", second, 0))
	check(t, w.store.AddClientSecret(w.ctx, "WEB", first, 2))
	wantErr(t, w.store.AddClientSecret(w.ctx, "Web", first, 0), storage.ErrConflict)
	wantErr(t, w.store.AddClientSecret(w.ctx, "nobody", storage.ClientSecret{ID: "s3"}, 0), storage.ErrNotFound)
	equal(t, must(w.store.Client(w.ctx, "web"))(t).Secrets, []storage.ClientSecret{first, second})

	must(w.store.PutClient(w.ctx, fullClient("Web")))(t)
	equal(t, must(w.store.Clients(w.ctx))(t)[0].Secrets, []storage.ClientSecret{first, second})

	wantErr(t, w.store.DeleteClientSecret(w.ctx, "nobody", "s1"), storage.ErrNotFound)
	check(t, w.store.DeleteClientSecret(w.ctx, "wEB", "s1"))
	wantErr(t, w.store.DeleteClientSecret(w.ctx, "Web", "s1"), storage.ErrNotFound)
	equal(t, must(w.store.Client(w.ctx, "web"))(t).Secrets, []storage.ClientSecret{second})
}

func testSender(t *testing.T, w *fixture) {
	must(w.store.PutDeliveryConfig(w.ctx, fullDeliveryConfig("dc-1")))(t)
	want := storage.Sender{
		ID: "hook", RealmID: storage.DefaultRealmID, Name: "Hook", Description: "for tests",
		Active: true, Dialect: storage.ElasticPathDialect, DeliveryConfig: "dc-1", Kind: storage.WebhookSender,
		Types: []storage.MessageType{storage.MessageOneTimePassword, "Other"}, URL: "https://example.com/x?y=z",
		SharedKey: storage.Sealed{KeyID: "k", Data: []byte{1, 0, 2}}, ElevatedRoles: []string{"Admin"},
		AllowAllBuyers: true, AllowSeller: true, AccountUIDs: []string{"acc_1"}, XP: json.RawMessage(`{}`),
		Signature: storage.StandardWebhookSignature, SigningSecrets: storage.Sealed{KeyID: "k2", Data: []byte{3, 0, 4}},
		PublicJWK: json.RawMessage(`{"kty":"EC"}`),
		SMTP: storage.SMTPSettings{
			Host: "mail.example.com", Port: 587, TLS: storage.RequiredTLS, Username: "u",
			Password: storage.Sealed{KeyID: "k3", Data: []byte{5, 0, 6}}, From: "Shop <shop@example.com>", SiteName: "Shop",
		},
	}
	got := must(w.store.PutSender(w.ctx, want))(t)
	stamped(t, got.Version, got.CreatedAt, got.UpdatedAt)
	want.Version, want.CreatedAt, want.UpdatedAt = got.Version, got.CreatedAt, got.UpdatedAt
	equal(t, got, want)
	equal(t, must(w.store.Sender(w.ctx, "hook"))(t), want)

	bare := must(w.store.PutSender(w.ctx, storage.Sender{
		ID: "console", RealmID: storage.DefaultRealmID, Kind: storage.ConsoleSender,
	}))(t)
	equal(t, must(w.store.Senders(w.ctx))(t), []storage.Sender{bare, want})
}

func testStale(t *testing.T, w *fixture) {
	c := must(w.store.PutClient(w.ctx, fullClient("web")))(t)
	c.Name = "Changed"
	second := must(w.store.PutClient(w.ctx, c))(t)
	if second.Version != 2 || !second.CreatedAt.Equal(c.CreatedAt) || second.Name != "Changed" {
		t.Fatalf("after the update: got %+v", second)
	}
	fails(w.store.PutClient(w.ctx, c))(t, storage.ErrStale)
	equal(t, must(w.store.Client(w.ctx, "web"))(t), second)
	gone := fullClient("never-there")
	gone.Version = 3
	fails(w.store.PutClient(w.ctx, gone))(t, storage.ErrStale)

	fails(w.store.PutUser(w.ctx, storage.User{UID: w.user.UID, RealmID: "default", Version: 9}))(t, storage.ErrStale)
	fails(w.store.PutLogin(w.ctx, storage.Login{ID: w.login.ID, Version: 9}))(t, storage.ErrStale)
	fails(w.store.PutRealm(w.ctx, storage.Realm{ID: "default", Version: 9}))(t, storage.ErrStale)
}

func testOverwrite(t *testing.T, w *fixture) {
	first := must(w.store.PutClient(w.ctx, fullClient("web")))(t)
	got := must(w.store.PutClient(w.ctx, storage.Client{ID: "web", ProfileID: storage.DefaultProfileID}))(t)
	equal(t, got, storage.Client{
		ID: "web", ProfileID: storage.DefaultProfileID,
		Version: 2, CreatedAt: first.CreatedAt, UpdatedAt: got.UpdatedAt, ValidFrom: got.ValidFrom,
	})
}

func testReferences(t *testing.T, w *fixture) {
	fails(w.store.PutClient(w.ctx, storage.Client{ID: "c", ProfileID: "nowhere"}))(t, storage.ErrNotFound)
	fails(w.store.PutPasswordProfile(w.ctx, storage.PasswordProfile{ID: "p", RealmID: "nowhere"}))(t, storage.ErrNotFound)
	fails(w.store.PutSender(w.ctx, storage.Sender{ID: "s", RealmID: "nowhere"}))(t, storage.ErrNotFound)
	fails(w.store.PutUser(w.ctx, storage.User{UID: "u", RealmID: "nowhere"}))(t, storage.ErrNotFound)
	fails(w.store.PutLogin(w.ctx, storage.Login{ID: "l", ProfileID: "default", UserUID: "nobody"}))(t, storage.ErrNotFound)
}

func testAbsentConfiguration(t *testing.T, w *fixture) {
	fails(w.store.Realm(w.ctx, "x"))(t, storage.ErrNotFound)
	fails(w.store.PasswordProfile(w.ctx, "x"))(t, storage.ErrNotFound)
	fails(w.store.SecurityProfile(w.ctx, "x"))(t, storage.ErrNotFound)
	fails(w.store.Client(w.ctx, "x"))(t, storage.ErrNotFound)
	fails(w.store.Sender(w.ctx, "x"))(t, storage.ErrNotFound)
}
