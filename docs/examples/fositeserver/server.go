package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/handler/oauth2"
	"golang.org/x/crypto/bcrypt"

	"latchkey/grants"
	"latchkey/grants/signin"
	"latchkey/keys"
	"latchkey/otp"
	"latchkey/storage"
)

type serverConfig struct {
	Issuer   string
	SendCode func(username, code string) // delivers a one-time password
	Now      func() time.Time
}

// server is the OAuth 2.0 server.
type server struct {
	*http.ServeMux
	store  *store
	oauth  fosite.OAuth2Provider
	codes  *otp.Service
	ring   *keys.Ring
	hasher *signin.Hasher
}

// newServer assembles the imported parts of Latchkey and a fosite server that uses them.
func newServer(ctx context.Context, cfg serverConfig) (*server, error) {
	// A real server reads the master key from outside of its store.
	master := make([]byte, keys.MasterKeySize)
	_, _ = rand.Read(master) // never fails
	sealer, err := keys.NewSealer(master)
	if err != nil {
		return nil, err
	}
	s := &server{ServeMux: http.NewServeMux(), store: newStore(sealer, cfg.SendCode, cfg.Now)}
	if s.ring, err = keys.NewRing(ctx, keys.RingConfig{Store: s.store, Sealer: sealer, Now: cfg.Now}); err != nil {
		return nil, err
	}
	peppers, err := keys.LoadPeppers(ctx, s.store, sealer, rand.Reader, cfg.Now())
	if err != nil {
		return nil, err
	}
	if s.hasher, err = signin.NewHasher(signin.HasherConfig{}); err != nil {
		return nil, err
	}
	codes := otp.NewCodes(peppers)
	s.codes, err = otp.New(otp.Config{
		Store: s.store, People: s.store, Directory: s.store, Codes: codes, Sealer: sealer, Rand: rand.Reader, Now: cfg.Now,
	})
	if err != nil {
		return nil, err
	}
	authenticator, err := signin.NewAuthenticator(signin.AuthenticatorConfig{
		Store: s.store, Codes: codes, Passwords: s.hasher, Now: cfg.Now,
	})
	if err != nil {
		return nil, err
	}
	tokens := minter{ring: s.ring, issuer: cfg.Issuer}
	s.oauth = newProvider(cfg, s.store, signer{s.ring, cfg.Issuer}, fosite.TokenEndpointHandlers{
		&grants.Password{Authenticator: authenticator, AccessTokens: tokens, Now: cfg.Now},
		&grants.AccountMember{Authenticator: authenticator, Members: s.store, AccessTokens: tokens, Now: cfg.Now},
	})
	s.HandleFunc("POST /code", s.serveCode)
	s.HandleFunc("POST /token", s.serveToken)
	s.HandleFunc("GET /keys", s.serveKeys)
	return s, nil
}

// newProvider returns the fosite server with the grants and fosite's own client credentials.
// It sets the fields that fosite would otherwise set on first use without a lock.
func newProvider(cfg serverConfig, s *store, tokens signer, handlers fosite.TokenEndpointHandlers) fosite.OAuth2Provider {
	config := &fosite.Config{
		AccessTokenIssuer: cfg.Issuer, AccessTokenLifespan: 10 * time.Minute, TokenURL: cfg.Issuer + "/token",
		ScopeStrategy: fosite.ExactScopeStrategy, AudienceMatchingStrategy: fosite.ExactAudienceMatchingStrategy,
		JWTScopeClaimKey:    1, // the claim scope as a string (RFC 9068 §2.2.3)
		JWKSFetcherStrategy: fosite.NewDefaultJWKSFetcherStrategy(),
		GlobalSecret:        make([]byte, 32), // for opaque tokens, which this server does not issue
	}
	config.ClientSecretsHasher = &fosite.BCrypt{Config: config}
	config.TokenEndpointHandlers = handlers
	strategy := &oauth2.DefaultJWTStrategy{Signer: tokens, HMACSHAStrategy: compose.NewOAuth2HMACStrategy(config), Config: config}
	return compose.Compose(config, s, strategy, compose.OAuth2ClientCredentialsGrantFactory)
}

// serveCode sends a one-time password to the user with the username. The response does not
// reveal whether the user exists.
func (s *server) serveCode(w http.ResponseWriter, r *http.Request) {
	if !parseForm(w, r) {
		return
	}
	id, _, _ := r.BasicAuth()
	client, err := s.store.Client(r.Context(), id)
	if err == nil {
		err = s.codes.Request(r.Context(), client, otp.Request{Username: r.PostForm.Get("username")})
	}
	switch {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, otp.ErrClientWithoutCodes), errors.Is(err, otp.ErrProfileWithoutCodes):
		http.Error(w, "the client does not accept one-time passwords", http.StatusBadRequest)
	case errors.Is(err, otp.ErrNobodyNamed), errors.Is(err, storage.ErrNotFound):
		http.Error(w, "a known client and a username are required", http.StatusBadRequest)
	default:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "try again", http.StatusServiceUnavailable)
	}
}

func (s *server) serveKeys(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "public, max-age=300") // less than keys.DefaultPublishAhead
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(s.ring.PublicSet())
}

// demo adds a client and two users.
func (s *server) demo(ctx context.Context) error {
	secret, err := bcrypt.GenerateFromPassword([]byte("demo-secret"), bcrypt.MinCost)
	if err != nil {
		return err
	}
	hash, err := s.hasher.Hash(ctx, "correct-Horse-7-battery")
	if err != nil {
		return err
	}
	s.store.clients["shop"] = client{secretHash: secret, Client: grants.Client{Client: &storage.Client{
		ID: "shop", Active: true, ProfileID: profileID, AllowAnyBuyer: true,
		GrantTypes:     []string{grants.GrantPassword, grants.GrantAccountMember, grants.GrantClientCredentials},
		Credentials:    storage.Credentials{OTP: true, Password: true},
		AccessTokenTTL: 10 * time.Minute,
	}}}
	s.store.users["jane"] = &user{
		Email: "jane@example.com", PasswordHash: hash, Roles: []string{"Shopper"},
		Accounts: map[string][]string{"acme": {"Buy", "Approve"}},
	}
	s.store.users["john"] = &user{
		Email: "john@example.com", Roles: []string{"Shopper"},
		Accounts: map[string][]string{"acme": {"Buy"}, "bricks": {"Buy"}},
	}
	return nil
}
