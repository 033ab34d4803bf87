package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"net/netip"
	"time"

	"github.com/ory/fosite"
	fositestorage "github.com/ory/fosite/storage"

	"latchkey/grants"
	"latchkey/grants/signin"
	"latchkey/keys"
	"latchkey/otp"
	"latchkey/storage"
	"latchkey/storage/gormstore"
)

const issuer = "http://127.0.0.1:8091"

// server is a fosite server. Its clients are those of fosite, in memory here. What each may
// do is in the database, with the users and their sign-ins.
type server struct {
	*http.ServeMux
	store     *gormstore.Store
	clients   *fositestorage.MemoryStore
	provider  fosite.OAuth2Provider
	authorize *grants.AuthorizeHandler
	codes     *otp.Unqueued
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
	passwords := otp.NewCodes(peppers)
	if s.codes, err = otp.NewUnqueued(otp.UnqueuedConfig{Store: store, Codes: passwords, Send: send, Failed: func(err error) { log.Print(err) }}); err != nil {
		return nil, err
	}
	authenticator, err := signin.NewAuthenticator(signin.AuthenticatorConfig{Store: store, Codes: passwords})
	if err != nil {
		return nil, err
	}
	codes := &grants.AuthorizationCodes{Digests: peppers, Rand: rand.Reader}
	s.authorize = &grants.AuthorizeHandler{
		Issuer: issuer, Clients: store, Authenticator: authenticator, Codes: codes, Rand: rand.Reader, Now: time.Now,
	}
	mint := grants.MintFunc(func(_ context.Context, t grants.AccessToken) (string, error) {
		return ring.Sign("", keys.TypeAccessToken, t.Claims(issuer, issuer))
	})
	refreshTokens := &grants.RefreshTokens{Peppers: peppers, Rand: rand.Reader}
	s.provider = fosite.NewOAuth2Provider(s.clients, &fosite.Config{
		TokenURL: issuer + "/token", GlobalSecret: make([]byte, 32), // fosite's own tokens are not used
		ScopeStrategy: fosite.ExactScopeStrategy, AudienceMatchingStrategy: fosite.ExactAudienceMatchingStrategy,
		ClientSecretsHasher: &fosite.BCrypt{Config: new(fosite.Config)}, JWKSFetcherStrategy: fosite.NewDefaultJWKSFetcherStrategy(),
		AuthorizeEndpointHandlers: fosite.AuthorizeEndpointHandlers{s.authorize},
		TokenEndpointHandlers: fosite.TokenEndpointHandlers{
			&grants.AuthorizationCode{Store: store, Codes: codes, AccessTokens: mint, RefreshTokens: refreshTokens, Recorder: storage.DiscardEvents{}, Now: time.Now},
			&grants.Refresh{Families: store, AccessTokens: mint, RefreshTokens: refreshTokens, Grace: 10 * time.Second, Now: time.Now},
		},
	})
	token, err := grants.NewTokenEndpoint(s.provider, store)
	if err != nil {
		return nil, err
	}
	token.Address = userAddress
	s.Handle("/token", token)
	s.HandleFunc("GET /authorize", s.serveAuthorize)
	s.Handle("POST /authorize", http.NewCrossOriginProtection().Handler(http.HandlerFunc(s.serveAuthorize))) // only the page sends the form
	s.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(ring.PublicSet()) })
	return s, nil
}

// userAddress returns the address of the user. Behind a proxy, it is in the header that the
// proxy sets.
func userAddress(r *http.Request) netip.Addr {
	peer, _ := netip.ParseAddrPort(r.RemoteAddr)
	return peer.Addr()
}

// demo adds a public client and a user, or replaces them.
func (s *server) demo(ctx context.Context) error {
	s.clients.Clients["shop"] = &fosite.DefaultClient{
		ID: "shop", Public: true, RedirectURIs: []string{"http://127.0.0.1:9999/callback"}, ResponseTypes: []string{"code"}, Scopes: []string{"Shopper", "Buyer"},
	}
	_, err1 := s.store.PutClient(ctx, storage.Client{
		ID: "shop", Active: true, Public: true, ProfileID: storage.DefaultProfileID, AllowAnyBuyer: true, Credentials: storage.Credentials{OTP: true},
		GrantTypes: []string{grants.GrantAuthorizationCode, grants.GrantRefreshToken}, RefreshTokenTTL: 24 * time.Hour,
	})
	_, err2 := s.store.PutAccount(ctx, storage.Account{UID: "acc_1", RealmID: storage.DefaultRealmID, Kind: storage.Buyer, ID: "acme", Name: "Acme", Active: true})
	_, err3 := s.store.PutUser(ctx, storage.User{UID: "usr_1", RealmID: storage.DefaultRealmID, Kind: storage.Buyer, AccountUID: "acc_1", ID: "jane", Email: "jane@example.com", Active: true})
	_, err4 := s.store.PutMembership(ctx, storage.Membership{AccountUID: "acc_1", UserUID: "usr_1", Roles: []string{"Shopper"}})
	_, err5 := s.store.PutLogin(ctx, storage.Login{ID: "lgn_1", ProfileID: storage.DefaultProfileID, Username: "jane", UsernameKey: "jane", UserUID: "usr_1", Active: true})
	return errors.Join(err1, err2, err3, err4, err5)
}
