package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"latchkey/config"
	"latchkey/grants"
	"latchkey/oauth/server"
	"latchkey/otp"
	"latchkey/storage"
	"latchkey/storage/gormstore"
	"latchkey/storage/storetest/pgtest"
)

// durablePostgres starts a PostgreSQL server that keeps its promises, for
// measurements.
var durablePostgres = pgtest.Shared(pgtest.Config{Migrate: func(url string) error {
	store, err := gormstore.Open(context.Background(), gormstore.Config{URL: url})
	if err != nil {
		return err
	}
	return errors.Join(store.Migrate(context.Background()), store.Close())
}})

// stage is a database with two clients and numbered users, made for counting
// and measuring: "machine" uses client credentials, "shop" passwords, codes
// and refresh tokens.
type stage struct {
	tb            testing.TB
	cfg           config.Config
	app           *app
	machine, shop createdClient
	logins        []storage.Login
}

// newStage fills an empty database. seen hears of each statement; it may be
// nil.
func newStage(tb testing.TB, databaseURL string, logins int, seen func(sql string)) *stage {
	tb.Helper()
	cfg, err := config.Load(config.Sources{Environ: []string{
		"LATCHKEY_DATABASE_URL=" + databaseURL, "LATCHKEY_MASTER_KEY=" + testMasterKey,
		"LATCHKEY_LISTEN=127.0.0.1:0", "LATCHKEY_OPS_LISTEN=127.0.0.1:0",
	}})
	if err != nil {
		tb.Fatal(err)
	}
	c := &cli{stdout: io.Discard, stderr: io.Discard, now: time.Now, random: rand.Reader, onStatement: seen}
	a, err := c.openApp(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = a.Close() })
	s := &stage{tb: tb, cfg: cfg, app: a}
	s.must(a.openRing(tb.Context()))
	s.machine = s.client(newClient{name: "machine", grants: []string{grants.GrantClientCredentials}, roles: []string{"Reader", "Writer"}})
	s.shop = s.client(newClient{name: "shop", grants: []string{grants.GrantPassword, grants.GrantRefreshToken}, refreshDuration: time.Hour})
	s.people(logins)
	return s
}

func (s *stage) must(err error) {
	s.tb.Helper()
	if err != nil {
		s.tb.Fatal(err)
	}
}

func (s *stage) client(n newClient) createdClient {
	s.tb.Helper()
	n.id, n.profile, n.accessDuration = n.name, storage.DefaultProfileID, 15*time.Minute
	created, err := s.app.createClient(s.tb.Context(), n)
	s.must(err)
	return created
}

// people makes a buyer whose users have two roles.
func (s *stage) people(logins int) {
	s.tb.Helper()
	store := s.app.store
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

func (s *stage) person(ctx context.Context, name string) error {
	u, err := s.app.store.PutUser(ctx, storage.User{
		UID: "usr_" + name, RealmID: storage.DefaultRealmID, Kind: storage.Buyer, AccountUID: "acc_acme", ID: name,
		FirstName: "First", LastName: "Last", Email: name + "@example.com", EmailKey: name + "@example.com", Active: true,
	})
	if err != nil {
		return err
	}
	login, err := s.app.store.PutLogin(ctx, storage.Login{
		ID: "lgn_" + name, ProfileID: storage.DefaultProfileID, Username: name, UsernameKey: name, UserUID: u.UID, Active: true,
	})
	s.logins = append(s.logins, login)
	return err
}

// plantedCode is everybody's one-time password.
const plantedCode = "K7M2QX9T"

// plant gives logins a fresh code, as the worker would, without a message.
func (s *stage) plant(logins []storage.Login) {
	s.tb.Helper()
	now, codes := time.Now().UTC(), otp.NewCodes(s.app.peppers)
	r := storage.CodeRequest{
		ID: "otr_" + rand.Text(), ClientID: s.shop.ID, ProfileID: storage.DefaultProfileID,
		Purpose: storage.PurposeSignIn, CreatedAt: now, ExpiresAt: now.Add(10 * time.Minute),
	}
	issuance := storage.Issuance{RequestID: r.ID, Now: now}
	for _, l := range logins {
		issuance.Codes = append(issuance.Codes, storage.IssuedCode{LoginID: l.ID, Code: storage.Code{
			ID: "otc_" + rand.Text(), RequestID: r.ID, ClientID: r.ClientID, Purpose: r.Purpose,
			Digest: codes.Digest(l.ID, plantedCode), IssuedAt: now, ExpiresAt: r.ExpiresAt,
		}})
	}
	store := s.app.store
	s.must(store.InTx(s.tb.Context(), func(ctx context.Context) error { // so that no worker sees the request
		if err := store.AddCodeRequest(ctx, r); err != nil {
			return err
		}
		_, err := store.IssueCodes(ctx, issuance)
		return err
	}))
}

// listen makes a replica that hears of changes, and so keeps configuration in
// memory, but does no other work of its own.
func (s *stage) listen() *server.Server {
	s.tb.Helper()
	r, err := server.New(s.app.core)
	s.must(err)
	ctx, stop := context.WithCancel(context.WithoutCancel(s.tb.Context()))
	done := make(chan error, 1)
	go func() { done <- s.app.store.Run(ctx) }()
	s.tb.Cleanup(func() {
		stop()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			s.tb.Errorf("change listener: %v", err)
		}
	})
	return r
}

// apiCall is one request to a stage's server and the status it must get.
type apiCall struct {
	path, media, body string
	status            int
}

func (c apiCall) http(ctx context.Context) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.path, strings.NewReader(c.body))
	if err == nil {
		r.Header.Set("Content-Type", c.media)
	}
	return r, err
}

func (s *stage) tokenCall(k createdClient, fields ...string) apiCall {
	form := encode(append([]string{"client_id", k.ID, "client_secret", k.Secret}, fields...)...)
	return apiCall{"/oauth/token", formMedia, form, http.StatusOK}
}

func (s *stage) machineCall() apiCall {
	return s.tokenCall(s.machine, "grant_type", grants.GrantClientCredentials)
}

func (s *stage) signInCall(login storage.Login, secret string) apiCall {
	return s.tokenCall(s.shop, "grant_type", grants.GrantPassword, "username", login.Username, "password", secret)
}

func (s *stage) refreshCall(token string) apiCall {
	return s.tokenCall(s.shop, "grant_type", grants.GrantRefreshToken, "refresh_token", token)
}

func (s *stage) codeCall(login storage.Login) apiCall {
	body := fmt.Sprintf(`{"ClientID":%q,"Username":%q}`, s.shop.ID, login.Username)
	return apiCall{"/v1/password/onetimepassword", "application/json", body, http.StatusNoContent}
}

func (s *stage) introspectCall(token string) apiCall {
	c := s.tokenCall(s.shop, "token", token)
	c.path = "/oauth/introspect"
	return c
}
