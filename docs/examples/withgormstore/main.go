// Command withgormstore is an OAuth 2.0 server on Latchkey's grants and its store.
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/ory/fosite"

	"latchkey/grants"
	"latchkey/grants/signin"
	"latchkey/keys"
	"latchkey/otp"
	"latchkey/storage"
	"latchkey/storage/gormstore"
)

const issuer = "http://127.0.0.1:8089"

func main() {
	s, err := newServer(context.Background(), "sqlite:withgormstore.db", make([]byte, keys.MasterKeySize), func(_ context.Context, to storage.User, code string) error {
		_, err := fmt.Printf("one-time password for %s: %s\n", to.Email, code)
		return err
	})
	if err == nil {
		err = s.demo(context.Background())
	}
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal((&http.Server{Addr: "127.0.0.1:8089", Handler: s, ReadHeaderTimeout: 5 * time.Second}).ListenAndServe())
}

type server struct {
	*http.ServeMux
	store   *gormstore.Store
	peppers *keys.Peppers
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
	codes, err := otp.NewUnqueued(otp.UnqueuedConfig{Store: store, Codes: otp.NewCodes(peppers), Send: send, Failed: func(err error) { log.Print(err) }})
	if err != nil {
		return nil, err
	}
	authenticator, err := signin.NewAuthenticator(signin.AuthenticatorConfig{Store: store, Codes: otp.NewCodes(peppers)})
	if err != nil {
		return nil, err
	}
	mint := grants.MintFunc(func(_ context.Context, t grants.AccessToken) (string, error) {
		return ring.Sign("", keys.TypeAccessToken, t.Claims(issuer, issuer))
	})
	refreshTokens := &grants.RefreshTokens{Peppers: peppers, Rand: rand.Reader}
	refresh := &grants.Refresh{Families: store, AccessTokens: mint, RefreshTokens: refreshTokens, Grace: 10 * time.Second, Now: time.Now}
	token, err := grants.NewTokenEndpoint(fosite.NewOAuth2Provider(nil, &fosite.Config{
		ClientAuthenticationStrategy: grants.ClientAuthentication(store, peppers, time.Now),
		TokenEndpointHandlers: fosite.TokenEndpointHandlers{
			refresh, &grants.Password{Authenticator: authenticator, AccessTokens: mint, RefreshTokens: refreshTokens, Now: time.Now},
			&grants.AccountMember{Authenticator: authenticator, Members: store, AccessTokens: mint, RefreshTokens: refreshTokens, Now: time.Now},
		},
	}), store)
	if err != nil {
		return nil, err
	}
	token.Address = func(r *http.Request) netip.Addr { // behind a proxy: from its header
		peer, _ := netip.ParseAddrPort(r.RemoteAddr)
		return peer.Addr()
	}
	s := &server{http.NewServeMux(), store, peppers}
	s.serve(token, codes, refresh)
	s.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(ring.PublicSet()) })
	return s, nil
}

// serve adds the endpoints for authenticated clients.
func (s *server) serve(token *grants.TokenEndpoint, codes *otp.Unqueued, refresh *grants.Refresh) {
	s.Handle("/token", token)
	for path, serve := range map[string]func(ctx context.Context, c storage.Client, form url.Values) error{
		"/code": func(ctx context.Context, c storage.Client, form url.Values) error {
			return codes.Request(ctx, c, form.Get("username"))
		},
		"/revoke": func(ctx context.Context, c storage.Client, form url.Values) error {
			return refresh.Revoke(ctx, c.ID, form.Get("token"))
		},
	} {
		s.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			client, form, err := token.Client(w, r)
			if err == nil {
				err = serve(r.Context(), client, form)
			}
			if err != nil {
				token.WriteError(w, r, err)
			}
		})
	}
}

// demo adds a client, and a user who belongs to an account.
func (s *server) demo(ctx context.Context) error {
	_, err := s.store.PutClient(ctx, storage.Client{
		ID: "shop", Active: true, ProfileID: storage.DefaultProfileID, AllowAnyBuyer: true, Credentials: storage.Credentials{OTP: true},
		GrantTypes: []string{grants.GrantPassword, grants.GrantAccountMember, grants.GrantRefreshToken}, RefreshTokenTTL: 24 * time.Hour,
	})
	secret := storage.ClientSecret{ID: rand.Text(), Digest: grants.DigestClientSecret(s.peppers, "shop", "demo-secret")}
	err = errors.Join(err, s.store.AddClientSecret(ctx, "shop", secret, 1000))
	_, err1 := s.store.PutAccount(ctx, storage.Account{UID: "acc_1", RealmID: storage.DefaultRealmID, Kind: storage.Buyer, ID: "acme", Name: "Acme", Active: true})
	_, err2 := s.store.PutUser(ctx, storage.User{UID: "usr_1", RealmID: storage.DefaultRealmID, Kind: storage.Buyer, AccountUID: "acc_1", ID: "jane", Email: "jane@example.com", Active: true})
	_, err3 := s.store.PutMembership(ctx, storage.Membership{AccountUID: "acc_1", UserUID: "usr_1", Roles: []string{"Shopper"}})
	_, err4 := s.store.PutLogin(ctx, storage.Login{ID: "lgn_1", ProfileID: storage.DefaultProfileID, Username: "jane", UsernameKey: "jane", UserUID: "usr_1", Active: true})
	return errors.Join(err, err1, err2, err3, err4)
}
