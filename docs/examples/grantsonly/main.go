// Command grantsonly is a fosite server of another team that takes the grants for one-time
// passwords from Latchkey. states.go is the store of sign-ins: one table, two methods.
// server.go assembles the imported parts.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/ory/fosite"
	fositestorage "github.com/ory/fosite/storage"
	"github.com/ory/fosite/token/jwt"
	"golang.org/x/crypto/bcrypt"
	_ "modernc.org/sqlite"

	"latchkey/storage"
)

func main() {
	db, err := sql.Open("sqlite", "file:grantsonly?mode=memory")
	if err != nil {
		log.Fatal(err)
	}
	db.SetMaxOpenConns(1) // SQLite has one writer
	send := func(_ context.Context, to storage.User, code string) error {
		_, err := fmt.Printf("one-time password for %s: %s\n", to.Email, code)
		return err
	}
	s, err := newDemo(context.Background(), db, send)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("The server listens on http://127.0.0.1:8088; see README.md.")
	log.Fatal((&http.Server{Addr: "127.0.0.1:8088", Handler: s, ReadHeaderTimeout: 5 * time.Second}).ListenAndServe())
}

// newDemo returns a server on an empty database, with a client and a user.
func newDemo(ctx context.Context, db *sql.DB, send func(context.Context, storage.User, string) error) (*server, error) {
	for _, statement := range []string{
		schema,
		"CREATE TABLE users (id TEXT PRIMARY KEY, name TEXT UNIQUE, email TEXT, password_hash TEXT)",
		"INSERT INTO users VALUES ('usr_1', 'jane', 'jane@example.com', '')",
	} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return nil, err
		}
	}
	key, keyErr := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	secret, secretErr := bcrypt.GenerateFromPassword([]byte("demo-secret"), bcrypt.MinCost)
	if err := errors.Join(keyErr, secretErr); err != nil {
		return nil, err
	}
	clients := fositestorage.NewMemoryStore()
	clients.Clients["shop"] = &fosite.DefaultClient{ID: "shop", Secret: secret, GrantTypes: []string{"client_credentials"}, Scopes: []string{"catalog"}}
	s := &server{
		ServeMux: http.NewServeMux(), issuer: "http://127.0.0.1:8088", db: db, clients: clients, master: make([]byte, 32), send: send,
		signer: &jwt.DefaultSigner{GetPrivateKey: func(context.Context) (any, error) { return key, nil }},
	}
	return s, s.start(ctx)
}
