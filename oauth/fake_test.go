package oauth

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"latchkey/grants"
	"latchkey/keys"
	"latchkey/storage"
)

const formType = "application/x-www-form-urlencoded"

const testIssuer = "https://id.example/auth"

// start is the time at which every test begins, some microseconds into a second.
var start = time.Date(2026, 5, 4, 12, 0, 0, 250_007_000, time.UTC)

// fixture is a server with a store in memory. It has one client, one user and two accounts.
type fixture struct {
	mu       sync.Mutex
	now      time.Time
	fail     error // if set, the error of every look-up
	clients  map[string]*storage.Client
	login    storage.Principal
	members  []storage.Member
	revoked  map[string]bool
	families map[string]*storage.TokenFamily
	refs     []storage.TokenRef // tokens that were looked up

	rememberedUntil []time.Time // times that SpendID and RevokeToken got
	spendFails      bool        // SpendID fails with ErrUnavailable

	ring      *keys.Ring
	cfg       Config
	endpoints *Endpoints
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	w := &fixture{
		now: start, revoked: map[string]bool{}, families: map[string]*storage.TokenFamily{},
		login: storage.Principal{
			Key: storage.LoginKey{ProfileID: "default", UsernameKey: "jane"}, Known: true,
			Policy: storage.LockoutPolicy{Threshold: 10, Duration: time.Minute, MaxDuration: time.Hour, ForgetsAfter: time.Hour},
			User:   storage.User{UID: "usr_jane", Kind: storage.Buyer, AccountUID: "acc_home", ID: "jane", Active: true},
			Login: storage.Login{
				ID: "lgn_jane", ProfileID: "default", Username: "Jane", UsernameKey: "jane", UserUID: "usr_jane", Active: true,
				PasswordHash: "right",
			},
			Account: storage.Account{UID: "acc_home", Kind: storage.Buyer, ID: "home", Active: true},
			Roles:   []string{"Shopper", "MeAdmin"},
		},
		members: []storage.Member{
			{
				Membership: storage.Membership{ID: "m1", AccountUID: "acc_one", UserUID: "usr_jane", Roles: []string{"BuyerAdmin"}},
				Account:    storage.Account{UID: "acc_one", Kind: storage.Buyer, ID: "one", Name: "One", Active: true},
			},
			{
				Membership: storage.Membership{ID: "m2", AccountUID: "acc_two", UserUID: "usr_jane"},
				Account:    storage.Account{UID: "acc_two", Kind: storage.Buyer, ID: "two", Name: "Two", Active: true},
			},
		},
		clients: map[string]*storage.Client{},
	}
	w.addClient("shop", func(c *storage.Client) { c.Public = true })
	sealer, err := keys.NewSealer(bytes.Repeat([]byte{1}, keys.MasterKeySize))
	if err != nil {
		t.Fatal(err)
	}
	store := &keyStore{}
	peppers, err := keys.LoadPeppers(t.Context(), store, sealer, nil, start)
	if err != nil {
		t.Fatal(err)
	}
	if w.ring, err = keys.NewRing(t.Context(), keys.RingConfig{Store: store, Sealer: sealer, Algs: []string{keys.ES256}, Now: w.clock}); err != nil {
		t.Fatal(err)
	}
	w.cfg = Config{
		Issuer: testIssuer, Clients: w, SignIns: w, Families: w, Tokens: w, Members: w, Profiles: w, Authorizations: noAuthorizations{}, Sealer: sealer,
		Codes: w, Passwords: w, Ring: w.ring, Peppers: peppers, Grace: time.Minute, JWKSMaxAge: time.Hour,
		Now: w.clock, Rand: rand.Reader, Logger: zerolog.Nop(),
	}
	w.configure(t, func(*Config) {})
	return w
}

// configure creates new Endpoints on the same data with a changed configuration.
func (w *fixture) configure(t testing.TB, change func(*Config)) {
	t.Helper()
	change(&w.cfg)
	var err error
	if w.endpoints, err = New(w.cfg); err != nil {
		t.Fatal(err)
	}
}

func (w *fixture) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *fixture) addClient(id string, change func(*storage.Client)) {
	c := &storage.Client{
		ID: id, Active: true, ProfileID: "default", AllowAnyBuyer: true,
		GrantTypes:  []string{grants.GrantPassword, grants.GrantRefreshToken, grants.GrantClientCredentials, grants.GrantAccountMember, grants.GrantTokenExchange},
		Credentials: storage.Credentials{OTP: true, Password: true}, AccessTokenTTL: 10 * time.Minute, RefreshTokenTTL: time.Hour,
	}
	change(c)
	w.clients[strings.ToLower(id)] = c
}

// addSecret adds a secret to a client.
func (w *fixture) addSecret(c *storage.Client, secret string) {
	c.Secrets = []storage.ClientSecret{{Digest: grants.DigestClientSecret(w.cfg.Peppers, c.ID, secret)}}
}

func (w *fixture) Client(_ context.Context, id string) (storage.Client, error) {
	if c, ok := w.clients[strings.ToLower(id)]; ok {
		return *c, w.fail
	}
	return storage.Client{}, storage.ErrNotFound
}

func (w *fixture) Principal(_ context.Context, key storage.LoginKey) (storage.Principal, error) {
	if key == w.login.Key {
		return w.login, w.fail
	}
	return storage.Principal{Key: key, Policy: w.login.Policy}, w.fail
}

func (w *fixture) RecordFailure(context.Context, storage.Principal, storage.Lockout, *storage.CodeRequest) error {
	return w.fail
}

func (w *fixture) SettleLogin(_ context.Context, s storage.Settlement) error {
	if s.BeginFamily != nil {
		w.families[s.BeginFamily.ID] = s.BeginFamily
	}
	return w.fail
}

