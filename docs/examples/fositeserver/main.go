// Command fositeserver is an example of an OAuth 2.0 server on fosite that imports parts of
// Latchkey. It has clients, users and a store of its own. From Latchkey it imports the
// grants for one-time passwords, the service that issues codes, and the signing keys.
//
//   - server.go assembles the imported parts.
//   - store.go, otp_store.go and key_store.go show what a store must guarantee.
//   - token_endpoint.go does what fosite leaves to the server.
//
// The store is in memory, and codes are printed on the terminal.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"time"
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	printCode := func(username, code string) { fmt.Printf("one-time password for %s: %s\n", username, code) }
	s, err := newServer(ctx, serverConfig{Issuer: "http://127.0.0.1:8088", SendCode: printCode, Now: time.Now})
	if err != nil {
		return err
	}
	if err := s.demo(ctx); err != nil {
		return err
	}
	go s.codes.Run(ctx) //nolint:errcheck // it ends with ctx and returns nil
	server := &http.Server{Addr: "127.0.0.1:8088", Handler: s, ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	fmt.Println("curl -u shop:demo-secret http://127.0.0.1:8088/code -d username=jane")
	fmt.Println("curl -u shop:demo-secret http://127.0.0.1:8088/token -d grant_type=password -d username=jane -d password=CODE")
	if err := server.ListenAndServe(); ctx.Err() == nil {
		return err
	}
	return nil
}
