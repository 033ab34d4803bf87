package page

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"testing"

	"latchkey/test/e2e/kit"
)

// TestBoundCode tests a code that is bound to a key (RFC 9449 §10). A request without a proof
// of that key leaves the code usable, and the tokens are bound to the key.
func TestBoundCode(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		key, other := s.NewDPoPKey(t), s.NewDPoPKey(t)
		a := s.spa("openid", "profile", "email")
		code := s.newBrowser().signIn(a, "jane", "dpop_jkt", key.Thumbprint).Get("code")
		redeem := func(header []string) kit.Response {
			return s.Server.Token(header, "grant_type", "authorization_code", "code", code, "client_id", "spa", "redirect_uri", callback, "code_verifier", a.verifier)
		}
		const endpoint = "http://latchkey.test/oauth/token"
		if got := redeem(nil); got.Field("error") != "invalid_dpop_proof" {
			t.Errorf("without a proof: got %d %s", got.Status, got.Body)
		}
		if got := redeem(other.TokenHeader("htu", endpoint)); got.Field("error") != "invalid_grant" {
			t.Errorf("with another key: got %d %s", got.Status, got.Body)
		}
		got := kit.MustIssue(t, "the right key", redeem(key.TokenHeader("htu", endpoint)))
		if got.Field("token_type") != "DPoP" {
			t.Errorf("token_type %q", got.Field("token_type"))
		}
		token := got.Field("access_token")
		sum := sha256.Sum256([]byte(token))
		proof := key.Proof(http.MethodGet, "", "htu", "http://latchkey.test/oauth/userinfo", "ath", base64.RawURLEncoding.EncodeToString(sum[:]))
		if got := s.Server.Do(http.MethodGet, "/oauth/userinfo", "", "", append(proof, "Authorization", "DPoP "+token)...); got.Status != 200 {
			t.Errorf("userinfo: got %d %s, want 200", got.Status, got.Body)
		}
		if got := s.Server.Do(http.MethodGet, "/oauth/userinfo", "", "", "Authorization", "Bearer "+token); got.Status != 401 {
			t.Errorf("userinfo as a bearer token: got %d, want 401", got.Status)
		}
		if got := s.Server.Form("/oauth/userinfo", "access_token", token); got.Status != 401 {
			t.Errorf("userinfo with the token in the form: got %d, want 401", got.Status)
		}
	})
}