func (w *fixture) Family(_ context.Context, id string) (storage.FamilyState, error) {
	f, ok := w.families[id]
	if !ok {
		return storage.FamilyState{}, storage.ErrNotFound
	}
	return storage.FamilyState{Family: *f, Principal: w.login, Member: w.memberByUID(f.AccountUID)}, w.fail
}

func (w *fixture) AdvanceFamily(_ context.Context, id string, next storage.FamilyAdvance) error {
	f := w.families[id]
	f.Generation, f.RotatedAt, f.Rotations = f.Generation+1, next.Now, next.Rotations
	return w.fail
}

func (w *fixture) RevokeFamily(_ context.Context, id string, now time.Time) error {
	w.families[id].RevokedAt = now
	return w.fail
}

func (w *fixture) TokenStatus(_ context.Context, ref storage.TokenRef) (storage.TokenStatus, error) {
	w.refs = append(w.refs, ref)
	s := storage.TokenStatus{Revoked: w.revoked[ref.JTI], Member: w.memberByUID(ref.AccountUID)}
	if ref.FamilyID != "" {
		f, ok := w.families[ref.FamilyID]
		s.FamilyRevoked = !ok || !f.RevokedAt.IsZero()
		if ok {
			s.FamilyBegan = f.CreatedAt
		}
	}
	if ref.UserUID == w.login.User.UID && ref.LoginID == w.login.Login.ID {
		s.Principal = w.login
	}
	return s, w.fail
}

func (w *fixture) RevokeToken(_ context.Context, jti string, until time.Time) error {
	w.rememberedUntil = append(w.rememberedUntil, until)
	w.revoked[jti] = true
	return w.fail
}

func (w *fixture) SpendID(_ context.Context, id []byte, until time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.spendFails {
		return fmt.Errorf("spend: %w", storage.ErrUnavailable)
	}
	w.rememberedUntil = append(w.rememberedUntil, until)
	if w.revoked[string(id)] {
		return storage.ErrConflict
	}
	w.revoked[string(id)] = true
	return w.fail
}

func (w *fixture) IsSpent(_ context.Context, id []byte) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.revoked[string(id)], w.fail
}

func (w *fixture) InTx(ctx context.Context, fn func(context.Context) error) error { return fn(ctx) }

func (w *fixture) memberByUID(uid string) *storage.Member {
	for _, m := range w.members {
		if m.Account.UID == uid {
			return &m
		}
	}
	return nil
}

func (w *fixture) Members(context.Context, string, int, int) (storage.Page[storage.Member], error) {
	return storage.Page[storage.Member]{Items: w.members, Total: len(w.members)}, w.fail
}

func (w *fixture) Member(_ context.Context, _, accountID string) (storage.Member, error) {
	for _, m := range w.members {
		if m.Account.ID == accountID {
			return m, w.fail
		}
	}
	return storage.Member{}, storage.ErrNotFound
}

func (w *fixture) PasswordProfile(_ context.Context, id string) (storage.PasswordProfile, error) {
	return storage.PasswordProfile{ID: id}, w.fail
}

func (w *fixture) Match(_ storage.Principal, _ string, _ []storage.Purpose, presented string, _ time.Time) bool {
	return presented == "code"
}

func (w *fixture) Verify(_ context.Context, encoded, password string) (ok, upgrade bool, err error) {
	return encoded == password, false, w.fail
}

// DecoyVerify implements signin.PasswordVerifier.
func (w *fixture) DecoyVerify(context.Context, string) error { return w.fail }

// Hash implements signin.PasswordVerifier.
func (w *fixture) Hash(_ context.Context, password string) (string, error) { return password, w.fail }

// keyStore keeps keys and peppers in memory.
type keyStore struct {
	keys    []storage.SigningKey
	peppers []storage.Pepper
}

func (s *keyStore) SigningKeys(context.Context) ([]storage.SigningKey, error) { return s.keys, nil }

func (s *keyStore) ChangeSigningKeys(_ context.Context, c storage.SigningKeyChange) error {
	s.keys = append(s.keys, c.Add...)
	return nil
}

func (s *keyStore) Peppers(context.Context) ([]storage.Pepper, error) { return s.peppers, nil }

func (s *keyStore) AddFirstPepper(_ context.Context, p storage.Pepper) error {
	s.peppers = append(s.peppers, p)
	return nil
}

// post sends a form to an endpoint of the server.
func (w *fixture) post(path string, header http.Header, form ...string) *httptest.ResponseRecorder {
	values := url.Values{}
	for i := 0; i+1 < len(form); i += 2 {
		values.Set(form[i], form[i+1])
	}
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(values.Encode()))
	r.Header.Set("Content-Type", formType)
	for name, value := range header {
		r.Header[name] = value
	}
	mux := http.NewServeMux()
	w.endpoints.Mount(mux)
	rec := httptest.NewRecorder()
	mux.ServeHTTP(rec, r)
	return rec
}

func (w *fixture) held(c *storage.Client, issued string) (grants.SubjectToken, error) {
	return w.endpoints.tokens.VerifySubject(context.Background(), c, issued)
}

func (w *fixture) selection(c *storage.Client, issued string) (grants.SubjectToken, error) {
	return w.endpoints.tokens.VerifySelection(context.Background(), c, issued)
}

// noAuthorizations is a store without authorizations and sessions.
type noAuthorizations struct{ AuthorizationStore }

func (noAuthorizations) Session(context.Context, string) (storage.SessionState, error) {
	return storage.SessionState{}, storage.ErrNotFound
}

func (noAuthorizations) Authorization(context.Context, string) (storage.AuthorizationState, error) {
	return storage.AuthorizationState{}, storage.ErrNotFound
}
