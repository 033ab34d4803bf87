package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/keys"
)

// What the tests of the protocol share: table rows, answers compared member by
// member, and the program as an administrator calls it.

// wireIssuer makes the replicas of a world one server to its clients.
const wireIssuer = "LATCHKEY_ISSUER=https://login.example.com"

// wireRefusal is the whole body of a refusal below /oauth.
func wireRefusal(code, vendorCode, message string) map[string]any {
	return map[string]any{
		"error": code, "error_description": message,
		"Errors": []any{map[string]any{"ErrorCode": vendorCode, "Message": message, "Data": nil}},
	}
}

// Refusals that many rows have in common.
var (
	wireInvalidClient      = wireRefusal("invalid_client", "ApiClient.InvalidClientID", "Invalid Client ID.")
	wireInactiveClient     = wireRefusal("invalid_client", "Auth.ClientNotActive", "Client ID is not active.")
	wireWrongCredentials   = wireRefusal("invalid_grant", "Auth.InvalidUsernameOrPassword", "Invalid username or password.")
	wireCredentialsMissing = wireRefusal("invalid_request", "Auth.UsernameAndPasswordRequired", "Both username and password are required.")
	wireGrantMissing       = wireRefusal("invalid_request", "Auth.OauthError", "The parameter grant_type is missing.")
	wireUnsupportedGrant   = wireRefusal("unsupported_grant_type", "Auth.OauthError", "The grant type is not supported.")
	wireUnauthorizedClient = wireRefusal("unauthorized_client", "Auth.OauthError", "The client may not use this grant type.")
	wireRepeated           = wireRefusal("invalid_request", "Auth.OauthError", "A parameter is repeated.")
	wireTwoWays            = wireRefusal("invalid_request", "Auth.OauthError", "The client authenticated itself in two ways.")
	wireMalformedName      = wireRefusal("invalid_request", "Auth.OauthError", "A username or client_id has unsupported characters or is too long.")
	wireMalformedScope     = wireRefusal("invalid_scope", "Auth.OauthError", "The scope has unsupported characters.")
	wireMalformedForm      = wireRefusal("invalid_request", "Auth.OauthError", "The request body is not a well-formed form.")
	wireTooLarge           = wireRefusal("invalid_request", "Auth.OauthError", "The request body is too large.")
	wireTooMany            = wireRefusal("invalid_request", "Auth.OauthError", "There are too many parameters.")
	wireMethod             = wireRefusal("invalid_request", "Auth.OauthError", "The method must be POST.")
	wireMediaType          = wireRefusal("invalid_request", "Request.InvalidContentType", "Invalid content type. Please use x-www-form-urlencoded.")
	wireRefreshToken       = wireRefusal("invalid_grant", "Auth.OauthError", "The refresh token is invalid, expired or revoked.")
	wireTokenMissing       = wireRefusal("invalid_request", "Auth.OauthError", "The parameter token is missing.")
	wireForeignToken       = wireRefusal("unauthorized_client", "Auth.OauthError", "The token was issued to another client.")
	wireNoRoleFits         = wireRefusal("invalid_scope", "Auth.InsufficientRoles", "User does not have role(s) required to perform this action.")
	wireRolesMissing       = wireRefusal("invalid_grant", "Auth.InsufficientRoles", "User does not have role(s) required to perform this action.")
)

// wireBody returns the body as a JSON object.
func (a answer) wireBody(t *testing.T) map[string]any {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal([]byte(a.body), &o); err != nil {
		t.Errorf("%d with a body that is no JSON object: %v: %.200q", a.status, err, a.body)
	}
	return o
}

// mustRefuse holds an answer to the status and the whole body, and to the
// headers that every refusal has.
func (a answer) mustRefuse(t *testing.T, status int, body map[string]any) {
	t.Helper()
	if a.status != status {
		t.Errorf("status %d, want %d: %s", a.status, status, a.body)
	}
	if diff := cmp.Diff(body, a.wireBody(t)); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	a.mustNotLeak(t)
	want := map[string]string{
		"Content-Type": "application/json;charset=UTF-8", "Cache-Control": "no-store", "Pragma": "no-cache",
		"X-Content-Type-Options": "nosniff", "Www-Authenticate": "", "Allow": "", "Retry-After": "",
	}
	switch status {
	case http.StatusUnauthorized:
		want["Www-Authenticate"] = `Basic realm="latchkey"`
	case http.StatusMethodNotAllowed:
		want["Allow"] = "POST"
	}
	for name, value := range want {
		if got := strings.Join(a.header[name], ", "); got != value {
			t.Errorf("header %s is %q, want %q", name, got, value)
		}
	}
}

