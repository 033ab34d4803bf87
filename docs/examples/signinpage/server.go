package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/handler/oauth2"
	fositestorage "github.com/ory/fosite/storage"
	"github.com/ory/fosite/token/jwt"
	"golang.org/x/crypto/bcrypt"

	"latchkey/grants"
	"latchkey/grants/signin"
	"latchkey/keys"
	"latchkey/otp"
	"latchkey/storage"
	"latchkey/storage/gormstore"
)

const issuer = "http://127.0.0.1:8090"

// server is a fosite server. Its own clients and authorization codes are in memory; its
// users and their sign-ins are in the database.
type server struct {
	*http.ServeMux
	store         *gormstore.Store
	clients       *fositestorage.MemoryStore
	provider      fosite.OAuth2Provider
	authenticator *signin.Authenticator
	codes         *otp.Unqueued
	token         *grants.TokenEndpoint
}

// newServer opens the database. master seals the keys in it, and comes from outside of it.
func newServer(ctx context.Context, database string, master []byte, send func(context.Context, storage.User, string) error) (*server, error) {
	store, err := gormstore.Open(ctx, gormstore.Config{URL: database})
	if err != nil {
		return nil, err
	}
	if err := store.Migrate(ctx); err != nil {
		return nil, err
	}
	ring, peppers, err := keys.Open(ctx, store, master)
	if err != nil {
		return nil, err
	}
	s := &server{ServeMux: http.NewServeMux(), store: store, clients: fositestorage.NewMemoryStore()}
	digests := otp.NewCodes(peppers)
	if s.codes, err = otp.NewUnqueued(otp.UnqueuedConfig{Store: store, Codes: digests, Send: send, Failed: func(err error) { log.Print(err) }}); err != nil {
		return nil, err
	}
	// One authenticator for the page and the grant, because it bounds the attempts at a login
	// that run at the same time.
	if s.authenticator, err = signin.NewAuthenticator(signin.AuthenticatorConfig{Store: store, Codes: digests}); err != nil {
		return nil, err
	}
	s.provider = s.newProvider(ring, &grants.RefreshTokens{Peppers: peppers, Rand: rand.Reader})
	if s.token, err = grants.NewTokenEndpoint(s.provider, store); err != nil {
		return nil, err
	}
	s.token.Address = userAddress
	s.token.NewSession = func(*http.Request) fosite.Session { return new(oauth2.JWTSession) }
	s.Handle("/token", s.token)
	s.HandleFunc("GET /authorize", s.showPage)
	s.Handle("POST /authorize", http.NewCrossOriginProtection().Handler(http.HandlerFunc(s.signIn))) // only the page sends the form
	s.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(ring.PublicSet()) })
	return s, nil
}

// newProvider returns the fosite server: its own authorization code grant with PKCE, the
// password grant of Latchkey, and a refresh token grant for each.
func (s *server) newProvider(ring *keys.Ring, refreshTokens *grants.RefreshTokens) fosite.OAuth2Provider {
	config := &fosite.Config{
		AccessTokenIssuer: issuer, AccessTokenLifespan: 10 * time.Minute, RefreshTokenLifespan: 24 * time.Hour, TokenURL: issuer + "/token",
		ScopeStrategy: fosite.ExactScopeStrategy, AudienceMatchingStrategy: fosite.ExactAudienceMatchingStrategy,
		JWTScopeClaimKey: jwt.JWTScopeFieldString, EnforcePKCE: true, RefreshTokenScopes: []string{},
		JWKSFetcherStrategy: fosite.NewDefaultJWKSFetcherStrategy(), GlobalSecret: make([]byte, 32),
	}
	_, _ = rand.Read(config.GlobalSecret) // the authorization codes are in memory, so their key may be too
	config.ClientSecretsHasher = &fosite.BCrypt{Config: config}
	strategy := &oauth2.DefaultJWTStrategy{Signer: signer{ring, issuer}, HMACSHAStrategy: compose.NewOAuth2HMACStrategy(config), Config: config}
	mint := grants.MintFunc(func(_ context.Context, t grants.AccessToken) (string, error) {
		return ring.Sign("", keys.TypeAccessToken, t.Claims(issuer, issuer))
	})
	config.TokenEndpointHandlers = fosite.TokenEndpointHandlers{
		&grants.Password{Authenticator: s.authenticator, AccessTokens: mint, RefreshTokens: refreshTokens, Now: time.Now},
		&grants.Refresh{Families: s.store, AccessTokens: mint, RefreshTokens: refreshTokens, Grace: 10 * time.Second, Now: time.Now},
		grants.OtherRefresh(compose.OAuth2RefreshTokenGrantFactory(config, s.clients, strategy).(fosite.TokenEndpointHandler)),
	}
	return compose.Compose(config, s.clients, strategy, compose.OAuth2AuthorizeExplicitFactory, compose.OAuth2PKCEFactory)
}

// demo adds a client and a user, or replaces them.
func (s *server) demo(ctx context.Context) error {
	secret, err := bcrypt.GenerateFromPassword([]byte("demo-secret"), bcrypt.MinCost)
	s.clients.Clients["shop"] = &fosite.DefaultClient{
		ID: "shop", Secret: secret, RedirectURIs: []string{"http://127.0.0.1:9999/callback"}, ResponseTypes: []string{"code"},
		GrantTypes: []string{"authorization_code", "refresh_token"}, Scopes: []string{"Shopper"}, Audience: []string{issuer},
	}
	_, err1 := s.store.PutClient(ctx, storage.Client{
		ID: "shop", Active: true, ProfileID: storage.DefaultProfileID, AllowAnyBuyer: true, Credentials: storage.Credentials{OTP: true},
		GrantTypes: []string{grants.GrantPassword, grants.GrantRefreshToken}, RefreshTokenTTL: 24 * time.Hour,
	})
	_, err2 := s.store.PutAccount(ctx, storage.Account{UID: "acc_1", RealmID: storage.DefaultRealmID, Kind: storage.Buyer, ID: "acme", Name: "Acme", Active: true})
	_, err3 := s.store.PutUser(ctx, storage.User{UID: "usr_1", RealmID: storage.DefaultRealmID, Kind: storage.Buyer, AccountUID: "acc_1", ID: "jane", Email: "jane@example.com", Active: true})
	_, err4 := s.store.PutMembership(ctx, storage.Membership{AccountUID: "acc_1", UserUID: "usr_1", Roles: []string{"Shopper"}})
	_, err5 := s.store.PutLogin(ctx, storage.Login{ID: "lgn_1", ProfileID: storage.DefaultProfileID, Username: "jane", UsernameKey: "jane", UserUID: "usr_1", Active: true})
	return errors.Join(err, err1, err2, err3, err4, err5)
}
