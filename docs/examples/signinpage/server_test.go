package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
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
			t.Cleanup(func() { web.Close(); _ = s.codes.Wait(context.Background()); _ = s.store.Close() })
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

// browse requests a path of the server as a browser does. It does not follow redirects.
func (w *site) browse(method, path string, form url.Values) (*http.Response, string) {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), method, w.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		w.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		w.Fatal(err)
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return response, string(text)
}

const verifier = "a-verifier-of-at-least-forty-three-characters-00"

// authorizePath returns the path of the client's authorization request.
func authorizePath() string {
	sum := sha256.Sum256([]byte(verifier))
	return "/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {"shop"}, "redirect_uri": {"http://127.0.0.1:9999/callback"}, "scope": {"Shopper"},
		"state": {"state-of-the-client"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}.Encode()
}

// code asks for a code on the page and returns it.
func (w *site) code() string {
	w.Helper()
	response, text := w.browse(http.MethodPost, authorizePath(), url.Values{"username": {"Jane"}, "do": {"send"}})
	if response.StatusCode != http.StatusOK || !strings.Contains(text, "on its way") {
		w.Fatalf("request for a code: got %d %s", response.StatusCode, text)
	}
	code, ok := strings.CutPrefix(<-w.sent, "jane@example.com ")
	if !ok {
		w.Fatal("the code was sent to another address")
	}
	return code
}

// signIn sends the code on the page. It returns the authorization code. If there is none, it
// returns the status and the page.
func (w *site) signIn(code string) (authorization string, status int, text string) {
	w.Helper()
	response, text := w.browse(http.MethodPost, authorizePath(), url.Values{"username": {"jane"}, "code": {code}, "do": {"sign-in"}})
	to, _ := response.Location()
	if to == nil {
		return "", response.StatusCode, text
	}
	if to.Query().Get("state") != "state-of-the-client" || to.Host != "127.0.0.1:9999" {
		w.Errorf("got the redirect to %s", to)
	}
	return to.Query().Get("code"), response.StatusCode, text
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

// exchange redeems an authorization code.
func (w *site) exchange(authorization, verifier string) (int, map[string]any) {
	return w.token("grant_type", "authorization_code", "code", authorization, "redirect_uri", "http://127.0.0.1:9999/callback", "code_verifier", verifier)
}

// TestPage signs in on the page with a code, and uses the tokens of fosite.
func TestPage(t *testing.T) {
	eachDatabase(t, func(w *site) {
		response, text := w.browse(http.MethodGet, authorizePath(), nil)
		if response.StatusCode != http.StatusOK || !strings.Contains(text, "one-time-code") || response.Header.Get("Cache-Control") != "no-store" {
			w.Errorf("page: got %d %s", response.StatusCode, text)
		}
		code := w.code()
		authorization, _, text := w.signIn(code)
		if authorization == "" {
			w.Fatalf("got no authorization code, but %s", text)
		}
		if again, status, _ := w.signIn(code); again != "" || status != http.StatusBadRequest {
			w.Errorf("the code again: got %d, want 400", status)
		}
		status, first := w.exchange(authorization, verifier)
		w.check("the authorization code", status, first, http.StatusOK, "")
		if c := w.claims(first); c["sub"] != "usr_1" || c["client_id"] != "shop" || fmt.Sprint(c["amr"]) != "[otp]" || c["scope"] != "Shopper" {
			w.Errorf("got the claims %v", c)
		}
		status, object := w.exchange(authorization, verifier)
		w.check("the authorization code again", status, object, http.StatusBadRequest, "invalid_grant")
	})
}

// TestTwoKindsOfRefreshTokens refreshes the tokens of both flows at one endpoint.
func TestTwoKindsOfRefreshTokens(t *testing.T) {
	eachDatabase(t, func(w *site) {
		authorization, _, _ := w.signIn(w.code())
		status, fosites := w.exchange(authorization, verifier)
		w.check("the authorization code", status, fosites, http.StatusOK, "")
		status, ours := w.token("grant_type", "password", "username", "jane", "password", w.code())
		w.check("the password grant", status, ours, http.StatusOK, "")
		for _, answer := range []map[string]any{fosites, ours} {
			token := fmt.Sprint(answer["refresh_token"])
			if grants.IsRefreshToken(token) != (answer["access_token"] == ours["access_token"]) {
				w.Errorf("got the refresh token %s", token)
			}
			status, next := w.token("grant_type", "refresh_token", "refresh_token", token)
			w.check("a refresh token", status, next, http.StatusOK, "")
			if c := w.claims(next); c["sub"] != "usr_1" || next["refresh_token"] == nil {
				w.Errorf("got the claims %v of %v", c, next)
			}
		}
		status, object := w.token("grant_type", "refresh_token", "refresh_token", "unknown")
		w.check("an unknown refresh token", status, object, http.StatusBadRequest, "invalid_grant")
	})
}

// TestOneLockout tests that guesses on the page and at the token endpoint share a budget.
func TestOneLockout(t *testing.T) {
	eachDatabase(t, func(w *site) {
		code := w.code()
		for i := range 10 {
			if i%2 == 0 {
				if _, status, text := w.signIn("wrong"); status != http.StatusBadRequest || !strings.Contains(text, "Invalid username or password.") {
					w.Errorf("a guess on the page: got %d %s", status, text)
				}
				continue
			}
			status, object := w.token("grant_type", "password", "username", "jane", "password", "wrong")
			w.check("a guess at the token endpoint", status, object, http.StatusBadRequest, "invalid_grant")
		}
		if authorization, status, _ := w.signIn(code); authorization != "" || status != http.StatusBadRequest {
			w.Errorf("the right code under the lock: got %d, want 400", status)
		}
	})
}

func TestCodeIsUsedOnce(t *testing.T) {
	eachDatabase(t, func(w *site) {
		code := w.code()
		var succeeded atomic.Int64
		var attempts sync.WaitGroup
		for i := range 8 {
			attempts.Go(func() {
				if i%2 == 0 {
					if authorization, _, _ := w.signIn(code); authorization != "" {
						succeeded.Add(1)
					}
				} else if status, _ := w.token("grant_type", "password", "username", "jane", "password", code); status == http.StatusOK {
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

// TestRefusedRequests tests requests for which the page is not shown.
func TestRefusedRequests(t *testing.T) {
	eachDatabase(t, func(w *site) {
		for _, path := range []string{"/authorize?client_id=nobody", strings.Replace(authorizePath(), "callback", "other", 1)} {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				if response, text := w.browse(method, path, url.Values{"username": {"jane"}, "do": {"send"}}); response.StatusCode < 400 || strings.Contains(text, "<form") {
					w.Errorf("%s %s: got %d %s", method, path, response.StatusCode, text)
				}
			}
		}
		r, err := http.NewRequestWithContext(w.Context(), http.MethodPost, w.url+authorizePath(), strings.NewReader("username=jane&do=send"))
		if err != nil {
			w.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		response, err := http.DefaultClient.Do(r)
		if err != nil || response.StatusCode != http.StatusForbidden {
			w.Errorf("a form of another site: got %v, error %v; want 403", response, err)
		}
	})
}
