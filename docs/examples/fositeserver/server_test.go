package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"latchkey/grants"
)

const password = "correct-Horse-7-battery"

// testServer is a running server with a client for it.
type testServer struct {
	t     *testing.T
	url   string
	codes chan [2]string // sent codes: username, code
	ahead atomic.Int64   // nanoseconds that the clock of the server is ahead
}

func startServer(t *testing.T) *testServer {
	t.Helper()
	web := &testServer{t: t, codes: make(chan [2]string, 10)}
	s, err := newServer(t.Context(), serverConfig{
		Issuer:   "https://id.example",
		SendCode: func(username, code string) { web.codes <- [2]string{username, code} },
		Now:      func() time.Time { return time.Now().Add(time.Duration(web.ahead.Load())) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.demo(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { _ = s.codes.Run(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	web.url = server.URL
	return web
}

// post sends a form as the client "shop". fields are pairs of name and value.
func (s *testServer) post(path string, fields ...string) (int, map[string]any) {
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	return s.send(path, form.Encode(), "application/x-www-form-urlencoded", "demo-secret")
}

func (s *testServer) send(path, body, media, secret string) (int, map[string]any) {
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Error(err)
		return 0, nil
	}
	r.Header.Set("Content-Type", media)
	r.SetBasicAuth("shop", secret)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Error(err)
		return 0, nil
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	object := map[string]any{}
	_ = json.Unmarshal(text, &object)
	return response.StatusCode, object
}

// code requests a one-time password and waits for it.
func (s *testServer) code(username string) string {
	s.t.Helper()
	if status, _ := s.post("/code", "username", username); status != http.StatusNoContent {
		s.t.Fatalf("request for a code: %d", status)
	}
	select {
	case sent := <-s.codes:
		if sent[0] != strings.ToLower(username) {
			s.t.Fatalf("a code for %s", sent[0])
		}
		return sent[1]
	case <-time.After(30 * time.Second):
		s.t.Fatal("no code was sent")
		return ""
	}
}

func (s *testServer) signIn(username, secret string) (int, map[string]any) {
	return s.post("/token", "grant_type", grants.GrantPassword, "username", username, "password", secret)
}

// check checks the status and the error code of a response.
func (s *testServer) check(what string, status int, object map[string]any, wantStatus int, wantError string) {
	s.t.Helper()
	if got, _ := object["error"].(string); status != wantStatus || got != wantError {
		s.t.Errorf("%s: %d %v, want %d %s", what, status, object, wantStatus, wantError)
	}
}

// verified returns the claims of an access token. Another library verifies it with the
// published keys.
func (s *testServer) verified(answer map[string]any) map[string]any {
	s.t.Helper()
	response, err := http.Get(s.url + "/keys")
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	var set jose.JSONWebKeySet
	if err := json.NewDecoder(response.Body).Decode(&set); err != nil {
		s.t.Fatal(err)
	}
	text, _ := answer["access_token"].(string)
	token, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		s.t.Fatalf("%v: %v", answer, err)
	}
	header := token.Headers[0]
	keys := set.Key(header.KeyID)
	if typ := header.ExtraHeaders[jose.HeaderType]; len(keys) != 1 || typ != "at+jwt" {
		s.t.Fatalf("typ %v, %d keys of the kid %q", typ, len(keys), header.KeyID)
	}
	claims := map[string]any{}
	var registered jwt.Claims
	if err := token.Claims(keys[0].Key, &claims, &registered); err != nil {
		s.t.Fatal(err)
	}
	if err := registered.Validate(jwt.Expected{Issuer: "https://id.example", Time: time.Now()}); err != nil {
		s.t.Error(err)
	}
	return claims
}

// TestPasswordGrant requests a code, redeems it once, and then signs in with the permanent
// password.
func TestPasswordGrant(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	code := s.code("Jane")
	status, answer := s.signIn("jane", code)
	s.check("the code", status, answer, http.StatusOK, "")
	claims := s.verified(answer)
	if claims["sub"] != "usr_jane" || claims["aud"] != "https://id.example" || claims["client_id"] != "shop" || claims["scope"] != "Shopper" || !slices.Equal(claims["amr"].([]any), []any{"otp"}) {
		t.Errorf("claims %v", claims)
	}
	status, answer = s.signIn("jane", code)
	s.check("the code again", status, answer, http.StatusBadRequest, "invalid_grant")
	status, answer = s.signIn("jane", password)
	s.check("the permanent password", status, answer, http.StatusOK, "")
	if amr := s.verified(answer)["amr"].([]any); !slices.Equal(amr, []any{"pwd"}) {
		t.Errorf("amr %v", amr)
	}
	code = s.code("jane")
	s.ahead.Store(int64(6 * time.Minute))
	status, answer = s.signIn("jane", code)
	s.check("an expired code", status, answer, http.StatusBadRequest, "invalid_grant")
}

// TestAccountMember redeems a code for a token that is scoped to an account.
func TestAccountMember(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	redeem := func(fields ...string) (int, map[string]any) {
		return s.post("/token", append([]string{"grant_type", grants.GrantAccountMember}, fields...)...)
	}
	status, answer := redeem("username", "jane", "one_time_password", s.code("jane"))
	s.check("the only account", status, answer, http.StatusOK, "")
	claims := s.verified(answer)
	if claims["account_id"] != "acme" || claims["scope"] != "Buy Approve" || answer["account_id"] != "acme" {
		t.Errorf("claims %v of %v", claims, answer)
	}
	code := s.code("john")
	status, answer = redeem("username", "john", "one_time_password", code)
	s.check("no selection of two accounts", status, answer, http.StatusBadRequest, "account_selection_required")
	status, answer = redeem("username", "john", "one_time_password", code, "account_id", "unknown")
	s.check("an account of others", status, answer, http.StatusBadRequest, "invalid_grant")
	status, answer = redeem("username", "john", "one_time_password", code, "account_id", "bricks")
	s.check("one of two accounts", status, answer, http.StatusOK, "")
	if got := s.verified(answer)["account_id"]; got != "bricks" {
		t.Errorf("account %v", got)
	}
	status, answer = redeem("username", "jane", "password", password, "account_id", "acme")
	s.check("with the permanent password", status, answer, http.StatusOK, "")
}

// TestCodeIsUsedOnce checks that one of many concurrent redemptions of a code succeeds.
func TestCodeIsUsedOnce(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	code := s.code("john")
	var succeeded atomic.Int64
	var attempts sync.WaitGroup
	for range 8 {
		attempts.Go(func() {
			if status, _ := s.signIn("john", code); status == http.StatusOK {
				succeeded.Add(1)
			}
		})
	}
	attempts.Wait()
	if succeeded.Load() != 1 {
		t.Errorf("%d of 8 succeeded, want 1", succeeded.Load())
	}
}

// TestLockout checks that wrong passwords lock a login for a while, that unknown usernames
// are answered in the same way, and that a code still signs in.
func TestLockout(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	for range 10 {
		for _, name := range []string{"jane", "nobody"} {
			status, answer := s.signIn(name, "wrong")
			s.check("a guess at "+name, status, answer, http.StatusBadRequest, "invalid_grant")
		}
	}
	status, answer := s.signIn("jane", password)
	s.check("the right password of a locked login", status, answer, http.StatusBadRequest, "invalid_grant")
	code := s.code("jane")
	status, answer = s.signIn("jane", code)
	s.check("a code", status, answer, http.StatusOK, "")
	status, answer = s.signIn("jane", password)
	s.check("the password after the code", status, answer, http.StatusBadRequest, "invalid_grant")
	s.ahead.Store(int64(3 * time.Minute))
	status, answer = s.signIn("jane", password)
	s.check("the password after the lock", status, answer, http.StatusOK, "")

	code = s.code("jane")
	for range 10 {
		status, answer = s.signIn("jane", "00000000")
		s.check("a guess at the code", status, answer, http.StatusBadRequest, "invalid_grant")
	}
	status, answer = s.signIn("jane", code)
	s.check("the code after ten guesses at it", status, answer, http.StatusBadRequest, "invalid_grant")
}

// TestTokenEndpoint checks what fosite leaves to the server, and fosite's own grant.
func TestTokenEndpoint(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	status, answer := s.post("/token", "grant_type", "client_credentials")
	s.check("fosite's own grant", status, answer, http.StatusOK, "")
	s.verified(answer)
	status, answer = s.post("/token", "grant_type", "urn:example:unknown")
	s.check("an unknown grant", status, answer, http.StatusBadRequest, "unsupported_grant_type")
	status, answer = s.post("/token", "grant_type", "password", "username", "jane", "password", "x", "password", password)
	s.check("a repeated parameter", status, answer, http.StatusBadRequest, "invalid_request")
	status, answer = s.send("/token", `{"grant_type":"client_credentials"}`, "application/json", "demo-secret")
	s.check("JSON", status, answer, http.StatusBadRequest, "invalid_request")
	status, answer = s.send("/token", "grant_type=client_credentials", "application/x-www-form-urlencoded", "wrong")
	s.check("a wrong secret", status, answer, http.StatusUnauthorized, "invalid_client")
	status, _ = s.post("/code", "username", "nobody")
	if status != http.StatusNoContent {
		t.Errorf("a code for an unknown user: %d", status)
	}
}

// TestImportGraph checks that the imported packages depend on no database, no configuration,
// no command line and no other HTTP server.
func TestImportGraph(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	for _, wanted := range []string{"latchkey/grants", "latchkey/otp", "latchkey/keys"} {
		if !slices.Contains(deps, wanted) {
			t.Errorf("%s is not imported, so the test proves nothing", wanted)
		}
	}
	for _, dep := range deps {
		for _, unwanted := range []string{
			"gorm.io/", "github.com/jackc/", "modernc.org/sqlite", "github.com/spf13/cobra",
			"latchkey/oauth", "latchkey/config", "latchkey/storage/", "latchkey/cmd",
		} {
			if strings.HasPrefix(dep, unwanted) {
				t.Errorf("%s is in the import graph", dep)
			}
		}
	}
}
