package tokens

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"testing"

	"latchkey/test/e2e/kit"
)

// forUse returns the headers of a request to a resource.
func forUse(h *kit.DPoPKey, token, method, path string, claims ...any) []string {
	h.T.Helper()
	sum := sha256.Sum256([]byte(token))
	claims = append([]any{"ath", base64.RawURLEncoding.EncodeToString(sum[:])}, claims...)
	return append(h.Proof(method, path, claims...), "Authorization", "DPoP "+token)
}

func get(n *kit.Server, path string, header ...string) kit.Response {
	return n.Do(http.MethodGet, path, "", "", header...)
}

func refreshSPA(token string) []string {
	return []string{"grant_type", "refresh_token", "client_id", "spa", "refresh_token", token}
}

// mustFail expects a refusal by the token endpoint with that error.
func mustFail(t testing.TB, what string, a kit.Response, code string) {
	t.Helper()
	if a.Status != http.StatusBadRequest || a.Field("error") != code {
		t.Errorf("%s: got %d %s, want %s", what, a.Status, a.Body, code)
	}
}

// mustBeOf expects a token of that type and returns it.
func mustBeOf(t testing.TB, what string, a kit.Response, tokenType string) string {
	t.Helper()
	if kit.MustIssue(t, what, a); a.Field("token_type") != tokenType {
		t.Errorf("%s: got a token of type %s, want %s", what, a.Field("token_type"), tokenType)
	}
	return a.Field("access_token")
}
