package load

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"latchkey/config"
	"latchkey/grants"
	"latchkey/oauth/server"
	"latchkey/otp"
	"latchkey/storage"
	"latchkey/storage/gormstore/gormtest"
	"latchkey/storage/storetest/pgtest"
	"latchkey/test/e2e/kit"
)

// durablePostgres starts a PostgreSQL server that syncs its commits to disk, for measurements.
var durablePostgres = pgtest.Shared(pgtest.Config{Migrate: gormtest.Migrate})

// loadFixture is a database with three clients and numbered users, made for counting
// and measuring: "machine" uses client credentials, "shop" passwords, codes
// and refresh tokens, "site" the sign-in pages.
type loadFixture struct {
	tb            testing.TB
	cfg           config.Config
	app           *server.App
	machine, shop kit.Client
	site          kit.Client
	logins        []storage.Login
}

// newLoadFixture fills an empty database. seen gets each statement; it may be nil.
func newLoadFixture(tb testing.TB, databaseURL string, logins int, seen func(sql string)) *loadFixture {
	tb.Helper()
	cfg, err := config.Load(config.Sources{Environ: []string{
		"LATCHKEY_DATABASE_URL=" + databaseURL, "LATCHKEY_MASTER_KEY=" + kit.MasterKey,
		"LATCHKEY_LISTEN=127.0.0.1:0", "LATCHKEY_OPS_LISTEN=127.0.0.1:0",
	}})
	if err != nil {
		tb.Fatal(err)
	}
	a, err := kit.OpenApp(tb.Context(), server.Config{
		Settings: cfg, Now: time.Now, Rand: rand.Reader, Console: io.Discard, OnStatement: seen,
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = a.Close() })
	s := &loadFixture{tb: tb, cfg: cfg, app: a}
	s.must(a.OpenRing(tb.Context()))
	s.machine = s.client("machine", "--grant", grants.GrantClientCredentials, "--role", "Reader", "--role", "Writer")
	s.shop = s.client("shop", "--grant", grants.GrantPassword, "--grant", grants.GrantRefreshToken, "--refresh-token-duration", "1h")
	s.site = s.client("site", "--public", "--grant", grants.GrantAuthorizationCode, "--credential", "otp", "--redirect-uri", siteCallback)
	s.people(logins)
	return s
}

func (s *loadFixture) must(err error) {
	s.tb.Helper()
	if err != nil {
		s.tb.Fatal(err)
	}
}

func (s *loadFixture) client(id string, flags ...string) kit.Client {
	s.tb.Helper()
	w := &kit.Fixture{T: s.tb, DatabaseURL: s.cfg.DatabaseURL.Reveal()}
	return w.CreateClient(s.tb, append(flags, "--name", id, "--id", id, "--access-token-duration", "15m")...)
}

// people creates a buyer whose users have two roles.
func (s *loadFixture) people(logins int) {
	s.tb.Helper()
	store := s.app.Store
	s.must(store.InTx(s.tb.Context(), func(ctx context.Context) error {
		_, err := store.PutSecurityProfile(ctx, storage.SecurityProfile{
			ID: "shopping", RealmID: storage.DefaultRealmID, Name: "Shopping", Roles: []string{"MeAdmin", "Shopper"},
		})
		if err != nil {
			return err
		}
		if err := store.AssignSecurityProfile(ctx, "shopping", storage.AccountParty("acc_acme")); err != nil {
			return err
		}
		_, err = store.PutAccount(ctx, storage.Account{
			UID: "acc_acme", RealmID: storage.DefaultRealmID, Kind: storage.Buyer, ID: "acme", Name: "Acme", Active: true,
		})
		for i := 0; i < logins && err == nil; i++ {
			err = s.person(ctx, fmt.Sprintf("user%06d", i))
		}
		return err
	}))
}

func (s *loadFixture) person(ctx context.Context, name string) error {
	u, err := s.app.Store.PutUser(ctx, storage.User{
		UID: "usr_" + name, RealmID: storage.DefaultRealmID, Kind: storage.Buyer, AccountUID: "acc_acme", ID: name,
		FirstName: "First", LastName: "Last", Email: name + "@example.com", EmailKey: name + "@example.com", Active: true,
	})
	if err != nil {
		return err
	}
	login, err := s.app.Store.PutLogin(ctx, storage.Login{
		ID: "lgn_" + name, ProfileID: storage.DefaultProfileID, Username: name, UsernameKey: name, UserUID: u.UID, Active: true,
	})
	s.logins = append(s.logins, login)
	return err
}

// knownCode is the one-time password of all users.
const knownCode = "K7M2QX9T"

// storeKnownCode stores a fresh code for logins, as the worker does, without a message.
func (s *loadFixture) storeKnownCode(logins []storage.Login) {
	s.tb.Helper()
	now, codes := time.Now().UTC(), otp.NewCodes(s.app.Peppers)
	r := storage.CodeRequest{
		ID: "otr_" + rand.Text(), ClientID: s.shop.ID, ProfileID: storage.DefaultProfileID,
		Purpose: storage.PurposeSignIn, CreatedAt: now, ExpiresAt: now.Add(10 * time.Minute),
	}
	issuance := storage.Issuance{RequestID: r.ID, Now: now}
	for _, l := range logins {
		code := storage.Code{
			ID: "otc_" + rand.Text(), RequestID: r.ID, ClientID: r.ClientID, Purpose: r.Purpose,
			IssuedAt: now, ExpiresAt: r.ExpiresAt,
		}
		codes.SetDigests(&code, &l, knownCode)
		issuance.Codes = append(issuance.Codes, storage.IssuedCode{LoginID: l.ID, Code: code})
	}
	store := s.app.Store
	s.must(store.InTx(s.tb.Context(), func(ctx context.Context) error { // so that no worker sees the request
		if err := store.AddCodeRequest(ctx, r); err != nil {
			return err
		}
		_, err := store.IssueCodes(ctx, issuance)
		return err
	}))
}