// mustNotLeak looks for words of the inside (OWASP ASVS 16.5.1).
func (a answer) mustNotLeak(t *testing.T) {
	t.Helper()
	if a.status >= http.StatusInternalServerError {
		t.Errorf("answered %d: %s", a.status, a.body)
	}
	for _, word := range []string{"fosite", "goroutine", ".go:", "SELECT", "INSERT", "SQLSTATE", "sqlite", "postgres", "error_debug", "error_hint", "storage:"} {
		if strings.Contains(a.body, word) {
			t.Errorf("the answer tells of %q: %s", word, a.body)
		}
	}
}

// mustIssue holds an answer to be a token, and returns it.
func (a answer) mustIssue(t *testing.T) string {
	t.Helper()
	if a.status != http.StatusOK || a.field("access_token") == "" {
		t.Fatalf("no token: %d %s", a.status, a.body)
	}
	return a.field("access_token")
}

// mustEqual holds two answers to be the same in everything but what names the
// request itself.
func (a answer) mustEqual(t *testing.T, b answer) {
	t.Helper()
	plain := func(h http.Header) http.Header {
		h = h.Clone()
		h.Del("X-Request-Id")
		h.Del("Date")
		return h
	}
	if a.status != b.status || a.body != b.body {
		t.Errorf("answers differ: %d %s and %d %s", a.status, a.body, b.status, b.body)
	}
	if diff := cmp.Diff(plain(a.header), plain(b.header)); diff != "" {
		t.Errorf("headers differ:\n%s", diff)
	}
}

// wireBasic returns the header of RFC 6749 §2.3.1.
func wireBasic(id, secret string) []string {
	return wireBasicRaw("Basic", url.QueryEscape(id)+":"+url.QueryEscape(secret))
}

func wireBasicRaw(scheme, credentials string) []string {
	return []string{"Authorization", scheme + " " + base64.StdEncoding.EncodeToString([]byte(credentials))}
}

// wireWithout returns the form fields but for those of that name.
func wireWithout(fields []string, name string) []string {
	var rest []string
	for i := 0; i+1 < len(fields); i += 2 {
		if fields[i] != name {
			rest = append(rest, fields[i], fields[i+1])
		}
	}
	return rest
}

// wireWith returns the form fields with one more, in place of those of that name.
func wireWith(fields []string, name, value string) []string {
	return append(wireWithout(fields, name), name, value)
}

// wireSoon waits until a change made by another process has come through.
func wireSoon(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("not within 10 s: %s", what)
}

// wireEnviron is what a command needs to find the world's database.
func (w *world) wireEnviron() []string {
	return []string{"LATCHKEY_DATABASE_URL=" + w.databaseURL, "LATCHKEY_MASTER_KEY=" + testMasterKey}
}

// admin calls the program on the world's clock, with a database connection
// of its own, and returns what it printed.
func (w *world) admin(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs strings.Builder
	c := &cli{
		stdin: strings.NewReader(""), stdout: &out, stderr: &errs, environ: w.wireEnviron(),
		now: w.clock.now, random: rand.Reader,
	}
	if code := c.run(t.Context(), args); code != exitDone {
		t.Fatalf("latchkey %q ended with %d: %s", args, code, errs.String())
	}
	return out.String()
}

// adminProcess is admin in a process of its own, with the real time.
func (w *world) adminProcess(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "latchkey", args...)
	cmd.Env = append(slices.Clone(os.Environ()), w.wireEnviron()...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("latchkey %q: %v: %s", args, err, out)
	}
	return string(out)
}

// adminClient calls "client create" and returns the id and the secret.
func (w *world) adminClient(t *testing.T, args ...string) createdClient {
	t.Helper()
	var created createdClient
	if err := json.Unmarshal([]byte(w.admin(t, append([]string{"client", "create"}, args...)...)), &created); err != nil {
		t.Fatal(err)
	}
	return created
}

// wireRing opens the server's signing keys.
func (w *world) wireRing(t *testing.T, use func(*keys.Ring)) {
	t.Helper()
	err := w.cli(&w.clock).withApp(t.Context(), w.config(), func(a *app) error {
		if err := a.openRing(context.WithoutCancel(t.Context())); err != nil {
			return err
		}
		use(a.ring)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
