package kit

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// SharedIssuer is a setting that gives servers one issuer.
const SharedIssuer = "LATCHKEY_ISSUER=https://login.example.com"

// Refusal returns the body of a refusal of an endpoint below /oauth.
func Refusal(code, vendorCode, message string) map[string]any {
	return map[string]any{
		"error": code, "error_description": message,
		"Errors": []any{map[string]any{"ErrorCode": vendorCode, "Message": message, "Data": nil}},
	}
}

// Bodies of refusals of endpoints below /oauth.
var (
	InvalidClient       = Refusal("invalid_client", "ApiClient.InvalidClientID", "Invalid Client ID.")
	InactiveClient      = Refusal("invalid_client", "Auth.ClientNotActive", "Client ID is not active.")
	WrongCredentials    = Refusal("invalid_grant", "Auth.InvalidUsernameOrPassword", "Invalid username or password.")
	CredentialsMissing  = Refusal("invalid_request", "Auth.UsernameAndPasswordRequired", "Both username and password are required.")
	GrantMissing        = Refusal("invalid_request", "Auth.OauthError", "The parameter grant_type is missing.")
	UnsupportedGrant    = Refusal("unsupported_grant_type", "Auth.OauthError", "The grant type is not supported.")
	UnauthorizedClient  = Refusal("unauthorized_client", "Auth.OauthError", "The client may not use this grant type.")
	RepeatedParameter   = Refusal("invalid_request", "Auth.OauthError", "A parameter is repeated.")
	TwoAuthentications  = Refusal("invalid_request", "Auth.OauthError", "The client authenticated itself in two ways.")
	MalformedName       = Refusal("invalid_request", "Auth.OauthError", "A username or client_id has unsupported characters or is too long.")
	MalformedScope      = Refusal("invalid_scope", "Auth.OauthError", "The scope has unsupported characters.")
	MalformedForm       = Refusal("invalid_request", "Auth.OauthError", "The request body is not a well-formed form.")
	BodyTooLarge        = Refusal("invalid_request", "Auth.OauthError", "The request body is too large.")
	TooManyParameters   = Refusal("invalid_request", "Auth.OauthError", "There are too many parameters.")
	MethodNotAllowed    = Refusal("invalid_request", "Auth.OauthError", "The method must be POST.")
	WrongMediaType      = Refusal("invalid_request", "Request.InvalidContentType", "Invalid content type. Please use x-www-form-urlencoded.")
	InvalidRefreshToken = Refusal("invalid_grant", "Auth.OauthError", "The refresh token is invalid, expired or revoked.")
	TokenMissing        = Refusal("invalid_request", "Auth.OauthError", "The parameter token is missing.")
	ForeignToken        = Refusal("unauthorized_client", "Auth.OauthError", "The token was issued to another client.")
	NoRoleFits          = Refusal("invalid_scope", "Auth.InsufficientRoles", "User does not have role(s) required to perform this action.")
	RolesMissing        = Refusal("invalid_grant", "Auth.InsufficientRoles", "User does not have role(s) required to perform this action.")
)

// JSON returns the body as a JSON object.
func (a Response) JSON(t *testing.T) map[string]any {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal([]byte(a.Body), &o); err != nil {
		t.Errorf("got %d with a body that is not a JSON object: %v: %.200q", a.Status, err, a.Body)
	}
	return o
}

// MustRefuse fails the test unless the response has the status, the body, and the headers
// of a refusal.
func (a Response) MustRefuse(t *testing.T, status int, body map[string]any) {
	t.Helper()
	if a.Status != status {
		t.Errorf("got status %d, want %d: %s", a.Status, status, a.Body)
	}
	if diff := cmp.Diff(body, a.JSON(t)); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	a.MustNotLeak(t)
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
		if got := strings.Join(a.Header[name], ", "); got != value {
			t.Errorf("header %s: got %q, want %q", name, got, value)
		}
	}
}

// MustNotLeak fails the test if the response names internals (OWASP ASVS 16.5.1).
func (a Response) MustNotLeak(t *testing.T) {
	t.Helper()
	if a.Status >= http.StatusInternalServerError {
		t.Errorf("got %d %s", a.Status, a.Body)
	}
	for _, word := range []string{"fosite", "goroutine", ".go:", "SELECT", "INSERT", "SQLSTATE", "sqlite", "postgres", "error_debug", "error_hint", "storage:"} {
		if strings.Contains(a.Body, word) {
			t.Errorf("got %q in %s, want it hidden", word, a.Body)
		}
	}
}

// AccessToken returns the access token of a response, which must contain one.
func (a Response) AccessToken(t *testing.T) string {
	t.Helper()
	if a.Status != http.StatusOK || a.Field("access_token") == "" {
		t.Fatalf("got %d %s, want a token", a.Status, a.Body)
	}
	return a.Field("access_token")
}

// MustEqual fails the test unless two responses are equal, except for Date and the request
// id.
func (a Response) MustEqual(t *testing.T, b Response) {
	t.Helper()
	plain := func(h http.Header) http.Header {
		h = h.Clone()
		h.Del("X-Request-Id")
		h.Del("Date")
		return h
	}
	if a.Status != b.Status || a.Body != b.Body {
		t.Errorf("got different answers: %d %s and %d %s", a.Status, a.Body, b.Status, b.Body)
	}
	if diff := cmp.Diff(plain(a.Header), plain(b.Header)); diff != "" {
		t.Errorf("got different headers (-first +second):\n%s", diff)
	}
}

// BasicAuth returns the Authorization header of a client (RFC 6749 §2.3.1).
func BasicAuth(id, secret string) []string {
	return AuthorizationHeader("Basic", url.QueryEscape(id)+":"+url.QueryEscape(secret))
}

// AuthorizationHeader returns an Authorization header with encoded credentials.
func AuthorizationHeader(scheme, credentials string) []string {
	return []string{"Authorization", scheme + " " + base64.StdEncoding.EncodeToString([]byte(credentials))}
}

// WithoutField returns the form fields without those of the name.
func WithoutField(fields []string, name string) []string {
	var rest []string
	for i := 0; i+1 < len(fields); i += 2 {
		if fields[i] != name {
			rest = append(rest, fields[i], fields[i+1])
		}
	}
	return rest
}

// WithField returns the form fields with one of the name, which replaces the others.
func WithField(fields []string, name, value string) []string {
	return append(WithoutField(fields, name), name, value)
}
