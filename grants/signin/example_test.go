package signin_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"latchkey/grants/granttest"
	"latchkey/grants/signin"
	"latchkey/grants/statestore"
	"latchkey/storage"
)

// anyCode accepts the code 12345678. In a server *otp.Codes compares codes.
type anyCode struct{}

func (anyCode) Match(p storage.Principal, _ string, _ []storage.Purpose, presented string, now time.Time) bool {
	return presented == "12345678" && p.Login.Code.Live(now)
}

// A sign-in page verifies the code, prepares its answer, and then lets the sign-in take
// effect.
func ExampleAuthenticator() {
	ctx, now := context.Background(), time.Now()
	store, err := statestore.New(statestore.Config{
		States: new(granttest.Memory),
		User: func(context.Context, string) (statestore.User, error) {
			return statestore.User{ID: "usr_1", Roles: []string{"Shopper"}}, nil
		},
	})
	if err != nil {
		panic(err)
	}
	code := storage.Code{ID: "otc_1", Purpose: storage.PurposeSignIn, IssuedAt: now, ExpiresAt: now.Add(10 * time.Minute)}
	if err := store.IssueCode(ctx, "jane", code); err != nil { // otp.Unqueued does so in a server
		panic(err)
	}
	authenticator, err := signin.NewAuthenticator(signin.AuthenticatorConfig{Store: store, Codes: anyCode{}})
	if err != nil {
		panic(err)
	}
	client := &storage.Client{ID: "shop", Active: true, AllowAnyBuyer: true, Credentials: storage.Credentials{OTP: true}}
	attempt := signin.Attempt{Username: "Jane", Secret: "12345678", OTP: true, Purposes: []storage.Purpose{storage.PurposeSignIn}}

	signIn, err := authenticator.Verify(ctx, client, attempt)
	if err != nil {
		panic(err)
	}
	fmt.Println(signIn.Principal.User.UID, signIn.AMR)
	fmt.Println("settled:", authenticator.Settle(ctx, signIn, nil))
	_, err = authenticator.Verify(ctx, client, attempt)
	fmt.Println("again:", errors.Is(err, signin.ErrCredentials))
	// Output:
	// usr_1 otp
	// settled: <nil>
	// again: true
}
