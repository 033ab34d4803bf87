package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"latchkey/grants"
	"latchkey/grants/granttest"
	"latchkey/grants/statestore"
	"latchkey/otp"
	"latchkey/storage"
	"latchkey/storage/storetest/pgtest"
)

var postgres = pgtest.Shared(pgtest.Config{})

// eachDatabase runs the test on SQLite and on PostgreSQL. open opens an empty database.
func eachDatabase(t *testing.T, test func(t *testing.T, open func() *sql.DB)) {
	t.Helper()
	for driver, source := range map[string]func() string{
		"sqlite": func() string {
			return "file:" + filepath.Join(t.TempDir(), fmt.Sprint(time.Now().UnixNano())+".db") + "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_txlock=immediate"
		},
		"pgx": func() string { return postgres(t).Empty(t) },
	} {
		t.Run(driver, func(t *testing.T) {
			test(t, func() *sql.DB {
				db, err := sql.Open(driver, source())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = db.Close() })
				return db
			})
		})
	}
}

// TestStates runs the suite of granttest on the store.
func TestStates(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *sql.DB) {
		granttest.Run(t, func() statestore.States {
			db := open()
			if _, err := db.ExecContext(t.Context(), schema); err != nil {
				t.Fatal(err)
			}
			return states{db}
		})
	})
}

// deleteExpired is what a job of the server executes each hour; see README.md.
const deleteExpired = "DELETE FROM sign_ins WHERE until < $1"

// TestDeleteExpired tests that values are deleted after their time, and that keys without a
// time stay.
func TestDeleteExpired(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *sql.DB) {
		s, now := states{open()}, time.Now()
		if _, err := s.db.ExecContext(t.Context(), schema); err != nil {
			t.Fatal(err)
		}
		ends := map[string]time.Time{"never": {}, "later": now.Add(time.Minute), "over": now.Add(-time.Minute)}
		for key, until := range ends {
			if err := s.Swap(t.Context(), statestore.Change{Key: key, New: []byte("{}"), Until: until}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.db.ExecContext(t.Context(), deleteExpired, now.Unix()); err != nil {
			t.Fatal(err)
		}
		for key := range ends {
			if value, err := s.Load(t.Context(), key); err != nil || (value == nil) != (key == "over") {
				t.Errorf("%s: got %q, error %v", key, value, err)
			}
		}
	})
}

// site is a running server.
type site struct {
	*testing.T
	url  string
	sent chan string
}

func startSite(t *testing.T, db *sql.DB) *site {
	t.Helper()
	w := &site{T: t, sent: make(chan string, 10)}
	s, err := newDemo(t.Context(), db, func(_ context.Context, to storage.User, code string) error {
		w.sent <- to.Email + " " + code
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s)
	w.url = web.URL
	t.Cleanup(func() { web.Close(); _ = s.codes.Wait(context.Background()) })
	return w
}

// post sends a form and returns the status and the JSON object of the answer.
func (w *site) post(path, secret string, fields ...string) (int, map[string]any) {
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	r, err := http.NewRequestWithContext(w.Context(), http.MethodPost, w.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		w.Error(err)
		return 0, nil
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("shop", secret)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		w.Error(err)
		return 0, nil
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	object := map[string]any{}
	_ = json.Unmarshal(text, &object)
	return response.StatusCode, object
}

// code asks for a code and returns it.
func (w *site) code() string {
	w.Helper()
	if status, object := w.post("/code", "demo-secret", "username", " Jane"); status != http.StatusNoContent {
		w.Fatalf("request for a code: got %d %v", status, object)
	}
	code, ok := strings.CutPrefix(<-w.sent, "jane@example.com ")
	if !ok {
		w.Fatal("the code was sent to another address")
	}
	return code
}

func (w *site) signIn(secret string) (int, map[string]any) {
	return w.post("/token", "demo-secret", "grant_type", "password", "username", "jane", "password", secret)
}

// check checks the status and the error code of an answer.
func (w *site) check(what string, status int, object map[string]any, wantStatus int, wantError string) {
	w.Helper()
	if got, _ := object["error"].(string); status != wantStatus || got != wantError {
		w.Errorf("%s: got %d %v, want %d %s", what, status, object, wantStatus, wantError)
	}
}

// TestJourney requests a code, redeems it once, refreshes, and reaches the lock.
func TestJourney(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *sql.DB) {
		w := startSite(t, open())
		code := w.code()
		status, first := w.signIn(code)
		w.check("the code", status, first, http.StatusOK, "")
		if first["scope"] != "Shopper" || strings.Count(fmt.Sprint(first["access_token"]), ".") != 2 {
			t.Errorf("got the answer %v", first)
		}
		status, object := w.signIn(code)
		w.check("the code again", status, object, http.StatusBadRequest, "invalid_grant")
		status, object = w.post("/token", "demo-secret", "grant_type", "refresh_token", "refresh_token", fmt.Sprint(first["refresh_token"]))
		w.check("the refresh token", status, object, http.StatusOK, "")

		code = w.code()
		for range 10 {
			status, object = w.signIn("wrong")
			w.check("a guess", status, object, http.StatusBadRequest, "invalid_grant")
		}
		status, object = w.signIn(code)
		w.check("the right code under the lock", status, object, http.StatusBadRequest, "invalid_grant")
	})
}