// listen starts a replica that is notified of changes, and therefore keeps configuration in
// memory, but does no other work of its own.
func (s *loadFixture) listen() *server.Server {
	s.tb.Helper()
	r, err := server.New(s.app)
	s.must(err)
	ctx, stop := context.WithCancel(context.WithoutCancel(s.tb.Context()))
	done := make(chan error, 1)
	go func() { done <- s.app.Store.Run(ctx) }()
	s.tb.Cleanup(func() {
		stop()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			s.tb.Errorf("change listener: %v", err)
		}
	})
	return r
}

// apiCall is a request and the status that its response must have.
type apiCall struct {
	path, media, body string // without media: a GET
	status            int
	cookie            string // of a browser; empty: none
}

func (c apiCall) http(ctx context.Context) (*http.Request, error) {
	method := http.MethodGet
	if c.media != "" {
		method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(ctx, method, c.path, strings.NewReader(c.body))
	if err != nil {
		return nil, err
	}
	if c.media != "" {
		r.Header.Set("Content-Type", c.media)
	}
	if c.cookie != "" {
		r.Header.Set("Cookie", c.cookie)
	}
	return r, nil
}

func (s *loadFixture) tokenCall(k kit.Client, fields ...string) apiCall {
	form := kit.EncodeForm(append([]string{"client_id", k.ID, "client_secret", k.Secret}, fields...)...)
	return apiCall{path: "/oauth/token", media: kit.FormMedia, body: form, status: http.StatusOK}
}

func (s *loadFixture) machineCall() apiCall {
	return s.tokenCall(s.machine, "grant_type", grants.GrantClientCredentials)
}

func (s *loadFixture) signInCall(login storage.Login, secret string) apiCall {
	return s.tokenCall(s.shop, "grant_type", grants.GrantPassword, "username", login.Username, "password", secret)
}

func (s *loadFixture) refreshCall(token string) apiCall {
	return s.tokenCall(s.shop, "grant_type", grants.GrantRefreshToken, "refresh_token", token)
}

func (s *loadFixture) codeCall(login storage.Login) apiCall {
	body := fmt.Sprintf(`{"ClientID":%q,"Username":%q}`, s.shop.ID, login.Username)
	return apiCall{path: "/v1/password/onetimepassword", media: "application/json", body: body, status: http.StatusNoContent}
}

func (s *loadFixture) introspectCall(token string) apiCall {
	c := s.tokenCall(s.shop, "token", token)
	c.path = "/oauth/introspect"
	return c
}

const siteCallback = "https://site.example/callback"

// siteVerifier is the code verifier of all authorization requests.
const siteVerifier = "a-verifier-of-at-least-forty-three-characters"

// pageCall is an authorization request of a browser without a session, with further
// parameters name, value, …
func (s *loadFixture) pageCall(more ...string) apiCall {
	challenge := sha256.Sum256([]byte(siteVerifier))
	query := kit.EncodeForm(append([]string{
		"client_id", s.site.ID, "redirect_uri", siteCallback, "response_type", "code", "scope", "openid profile", "state", "a-state", "nonce", "a-nonce",
		"code_challenge_method", "S256", "code_challenge", base64.RawURLEncoding.EncodeToString(challenge[:]),
	}, more...)...)
	return apiCall{path: "/oauth/authorize?" + query, status: http.StatusOK}
}

// silentCall is an authorization request of a browser whose user is signed in.
func (s *loadFixture) silentCall(cookie string) apiCall {
	c := s.pageCall("prompt", "none")
	c.cookie, c.status = cookie, http.StatusSeeOther
	return c
}

// exchangeCall redeems the code of a response to silentCall.
func (s *loadFixture) exchangeCall(location string) apiCall {
	target, err := url.Parse(location)
	s.must(err)
	form := kit.EncodeForm("grant_type", grants.GrantAuthorizationCode, "client_id", s.site.ID, "code", target.Query().Get("code"),
		"redirect_uri", siteCallback, "code_verifier", siteVerifier)
	return apiCall{path: "/oauth/token", media: kit.FormMedia, body: form, status: http.StatusOK}
}

// session begins a session of the user, as a sign-in at the pages does, and returns the
// cookie of the browser.
func (s *loadFixture) session(login *storage.Login) string {
	s.tb.Helper()
	id, secret, now := rand.Text(), rand.Text()+rand.Text(), time.Now().UTC()
	s.must(s.app.Store.SettleLogin(s.tb.Context(), storage.Settlement{
		LoginID: login.ID, Resumed: true, Now: now, BeginSession: &storage.Session{
			ID: id, Secret: s.app.Peppers.Digest("browser session", id, secret), ClientID: s.site.ID, UserUID: login.UserUID, LoginID: login.ID,
			AMR: []string{"otp"}, Purpose: storage.PurposeSignIn, AuthTime: now,
			CreatedAt: now, LastUsedAt: now, IdleUntil: now.Add(8 * time.Hour), ExpiresAt: now.Add(24 * time.Hour),
		},
	}))
	return "latchkey=" + id + "." + secret
}

// sessions begins a session for each of the first users, and returns the cookies.
func (s *loadFixture) sessions(n int) []string {
	s.tb.Helper()
	cookies := make([]string, n)
	for i := range cookies {
		cookies[i] = s.session(&s.logins[i])
	}
	return cookies
}
