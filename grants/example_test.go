package grants_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"github.com/ory/fosite"

	"latchkey/grants"
	"latchkey/grants/signin"
	"latchkey/otp"
	"latchkey/storage"
)

// shopfront is the store and the signer of a fosite server that imports this package. It has
// one user, Bob, with a known code, and one account, Acme.
type shopfront struct{ bob storage.Principal }

func (s shopfront) Principal(_ context.Context, key storage.LoginKey) (storage.Principal, error) {
	if key == s.bob.Key {
		return s.bob, nil
	}
	return storage.Principal{Key: key}, nil
}

func (shopfront) RecordFailure(context.Context, storage.Principal, storage.Lockout, *storage.CodeRequest) error {
	return nil
}

func (shopfront) SettleLogin(context.Context, storage.Settlement) error { return nil }

func (s shopfront) Members(context.Context, string, int, int) (storage.Page[storage.Member], error) {
	acme, err := s.Member(context.Background(), "", "acme")
	return storage.Page[storage.Member]{Items: []storage.Member{acme}, Total: 1}, err
}

func (shopfront) Member(_ context.Context, _, accountID string) (storage.Member, error) {
	if accountID != "acme" {
		return storage.Member{}, storage.ErrNotFound
	}
	return storage.Member{
		Membership: storage.Membership{Roles: []string{"Buy"}},
		Account:    storage.Account{ID: "acme", Name: "Acme", Active: true},
	}, nil
}

func (shopfront) Mint(_ context.Context, t grants.AccessToken) (string, error) {
	return "token-of-" + t.Principal.Login.Username + "-for-" + t.Member.Account.ID, nil
}

// Match implements signin.CodeMatcher; in the server *otp.Codes does.
func (shopfront) Match(p storage.Principal, _ string, _ []storage.Purpose, presented string, _ time.Time) bool {
	return p.Known && otp.Normalize(presented) == "7K0M1XQZ"
}

// Any fosite server can register the account-member grant as one of its token endpoint
// handlers. Clients that may refresh also need RefreshTokens.
func ExampleAccountMember() {
	hasher, err := signin.NewHasher(signin.HasherConfig{})
	if err != nil {
		panic(err)
	}
	store := shopfront{bob: storage.Principal{
		Key: storage.LoginKey{ProfileID: "default", UsernameKey: "bob"}, Known: true,
		User:  storage.User{UID: "usr_bob", Kind: storage.Buyer, Active: true},
		Login: storage.Login{ID: "lgn_bob", Username: "bob", Active: true},
	}}
	authenticator, err := signin.NewAuthenticator(signin.AuthenticatorConfig{Store: store, Codes: store, Passwords: hasher})
	if err != nil {
		panic(err)
	}
	client := grants.Client{Client: &storage.Client{
		ID: "shop", Active: true, Public: true, ProfileID: "default", AllowAnyBuyer: true,
		GrantTypes: []string{grants.GrantAccountMember}, Credentials: storage.Credentials{OTP: true},
		AccessTokenTTL: time.Minute,
	}}
	server := fosite.NewOAuth2Provider(nil, &fosite.Config{
		TokenEndpointHandlers: fosite.TokenEndpointHandlers{&grants.AccountMember{
			Authenticator: authenticator, Members: store, AccessTokens: store, Now: time.Now,
		}},
		ClientAuthenticationStrategy: func(context.Context, *http.Request, url.Values) (fosite.Client, error) {
			return client, nil
		},
	})

	form := url.Values{"grant_type": {grants.GrantAccountMember}, "username": {"bob"}, "one_time_password": {"7kom-lxqz"}}
	r := httptest.NewRequest(http.MethodPost, "/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request, err := server.NewAccessRequest(r.Context(), r, &grants.Session{})
	if err != nil {
		panic(err)
	}
	response, err := server.NewAccessResponse(r.Context(), request)
	if err != nil {
		panic(err)
	}
	fmt.Println(response.GetAccessToken(), response.GetExtra("scope"))
	// Output: token-of-bob-for-acme Buy
}