func TestCodeIsUsedOnce(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *sql.DB) {
		w := startSite(t, open())
		code := w.code()
		var succeeded atomic.Int64
		var attempts sync.WaitGroup
		for range 8 {
			attempts.Go(func() {
				if status, _ := w.signIn(code); status == http.StatusOK {
					succeeded.Add(1)
				}
			})
		}
		attempts.Wait()
		if succeeded.Load() != 1 {
			t.Errorf("got %d of 8 sign-ins, want 1", succeeded.Load())
		}
	})
}

// TestEndpoints tests that the server's own grant still works, and that errors of clients are
// answered as RFC 6749 requires.
func TestEndpoints(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *sql.DB) {
		db := open()
		w := startSite(t, db)
		status, object := w.post("/token", "demo-secret", "grant_type", "client_credentials", "scope", "catalog")
		w.check("the server's own grant", status, object, http.StatusOK, "")
		if object["scope"] != "catalog" {
			t.Errorf("got the scope %v, want catalog", object["scope"])
		}
		status, object = w.post("/token", "wrong", "grant_type", "client_credentials")
		w.check("a wrong client secret", status, object, http.StatusUnauthorized, "invalid_client")
		status, object = w.post("/code", "wrong", "username", "jane")
		w.check("a wrong client secret for a code", status, object, http.StatusUnauthorized, "invalid_client")
		status, object = w.post("/token", "demo-secret", "grant_type", "urn:example:unknown")
		w.check("an unknown grant", status, object, http.StatusBadRequest, "unsupported_grant_type")
		if status, _ = w.post("/code", "demo-secret", "username", "nobody"); status != http.StatusNoContent {
			t.Errorf("a code for an unknown user: got %d, want %d", status, http.StatusNoContent)
		}
		_ = db.Close()
		status, object = w.signIn("x")
		w.check("without the database", status, object, http.StatusServiceUnavailable, "temporarily_unavailable")
	})
}

// TestClient tests that the policy of the clients admits users.
func TestClient(t *testing.T) {
	t.Parallel()
	client, err := new(server).Client(t.Context(), "shop")
	if err != nil || grants.CheckClient(client) != nil || otp.CheckClient(client) != nil {
		t.Errorf("got the errors %v, %v, %v", err, grants.CheckClient(client), otp.CheckClient(client))
	}
}

// TestImportGraph tests that an import of the grants does not import GORM, the HTTP server or
// the configuration of Latchkey.
func TestImportGraph(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	for _, wanted := range []string{"latchkey/grants", "latchkey/otp", "latchkey/keys"} {
		if !slices.Contains(deps, wanted) {
			t.Errorf("%s is not imported, want it in the import graph", wanted)
		}
	}
	for _, dep := range deps {
		for _, unwanted := range []string{"gorm.io/", "github.com/spf13/cobra", "latchkey/oauth", "latchkey/config", "latchkey/storage/", "latchkey/cmd"} {
			if strings.HasPrefix(dep, unwanted) {
				t.Errorf("%s is in the import graph, want it absent", dep)
			}
		}
	}
}

// TestSize tests that the example has at most 250 lines.
func TestSize(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	lines := 0
	for _, name := range files {
		if text, readErr := os.ReadFile(name); !strings.HasSuffix(name, "_test.go") {
			err, lines = readErr, lines+bytes.Count(text, []byte("\n"))
		}
	}
	if err != nil || lines == 0 || lines > 250 {
		t.Errorf("got %d lines, want at most 250: %v", lines, err)
	}
}
