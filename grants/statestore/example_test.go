package statestore_test

import (
	"context"
	"fmt"

	"latchkey/grants/granttest"
	"latchkey/grants/statestore"
	"latchkey/storage"
)

// The users stay in a table of the server. The sign-in state is in the States: a table with a
// key and a value.
func ExampleNew() {
	store, err := statestore.New(statestore.Config{
		States: new(granttest.Memory), // a table in a real server
		User: func(_ context.Context, name string) (statestore.User, error) {
			if name != "jane" {
				return statestore.User{}, storage.ErrNotFound
			}
			return statestore.User{ID: "usr_1", Email: "jane@example.com", Roles: []string{"Shopper"}}, nil
		},
	})
	if err != nil {
		panic(err)
	}
	for _, name := range []string{"jane", "nobody"} {
		p, err := store.Principal(context.Background(), storage.LoginKey{UsernameKey: name})
		fmt.Println(p.Known, p.User.UID, err)
	}
	// Output:
	// true usr_1 <nil>
	// false  <nil>
}
