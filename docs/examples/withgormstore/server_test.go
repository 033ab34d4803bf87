package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"latchkey/grants"
	"latchkey/keys"
	"latchkey/storage"
	"latchkey/storage/storetest/pgtest"
)

var postgres = pgtest.Shared(pgtest.Config{})

// site is a running server.
type site struct {
	*testing.T
	url  string
	sent chan string
}

// eachDatabase runs the test on SQLite and on PostgreSQL, each on a new server. It adds the
// demo data twice, as a server does that starts again.
func eachDatabase(t *testing.T, test func(w *site)) {
	t.Helper()
	for name, database := range map[string]func() string{
		"sqlite":   func() string { return "sqlite:" + filepath.Join(t.TempDir(), "test.db") },
		"postgres": func() string { return postgres(t).Empty(t) },
	} {
		t.Run(name, func(t *testing.T) {
			w := &site{T: t, sent: make(chan string, 10)}
			s, err := newServer(t.Context(), database(), make([]byte, keys.MasterKeySize), func(_ context.Context, to storage.User, code string) error {
				w.sent <- to.Email + " " + code
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := s.demo(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			web := httptest.NewServer(s)
			w.url = web.URL
			t.Cleanup(func() { web.Close(); _ = s.store.Close() })
			test(w)
		})
	}
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
	if status, object := w.post("/code", "demo-secret", "username", "Jane"); status != http.StatusOK {
		w.Fatalf("request for a code: got %d %v", status, object)
	}
	code, ok := strings.CutPrefix(<-w.sent, "jane@example.com ")
	if !ok {
		w.Fatal("the code was sent to another address")
	}
	return code
}

func (w *site) token(fields ...string) (int, map[string]any) {
	return w.post("/token", "demo-secret", fields...)
}

// check checks the status and the error code of an answer.
func (w *site) check(what string, status int, object map[string]any, wantStatus int, wantError string) {
	w.Helper()
	if got, _ := object["error"].(string); status != wantStatus || got != wantError {
		w.Errorf("%s: got %d %v, want %d %s", what, status, object, wantStatus, wantError)
	}
}

// claims verifies an access token with the published keys and another library, and returns the
// claims.
func (w *site) claims(answer map[string]any) map[string]any {
	w.Helper()
	response, err := http.Get(w.url + "/keys")
	if err != nil {
		w.Fatal(err)
	}
	defer response.Body.Close()
	var set jose.JSONWebKeySet
	if err := json.NewDecoder(response.Body).Decode(&set); err != nil {
		w.Fatal(err)
	}
	token, err := jwt.ParseSigned(fmt.Sprint(answer["access_token"]), []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		w.Fatalf("verify %v: %v", answer, err)
	}
	var registered jwt.Claims
	claims := map[string]any{}
	if err := token.Claims(set.Key(token.Headers[0].KeyID)[0].Key, &claims, &registered); err != nil {
		w.Fatal(err)
	}
	if err := registered.Validate(jwt.Expected{Issuer: issuer, AnyAudience: jwt.Audience{issuer}, Time: time.Now()}); err != nil {
		w.Error(err)
	}
	return claims
}

// TestJourney signs in with a code, refreshes, revokes, and chooses an account.
func TestJourney(t *testing.T) {
	eachDatabase(t, func(w *site) {
		code := w.code()
		status, first := w.token("grant_type", "password", "username", "jane", "password", code)
		w.check("the code", status, first, http.StatusOK, "")
		if c := w.claims(first); c["sub"] != "usr_1" || c["scope"] != "Shopper" || fmt.Sprint(c["amr"]) != "[otp]" {
			w.Errorf("got the claims %v", c)
		}
		status, object := w.token("grant_type", "password", "username", "jane", "password", code)
		w.check("the code again", status, object, http.StatusBadRequest, "invalid_grant")
		status, next := w.token("grant_type", "refresh_token", "refresh_token", fmt.Sprint(first["refresh_token"]))
		w.check("the refresh token", status, next, http.StatusOK, "")
		status, object = w.post("/revoke", "wrong", "token", fmt.Sprint(next["refresh_token"]))
		w.check("a revocation with a wrong client secret", status, object, http.StatusUnauthorized, "invalid_client")
		if status, _ = w.post("/revoke", "demo-secret", "token", fmt.Sprint(next["refresh_token"])); status != http.StatusOK {
			w.Errorf("revocation: got %d, want %d", status, http.StatusOK)
		}
		status, object = w.token("grant_type", "refresh_token", "refresh_token", fmt.Sprint(next["refresh_token"]))
		w.check("a revoked refresh token", status, object, http.StatusBadRequest, "invalid_grant")

		status, object = w.token("grant_type", grants.GrantAccountMember, "username", "jane", "one_time_password", w.code(), "account_id", "acme")
		w.check("a token for the account", status, object, http.StatusOK, "")
		if c := w.claims(object); c["account_id"] != "acme" {
			w.Errorf("got the claims %v", c)
		}
	})
}

func TestGuesses(t *testing.T) {
	eachDatabase(t, func(w *site) {
		code := w.code()
		for range 10 {
			for _, name := range []string{"jane", "nobody"} {
				status, object := w.token("grant_type", "password", "username", name, "password", "wrong")
				w.check("a guess at "+name, status, object, http.StatusBadRequest, "invalid_grant")
			}
		}
		status, object := w.token("grant_type", "password", "username", "jane", "password", code)
		w.check("the right code under the lock", status, object, http.StatusBadRequest, "invalid_grant")
	})
}

func TestCodeIsUsedOnce(t *testing.T) {
	eachDatabase(t, func(w *site) {
		code := w.code()
		var succeeded atomic.Int64
		var attempts sync.WaitGroup
		for range 8 {
			attempts.Go(func() {
				if status, _ := w.token("grant_type", "password", "username", "jane", "password", code); status == http.StatusOK {
					succeeded.Add(1)
				}
			})
		}
		attempts.Wait()
		if succeeded.Load() != 1 {
			w.Errorf("got %d of 8 sign-ins, want 1", succeeded.Load())
		}
	})
}

// TestSize tests that the example has at most 130 lines.
func TestSize(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("main.go")
	if lines := bytes.Count(text, []byte("\n")); err != nil || lines > 130 {
		t.Errorf("got %d lines, want at most 130: %v", lines, err)
	}
}
