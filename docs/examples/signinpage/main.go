// Command signinpage is a fosite server with a sign-in page of its own. Users sign in there
// with one-time passwords, and clients get authorization codes of fosite. Clients without
// a browser use Latchkey's password grant. Each flow has refresh tokens of its own kind.
//
//   - server.go assembles the imported parts.
//   - page.go is the sign-in page on package signin.
//   - token_signer.go lets fosite's own handlers sign with Latchkey's keys.
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
	s, err := newServer(ctx, "sqlite:signinpage.db", make([]byte, keys.MasterKeySize), func(_ context.Context, to storage.User, code string) error {
		_, err := fmt.Printf("one-time password for %s: %s\n", to.Email, code)
		return err
	})
	if err == nil {
		err = s.demo(ctx)
	}
	if err != nil {
		log.Fatal(err)
	}
	web := &http.Server{Addr: "127.0.0.1:8090", Handler: s, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(web.ListenAndServe())
}
