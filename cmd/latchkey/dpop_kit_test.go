package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

const dpopIssuer = "https://login.example.com" // wireIssuer's

// dpopClients are those of the tests of proofs of possession.
const dpopClients = `
ApiClients:
  - {ID: spa, AppName: Public, Active: true, AccessTokenDuration: 60, RefreshTokenDuration: 1440, AllowAnyBuyer: true,
     GrantTypes: [password, refresh_token, "urn:ietf:params:oauth:grant-type:token-exchange"], AllowedCredentials: [otp, password]}
  - {ID: bound, AppName: Always bound, Active: true, AccessTokenDuration: 60, RefreshTokenDuration: 1440, AllowAnyBuyer: true,
     DPoPBoundAccessTokens: true, GrantTypes: [password, refresh_token], AllowedCredentials: [otp, password]}
`

// holder is a client's key. It makes proofs with go-jose.
type holder struct {
	t   testing.TB
	w   *world
	key *ecdsa.PrivateKey
	jkt string
}

func (w *world) holder(t testing.TB) *holder {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	jwk := jose.JSONWebKey{Key: key.Public()}
	sum, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return &holder{t, w, key, base64.RawURLEncoding.EncodeToString(sum)}
}

// proof returns the header for a request, with a proof that is good but for the
// claims: name, value, …
func (h *holder) proof(method, path string, claims ...any) []string {
	h.t.Helper()
	all := map[string]any{"htm": method, "htu": dpopIssuer + path, "iat": h.w.clock.now().Unix(), "jti": rand.Text()}
	for i := 0; i+1 < len(claims); i += 2 {
		all[claims[i].(string)] = claims[i+1]
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: h.key}, &jose.SignerOptions{
		ExtraHeaders: map[jose.HeaderKey]any{"typ": "dpop+jwt", "jwk": jose.JSONWebKey{Key: h.key.Public()}},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	payload, err := json.Marshal(all)
	if err != nil {
		h.t.Fatal(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		h.t.Fatal(err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		h.t.Fatal(err)
	}
	return []string{"DPoP", text}
}

// forToken is a proof for the token endpoint.
func (h *holder) forToken(claims ...any) []string {
	h.t.Helper()
	return h.proof(http.MethodPost, "/oauth/token", claims...)
}

// forUse returns the headers of a request to a resource.
func (h *holder) forUse(token, method, path string, claims ...any) []string {
	h.t.Helper()
	sum := sha256.Sum256([]byte(token))
	claims = append([]any{"ath", base64.RawURLEncoding.EncodeToString(sum[:])}, claims...)
	return append(h.proof(method, path, claims...), "Authorization", "DPoP "+token)
}

// token asks the token endpoint, with a header.
func (n *node) token(header []string, fields ...string) answer {
	return n.do(http.MethodPost, "/oauth/token", formMedia, encode(fields...), header...)
}

func (n *node) get(path string, header ...string) answer {
	return n.do(http.MethodGet, path, "", "", header...)
}

// bySPA are the fields of a sign-in through the public client.
func bySPA(username, secret string, more ...string) []string {
	return append([]string{"grant_type", "password", "client_id", "spa", "username", username, "password", secret}, more...)
}

func refreshSPA(token string) []string {
	return []string{"grant_type", "refresh_token", "client_id", "spa", "refresh_token", token}
}

// mustFail demands a refusal of the token endpoint with that error.
func mustFail(t testing.TB, what string, a answer, code string) {
	t.Helper()
	if a.status != http.StatusBadRequest || a.field("error") != code {
		t.Errorf("%s: %d %s, want %s", what, a.status, a.body, code)
	}
}

// mustBeOf demands a token of that type and returns it.
func mustBeOf(t testing.TB, what string, a answer, tokenType string) string {
	t.Helper()
	if granted(t, what, a); a.field("token_type") != tokenType {
		t.Errorf("%s: a token of type %s, want %s", what, a.field("token_type"), tokenType)
	}
	return a.field("access_token")
}
