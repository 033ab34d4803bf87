package grants_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"github.com/ory/fosite"

	"latchkey/grants"
	"latchkey/grants/granttest"
	"latchkey/grants/signin"
	"latchkey/grants/statestore"
	"latchkey/keys"
	"latchkey/otp"
	"latchkey/storage"
)

// A whole server: its own users, a store with two methods, and a token endpoint. A real server
// has a database table instead of granttest.Memory, and signs its tokens.
func Example() {
	ctx := context.Background()
	store, err := statestore.New(statestore.Config{
		States: new(granttest.Memory),
		User: func(_ context.Context, name string) (statestore.User, error) {
			if name != "jane" {
				return statestore.User{}, storage.ErrNotFound
			}
			return statestore.User{ID: "usr_1", Email: "jane@example.com", Roles: []string{"Shopper"}}, nil
		},
	})
	check(err)
	sealer, err := keys.NewSealer(make([]byte, keys.MasterKeySize)) // 32 secret random bytes
	check(err)
	peppers, err := keys.LoadPeppers(ctx, store, sealer, rand.Reader, time.Now())
	check(err)
	codes, mailbox := otp.NewCodes(peppers), make(chan string, 1)
	sender, err := otp.NewUnqueued(otp.UnqueuedConfig{
		Store: store, Codes: codes, Send: func(_ context.Context, _ storage.User, code string) error { mailbox <- code; return nil },
	})
	check(err)
	authenticator, err := signin.NewAuthenticator(signin.AuthenticatorConfig{Store: store, Codes: codes})
	check(err)
	mint := grants.MintFunc(func(_ context.Context, t grants.AccessToken) (string, error) {
		return fmt.Sprint("signed-for-", t.Claims("https://id.example")["sub"]), nil
	})
	tokens := &grants.RefreshTokens{Peppers: peppers, Rand: rand.Reader}
	endpoint, err := grants.NewTokenEndpoint(fosite.NewOAuth2Provider(nil, &fosite.Config{
		ClientAuthenticationStrategy: grants.ClientAuthentication(clients{}, peppers, time.Now),
		TokenEndpointHandlers: fosite.TokenEndpointHandlers{
			&grants.Password{Authenticator: authenticator, AccessTokens: mint, RefreshTokens: tokens, Now: time.Now},
			&grants.Refresh{Families: store, AccessTokens: mint, RefreshTokens: tokens, Now: time.Now},
		},
	}), clients{})
	check(err)

	shop, err := clients{}.Client(ctx, "shop")
	check(err)
	check(sender.Request(ctx, shop, "Jane"))
	form := url.Values{"grant_type": {"password"}, "client_id": {"shop"}, "username": {"jane"}, "password": {<-mailbox}}
	for range 2 { // a code works once
		r := httptest.NewRequest(http.MethodPost, "/token", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		endpoint.ServeHTTP(w, r)
		fmt.Println(w.Code, strings.Contains(w.Body.String(), "signed-for-usr_1"))
	}
	// Output:
	// 200 true
	// 400 false
}

// clients is a ClientStore with one public client.
type clients struct{}

func (clients) Client(_ context.Context, id string) (storage.Client, error) {
	if id != "shop" {
		return storage.Client{}, storage.ErrNotFound
	}
	return storage.Client{
		ID: "shop", Active: true, Public: true, AllowAnyBuyer: true, Credentials: storage.Credentials{OTP: true},
		GrantTypes: []string{grants.GrantPassword},
	}, nil
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// CheckClient says why users of the client would always be refused.
func ExampleCheckClient() {
	fmt.Println(grants.CheckClient(storage.Client{ID: "shop", Active: true, GrantTypes: []string{grants.GrantPassword}, AllowAnyBuyer: true}))
	// Output: client "shop": Credentials allows neither OTP nor Password
}

// An assembly with a mistake is refused with the name of the field.
func ExampleNewTokenEndpoint() {
	provider := fosite.NewOAuth2Provider(nil, &fosite.Config{
		TokenEndpointHandlers: fosite.TokenEndpointHandlers{&grants.Password{Now: time.Now}},
	})
	_, err := grants.NewTokenEndpoint(provider, nil)
	fmt.Println(err)
	// Output: grants: the field Authenticator of *grants.Password is missing
}

// A handler of one's own answers errors as TokenEndpoint does.
func ExampleRefusalOf() {
	for _, err := range []error{signin.ErrCredentials, storage.ErrUnavailable, fmt.Errorf("an error with internals")} {
		answer, known := grants.RefusalOf(err)
		fmt.Println(answer.Status, answer.Code, known)
	}
	// Output:
	// 400 invalid_grant true
	// 503 temporarily_unavailable true
	// 500 server_error false
}
