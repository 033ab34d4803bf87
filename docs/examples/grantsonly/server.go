package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"log"
	"net/http"
	"net/netip"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/handler/oauth2"
	fositestorage "github.com/ory/fosite/storage"
	"github.com/ory/fosite/token/jwt"

	"latchkey/grants"
	"latchkey/grants/signin"
	"latchkey/grants/statestore"
	"latchkey/keys"
	"latchkey/otp"
	"latchkey/storage"
)

// server is the existing fosite server. Its last fields are for one-time passwords.
type server struct {
	*http.ServeMux
	issuer  string
	db      *sql.DB
	clients *fositestorage.MemoryStore
	signer  jwt.Signer

	master []byte                                                        // seals the secrets in the database; 32 bytes from outside of it
	send   func(ctx context.Context, to storage.User, code string) error // delivers a code
	codes  *otp.Unqueued
	token  *grants.TokenEndpoint
}

// start assembles the imported parts.
func (s *server) start(ctx context.Context) error {
	store, err := statestore.New(statestore.Config{States: states{s.db}, User: s.user})
	if err != nil {
		return err
	}
	sealer, err := keys.NewSealer(s.master)
	if err != nil {
		return err
	}
	peppers, err := keys.LoadPeppers(ctx, store, sealer, rand.Reader, time.Now())
	if err != nil {
		return err
	}
	codes := otp.NewCodes(peppers)
	s.codes, err = otp.NewUnqueued(otp.UnqueuedConfig{Store: store, Codes: codes, Send: s.send, Failed: func(err error) { log.Print(err) }})
	if err != nil {
		return err
	}
	authenticator, err := signin.NewAuthenticator(signin.AuthenticatorConfig{Store: store, Codes: codes})
	if err != nil {
		return err
	}
	refreshTokens := &grants.RefreshTokens{Peppers: peppers, Rand: rand.Reader}
	refresh := &grants.Refresh{Families: store, AccessTokens: s, RefreshTokens: refreshTokens, Grace: 10 * time.Second, Now: time.Now}
	password := &grants.Password{Authenticator: authenticator, AccessTokens: s, RefreshTokens: refreshTokens, Now: time.Now}
	if s.token, err = grants.NewTokenEndpoint(s.provider(password, refresh), s); err != nil {
		return err
	}
	s.token.NewSession = func(*http.Request) fosite.Session { return &oauth2.JWTSession{} }
	s.token.Address = func(r *http.Request) netip.Addr { // behind a proxy: the address in its header, or all users have one lock
		peer, _ := netip.ParseAddrPort(r.RemoteAddr)
		return peer.Addr()
	}
	s.token.Failed = func(_ *http.Request, err error) { log.Print(err) }
	s.Handle("/token", s.token)
	s.HandleFunc("/code", s.sendCode)
	return nil
}

// provider returns the fosite server with its own client credentials and the handlers. It
// sets the fields that fosite would otherwise set on first use without a lock.
func (s *server) provider(handlers ...fosite.TokenEndpointHandler) fosite.OAuth2Provider {
	config := &fosite.Config{
		AccessTokenIssuer: s.issuer, AccessTokenLifespan: 10 * time.Minute, TokenURL: s.issuer + "/token",
		ScopeStrategy: fosite.ExactScopeStrategy, AudienceMatchingStrategy: fosite.ExactAudienceMatchingStrategy,
		JWTScopeClaimKey:    jwt.JWTScopeFieldString,
		JWKSFetcherStrategy: fosite.NewDefaultJWKSFetcherStrategy(), GlobalSecret: make([]byte, 32), TokenEndpointHandlers: handlers,
	}
	config.ClientSecretsHasher = &fosite.BCrypt{Config: config}
	strategy := &oauth2.DefaultJWTStrategy{Signer: s.signer, HMACSHAStrategy: compose.NewOAuth2HMACStrategy(config), Config: config}
	return compose.Compose(config, s.clients, strategy, compose.OAuth2ClientCredentialsGrantFactory)
}

// Mint implements grants.AccessTokens with the key of the server.
func (s *server) Mint(ctx context.Context, t grants.AccessToken) (string, error) {
	token, _, err := s.signer.Generate(ctx, t.Claims(s.issuer, s.issuer), &jwt.Headers{Extra: map[string]any{"typ": "at+jwt"}})
	return token, err
}

// user implements statestore.Config.User on the users of the server.
func (s *server) user(ctx context.Context, name string) (statestore.User, error) {
	u := statestore.User{Roles: []string{"Shopper"}}
	err := s.db.QueryRowContext(ctx, "SELECT id, email, password_hash FROM users WHERE name = $1", name).Scan(&u.ID, &u.Email, &u.PasswordHash)
	if errors.Is(err, sql.ErrNoRows) {
		return u, storage.ErrNotFound
	}
	return u, err
}

// Client implements grants.ClientStore: it says what each client of the server may do.
func (s *server) Client(_ context.Context, id string) (storage.Client, error) {
	return storage.Client{
		ID: id, Active: true, AllowAnyBuyer: true, Credentials: storage.Credentials{OTP: true, Password: true},
		GrantTypes: []string{grants.GrantPassword, grants.GrantRefreshToken}, RefreshTokenTTL: 24 * time.Hour,
	}, nil
}

// sendCode sends a code. The answer does not show whether the user exists.
func (s *server) sendCode(w http.ResponseWriter, r *http.Request) {
	client, form, err := s.token.Client(w, r)
	if err == nil {
		err = s.codes.Request(r.Context(), client, form.Get("username"))
	}
	if err != nil {
		s.token.WriteError(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
