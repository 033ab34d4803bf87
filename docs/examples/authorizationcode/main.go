// Command authorizationcode is a fosite server with a sign-in page of its own. It takes the
// authorization code grant of Latchkey, with PKCE, so its codes end as RFC 6749 demands.
//
//   - server.go assembles the imported parts.
//   - page.go is the authorization endpoint with the sign-in page.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"time"

	"latchkey/keys"
	"latchkey/storage"
)

func main() {
	ctx := context.Background()
	s, err := newServer(ctx, "sqlite:authorizationcode.db", make([]byte, keys.MasterKeySize), func(_ context.Context, to storage.User, code string) error {
		_, err := fmt.Printf("one-time password for %s: %s\n", to.Email, code)
		return err
	})
	if err == nil {
		err = s.demo(ctx)
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("The server listens on " + issuer + "; see README.md.")
	log.Fatal((&http.Server{Addr: "127.0.0.1:8091", Handler: s, ReadHeaderTimeout: 5 * time.Second}).ListenAndServe())
}
