package load

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
)

// bareRows is how many rows the bare server updates in turn, so that requests
// wait for the disk and not for each other.
const bareRows = 10_000

// bareServerVariable makes the test program the bare server.
const bareServerVariable = "LATCHKEY_TEST_BARE_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(bareServerVariable) != "" {
		bareServer()
		return
	}
	os.Exit(m.Run())
}

// bareServer is what the server is compared with: the least work that can answer a token
// request. Its arguments are an address to listen on and a PostgreSQL database.
func bareServer() {
	if err := serveBare(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serveBare(listen, databaseURL string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	pool, err := openBare(context.Background(), databaseURL)
	if err != nil {
		return err
	}
	defer pool.Close()
	var row atomic.Int64
	update := func(ctx context.Context) error {
		_, err := pool.Exec(ctx, "UPDATE bare SET n = n + 1 WHERE id = $1", row.Add(1)%bareRows)
		return err
	}
	http.Handle("/sign", bareHandler(key, func(context.Context) error { return nil }))
	http.Handle("/update", bareHandler(key, update))
	return http.ListenAndServe(listen, nil) //nolint:gosec // ends with the benchmark
}

func openBare(ctx context.Context, databaseURL string) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = 16 // as many as the server
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	_, err = pool.Exec(ctx, `CREATE TABLE bare (id BIGINT PRIMARY KEY, n BIGINT NOT NULL) WITH (fillfactor = 70);
		INSERT INTO bare SELECT i, 0 FROM generate_series(0, `+strconv.Itoa(bareRows-1)+`) i`)
	return pool, err
}

// bareHandler parses the form, signs once with ES256, does and answers.
func bareHandler(key *ecdsa.PrivateKey, do func(context.Context) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil || r.PostForm.Get("client_id") == "" {
			http.Error(w, "form", http.StatusBadRequest)
			return
		}
		digest := sha256.Sum256([]byte(r.PostForm.Get("client_id")))
		signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
		if err == nil {
			err = do(r.Context())
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"access_token":%q}`, base64.RawURLEncoding.EncodeToString(signature))
	}
}
