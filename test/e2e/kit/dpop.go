package kit

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

const DPoPIssuer = "https://login.example.com" // that of SharedIssuer

// DPoPDocument contains the clients of the DPoP tests (RFC 9449).
const DPoPDocument = `
ApiClients:
  - {ID: spa, AppName: Public, Active: true, AccessTokenDuration: 60, RefreshTokenDuration: 1440, AllowAnyBuyer: true,
     GrantTypes: [password, refresh_token, "urn:ietf:params:oauth:grant-type:token-exchange"], AllowedCredentials: [otp, password]}
  - {ID: bound, AppName: Always bound, Active: true, AccessTokenDuration: 60, RefreshTokenDuration: 1440, AllowAnyBuyer: true,
     DPoPBoundAccessTokens: true, GrantTypes: [password, refresh_token], AllowedCredentials: [otp, password]}
`

// DPoPKey is the key of a client. It signs proofs with go-jose.
type DPoPKey struct {
	T          testing.TB
	w          *Fixture
	key        *ecdsa.PrivateKey
	Thumbprint string
}

func (w *Fixture) NewDPoPKey(t testing.TB) *DPoPKey {
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
	return &DPoPKey{t, w, key, base64.RawURLEncoding.EncodeToString(sum)}
}

// Proof returns the header with a proof for a request. Claims are added to the proof or
// replace those of a valid one: name, value, …
func (h *DPoPKey) Proof(method, path string, claims ...any) []string {
	h.T.Helper()
	all := map[string]any{"htm": method, "htu": DPoPIssuer + path, "iat": h.w.Clock.Now().Unix(), "jti": rand.Text()}
	for i := 0; i+1 < len(claims); i += 2 {
		all[claims[i].(string)] = claims[i+1]
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: h.key}, &jose.SignerOptions{
		ExtraHeaders: map[jose.HeaderKey]any{"typ": "dpop+jwt", "jwk": jose.JSONWebKey{Key: h.key.Public()}},
	})
	if err != nil {
		h.T.Fatal(err)
	}
	payload, err := json.Marshal(all)
	if err != nil {
		h.T.Fatal(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		h.T.Fatal(err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		h.T.Fatal(err)
	}
	return []string{"DPoP", text}
}

// TokenHeader returns the header with a proof for the token endpoint.
func (h *DPoPKey) TokenHeader(claims ...any) []string {
	h.T.Helper()
	return h.Proof(http.MethodPost, "/oauth/token", claims...)
}

// Token sends a form to the token endpoint, with a header.
func (n *Server) Token(header []string, fields ...string) Response {
	return n.Do(http.MethodPost, "/oauth/token", FormMedia, EncodeForm(fields...), header...)
}

// PublicClientSignIn returns the form fields of a sign-in through the public client.
func PublicClientSignIn(username, secret string, more ...string) []string {
	return append([]string{"grant_type", "password", "client_id", "spa", "username", username, "password", secret}, more...)
}
