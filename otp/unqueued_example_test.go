package otp_test

import (
	"context"
	"fmt"

	"latchkey/grants/granttest"
	"latchkey/grants/statestore"
	"latchkey/otp"
	"latchkey/storage"
)

// A function sends the codes in the background. The result of a request does not show whether
// the user exists.
func ExampleNewUnqueued() {
	store, err := statestore.New(statestore.Config{
		States: new(granttest.Memory),
		User: func(_ context.Context, name string) (statestore.User, error) {
			if name != "jane" {
				return statestore.User{}, storage.ErrNotFound
			}
			return statestore.User{ID: "usr_1", Email: "jane@example.com"}, nil
		},
	})
	if err != nil {
		panic(err)
	}
	codes, err := otp.NewUnqueued(otp.UnqueuedConfig{
		Store: store,
		Codes: otp.NewCodes(plainDigester{}), // a server uses *keys.Peppers
		Send: func(_ context.Context, to storage.User, code string) error {
			fmt.Println("mail to", to.Email, "with", len(code), "characters")
			return nil
		},
	})
	if err != nil {
		panic(err)
	}
	for _, name := range []string{"Jane", "nobody"} {
		err := codes.Request(context.Background(), codeClient(), name)
		_ = codes.Wait(context.Background()) // wait for the code that is being sent
		fmt.Println(err)
	}
	// Output:
	// mail to jane@example.com with 8 characters
	// <nil>
	// <nil>
}
