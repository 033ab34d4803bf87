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

// site is the server as its clients see it.
type site struct {
	t     *testing.T
	url   string
	mail  chan [2]string // username, code
	ahead atomic.Int64   // of the clock
}

func newSite(t *testing.T) *site {
	t.Helper()
	web := &site{t: t, mail: make(chan [2]string, 10)}
	s, err := newServer(t.Context(), serverConfig{
		Issuer: "https://id.example",
		Tell:   func(username, code string) { web.mail <- [2]string{username, code} },
		Now:    func() time.Time { return time.Now().Add(time.Duration(web.ahead.Load())) },
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

// post sends a form, name, value, …, as client "shop".
func (s *site) post(path string, fields ...string) (int, map[string]any) {
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	return s.send(path, form.Encode(), "application/x-www-form-urlencoded", "demo-secret")
}

func (s *site) send(path, body, media, secret string) (int, map[string]any) {
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

// code asks for a one-time password and receives it.
func (s *site) code(username string) string {
	s.t.Helper()
	if status, _ := s.post("/code", "username", username); status != http.StatusNoContent {
		s.t.Fatalf("asked for a code: %d", status)
	}
	select {
	case mail := <-s.mail:
		if mail[0] != strings.ToLower(username) {
			s.t.Fatalf("a code for %s", mail[0])
		}
		return mail[1]
	case <-time.After(30 * time.Second):
		s.t.Fatal("no code came")
		return ""
	}
}

func (s *site) signIn(username, secret string) (int, map[string]any) {
	return s.post("/token", "grant_type", grants.GrantPassword, "username", username, "password", secret)
}

func (s *site) mustBe(what string, status int, object map[string]any, wantStatus int, wantError string) {
	s.t.Helper()
	if got, _ := object["error"].(string); status != wantStatus || got != wantError {
		s.t.Errorf("%s: %d %v, want %d %s", what, status, object, wantStatus, wantError)
	}
}

// verified returns the claims of a token, which another library verifies with the
// published keys.
func (s *site) verified(answer map[string]any) map[string]any {
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

// TestJourney: ask, receive, redeem once; the permanent password goes on working.
func TestJourney(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	code := s.code("Jane")
	status, answer := s.signIn("jane", code)
	s.mustBe("the code", status, answer, http.StatusOK, "")
	claims := s.verified(answer)
	if claims["sub"] != "usr_jane" || claims["aud"] != "https://id.example" || claims["client_id"] != "shop" || claims["scope"] != "Shopper" || !slices.Equal(claims["amr"].([]any), []any{"otp"}) {
		t.Errorf("claims %v", claims)
	}
	status, answer = s.signIn("jane", code)
	s.mustBe("the code again", status, answer, http.StatusBadRequest, "invalid_grant")
	status, answer = s.signIn("jane", password)
	s.mustBe("the permanent password", status, answer, http.StatusOK, "")
	if amr := s.verified(answer)["amr"].([]any); !slices.Equal(amr, []any{"pwd"}) {
		t.Errorf("amr %v", amr)
	}
	code = s.code("jane")
	s.ahead.Store(int64(6 * time.Minute))
	status, answer = s.signIn("jane", code)
	s.mustBe("an expired code", status, answer, http.StatusBadRequest, "invalid_grant")
}

// TestAccountMember exchanges a code for a token of an account.
func TestAccountMember(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ask := func(fields ...string) (int, map[string]any) {
		return s.post("/token", append([]string{"grant_type", grants.GrantAccountMember}, fields...)...)
	}
	status, answer := ask("username", "jane", "one_time_password", s.code("jane"))
	s.mustBe("the only account", status, answer, http.StatusOK, "")
	claims := s.verified(answer)
	if claims["account_id"] != "acme" || claims["scope"] != "Buy Approve" || answer["account_id"] != "acme" {
		t.Errorf("claims %v of %v", claims, answer)
	}
	code := s.code("john")
	status, answer = ask("username", "john", "one_time_password", code)
	s.mustBe("none of two", status, answer, http.StatusBadRequest, "account_selection_required")
	status, answer = ask("username", "john", "one_time_password", code, "account_id", "elsewhere")
	s.mustBe("no member there", status, answer, http.StatusBadRequest, "invalid_grant")
	status, answer = ask("username", "john", "one_time_password", code, "account_id", "bricks")
	s.mustBe("one of two", status, answer, http.StatusOK, "")
	if got := s.verified(answer)["account_id"]; got != "bricks" {
		t.Errorf("account %v", got)
	}
	status, answer = ask("username", "jane", "password", password, "account_id", "acme")
	s.mustBe("with the permanent password", status, answer, http.StatusOK, "")
}

// TestOneWinner redeems one code many times at once.
func TestOneWinner(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	code := s.code("john")
	var won atomic.Int64
	var crowd sync.WaitGroup
	for range 8 {
		crowd.Go(func() {
			if status, _ := s.signIn("john", code); status == http.StatusOK {
				won.Add(1)
			}
		})
	}
	crowd.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of 8 won", won.Load())
	}
}

// TestLockout: guesses at a password lock it, for a while and whether or not the
// user exists. They do not keep out who reads the mailbox.
func TestLockout(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for range 10 {
		for _, name := range []string{"jane", "nobody"} {
			status, answer := s.signIn(name, "wrong")
			s.mustBe("a guess at "+name, status, answer, http.StatusBadRequest, "invalid_grant")
		}
	}
	status, answer := s.signIn("jane", password)
	s.mustBe("the right password of a locked login", status, answer, http.StatusBadRequest, "invalid_grant")
	code := s.code("jane")
	status, answer = s.signIn("jane", code)
	s.mustBe("a code", status, answer, http.StatusOK, "")
	status, answer = s.signIn("jane", password)
	s.mustBe("the password after the code", status, answer, http.StatusBadRequest, "invalid_grant")
	s.ahead.Store(int64(3 * time.Minute))
	status, answer = s.signIn("jane", password)
	s.mustBe("the password after the lock", status, answer, http.StatusOK, "")

	code = s.code("jane")
	for range 10 {
		status, answer = s.signIn("jane", "00000000")
		s.mustBe("a guess at the code", status, answer, http.StatusBadRequest, "invalid_grant")
	}
	status, answer = s.signIn("jane", code)
	s.mustBe("the code after ten guesses at it", status, answer, http.StatusBadRequest, "invalid_grant")
}

// TestTheServersOwn holds the rest of the server to what fosite leaves to it.
func TestTheServersOwn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	status, answer := s.post("/token", "grant_type", "client_credentials")
	s.mustBe("fosite's own grant", status, answer, http.StatusOK, "")
	s.verified(answer)
	status, answer = s.post("/token", "grant_type", "urn:example:unknown")
	s.mustBe("an unknown grant", status, answer, http.StatusBadRequest, "unsupported_grant_type")
	status, answer = s.post("/token", "grant_type", "password", "username", "jane", "password", "x", "password", password)
	s.mustBe("a repeated parameter", status, answer, http.StatusBadRequest, "invalid_request")
	status, answer = s.send("/token", `{"grant_type":"client_credentials"}`, "application/json", "demo-secret")
	s.mustBe("JSON", status, answer, http.StatusBadRequest, "invalid_request")
	status, answer = s.send("/token", "grant_type=client_credentials", "application/x-www-form-urlencoded", "wrong")
	s.mustBe("a wrong secret", status, answer, http.StatusUnauthorized, "invalid_client")
	status, _ = s.post("/code", "username", "nobody")
	if status != http.StatusNoContent {
		t.Errorf("a code for nobody: %d", status)
	}
}

// TestImportGraph: what is taken brings no database, no configuration, no command
// line and no other HTTP server along.
func TestImportGraph(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	for _, wanted := range []string{"latchkey/grants", "latchkey/otp", "latchkey/keys"} {
		if !slices.Contains(deps, wanted) {
			t.Errorf("%s is not taken, so the rest proves nothing", wanted)
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
