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
func (w *site) post(path string, fields ...string) (int, map[string]any) {
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

// code requests a code on the page and returns it.
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
	if to.Query().Get("state") != "state-of-the-client" || to.Query().Get("iss") != issuer || to.Host != "127.0.0.1:9999" {
		w.Errorf("got the redirect to %s", to)
	}
	return to.Query().Get("code"), response.StatusCode, text
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
	return w.post("/token", "grant_type", "authorization_code", "client_id", "shop", "code", authorization,
		"redirect_uri", "http://127.0.0.1:9999/callback", "code_verifier", verifier)
}

func (w *site) refresh(token any) (int, map[string]any) {
	return w.post("/token", "grant_type", "refresh_token", "client_id", "shop", "refresh_token", fmt.Sprint(token))
}

// TestJourney tests the page and the tokens of its code. A second use of the code ends them.
func TestJourney(t *testing.T) {
	eachDatabase(t, func(w *site) {
		response, text := w.browse(http.MethodGet, authorizePath(), nil)
		if response.StatusCode != http.StatusOK || !strings.Contains(text, "one-time-code") || response.Header.Get("Cache-Control") != "no-store" {
			w.Errorf("page: got %d %s", response.StatusCode, text)
		}
		code := w.code()
		if authorization, status, _ := w.signIn("wrong"); authorization != "" || status != http.StatusBadRequest {
			w.Errorf("a wrong code: got %d", status)
		}
		authorization, _, text := w.signIn(code)
		if authorization == "" {
			w.Fatalf("got no authorization code: %s", text)
		}
		if again, status, _ := w.signIn(code); again != "" || status != http.StatusBadRequest {
			w.Errorf("the code again: got %d", status)
		}
		status, first := w.exchange(authorization, verifier)
		w.check("the authorization code", status, first, http.StatusOK, "")
		if c := w.claims(first); c["sub"] != "usr_1" || c["client_id"] != "shop" || fmt.Sprint(c["amr"]) != "[otp]" || first["scope"] != "Shopper" {
			w.Errorf("got claims %v", c)
		}
		status, next := w.refresh(first["refresh_token"])
		w.check("the refresh token", status, next, http.StatusOK, "")
		status, object := w.exchange(authorization, verifier+"x")
		w.check("the used code with a wrong verifier", status, object, http.StatusBadRequest, "invalid_grant")
		status, next = w.refresh(next["refresh_token"])
		w.check("the refresh token after that", status, next, http.StatusOK, "")
		status, object = w.exchange(authorization, verifier)
		w.check("the used code", status, object, http.StatusBadRequest, "invalid_grant")
		status, object = w.refresh(next["refresh_token"])
		w.check("the refresh token after the second use of its code", status, object, http.StatusBadRequest, "invalid_grant")
	})
}

// TestWrongVerifier tests that a wrong or missing verifier is refused and does not use the
// authorization code.
func TestWrongVerifier(t *testing.T) {
	eachDatabase(t, func(w *site) {
		authorization, _, _ := w.signIn(w.code())
		for _, wrong := range []string{verifier + "x", ""} {
			status, object := w.exchange(authorization, wrong)
			w.check("verifier "+wrong, status, object, http.StatusBadRequest, "invalid_grant")
		}
		status, object := w.exchange(authorization, verifier)
		w.check("the right verifier", status, object, http.StatusOK, "")
	})
}

func TestCodeIsUsedOnce(t *testing.T) {
	eachDatabase(t, func(w *site) {
		authorization, _, _ := w.signIn(w.code())
		var succeeded atomic.Int64
		var attempts sync.WaitGroup
		for range 8 {
			attempts.Go(func() {
				if status, _ := w.exchange(authorization, verifier); status == http.StatusOK {
					succeeded.Add(1)
				}
			})
		}
		attempts.Wait()
		if succeeded.Load() != 1 {
			w.Errorf("got %d tokens for one code, want 1", succeeded.Load())
		}
	})
}

// TestRefusedRequests tests that errors are sent to the client only if the client is known, and
// that no sign-in page is shown for them.
func TestRefusedRequests(t *testing.T) {
	eachDatabase(t, func(w *site) {
		for what, c := range map[string]struct{ old, new, sent string }{
			"unknown client":       {"client_id=shop", "client_id=nobody", ""},
			"another redirect URI": {"callback", "other", ""},
			"no challenge":         {"code_challenge=", "x=", "invalid_request"},
			"plain challenge":      {"method=S256", "method=plain", "invalid_request"},
			"repeated challenge":   {"state=", "code_challenge=x&state=", "invalid_request"},
			"unknown scope":        {"scope=Shopper", "scope=Admin", "invalid_scope"},
		} {
			path := strings.Replace(authorizePath(), c.old, c.new, 1)
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				response, text := w.browse(method, path, url.Values{"username": {"jane"}, "do": {"send"}})
				to, _ := response.Location()
				if strings.Contains(text, "<form") || (to == nil) != (c.sent == "") || to != nil && to.Query().Get("error") != c.sent {
					w.Errorf("%s %s: got %d to %v: %s", what, method, response.StatusCode, to, text)
				}
			}
		}
		code := w.code()
		path := strings.Replace(authorizePath(), "scope=Shopper", "scope=Buyer", 1) // the client may get this role, but Jane does not have it
		response, text := w.browse(http.MethodPost, path, url.Values{"username": {"jane"}, "code": {code}, "do": {"sign-in"}})
		if to, _ := response.Location(); to == nil || to.Query().Get("error") != "access_denied" {
			w.Errorf("without the role: got %d to %v: %s", response.StatusCode, to, text)
		}
		if authorization, _, text := w.signIn(code); authorization == "" {
			w.Errorf("the code after that: got %s, want an authorization code", text)
		}
	})
}
