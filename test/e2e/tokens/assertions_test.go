package tokens

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"latchkey/test/e2e/kit"
)

const (
	jwtBearer     = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	testIssuer    = "https://login.example.com" // wireIssuer's
	testTokenPath = testIssuer + "/oauth/token"
)

// asserter is a client that signs assertions, with a key of each type.
type asserter struct {
	t    *testing.T
	id   string
	keys map[string]crypto.Signer // keys by kid
	now  func() time.Time
	jti  atomic.Int64
}

// newAsserter creates the client "machine", which may read and introspect tokens.
func newAsserter(w *kit.Fixture, t *testing.T, id string) *asserter {
	t.Helper()
	a := &asserter{t: t, id: id, keys: map[string]crypto.Signer{}, now: w.Clock.Now}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	number, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a.keys["curve"], a.keys["number"], a.keys["edwards"] = curve, number, edwards
	created := w.CreateClient(t, "--name", id, "--id", id, "--grant", "client_credentials", "--role", "Reader", "--jwks", a.file())
	if created.Secret != "" {
		t.Error("got a secret for a client with keys, want none")
	}
	return a
}

func (a *asserter) public() jose.JSONWebKeySet {
	var set jose.JSONWebKeySet
	for kid, key := range a.keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: key.Public(), KeyID: kid})
	}
	return set
}

// file writes the key set to a file and returns its name.
func (a *asserter) file() string {
	a.t.Helper()
	encoded, err := json.Marshal(a.public())
	if err != nil {
		a.t.Fatal(err)
	}
	path := filepath.Join(a.t.TempDir(), "jwks.json")
	if err := os.WriteFile(path, encoded, 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

// claims returns the claims of a valid assertion with changes. A nil value removes a claim.
func (a *asserter) claims(changes map[string]any) map[string]any {
	claims := map[string]any{
		"iss": a.id, "sub": a.id, "aud": testIssuer, "exp": a.now().Add(time.Minute).Unix(), "iat": a.now().Unix(),
		"jti": fmt.Sprintf("%s-%d", a.id, a.jti.Add(1)),
	}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	return claims
}

// sign signs an assertion with another library than that of the server.
func (a *asserter) sign(alg jose.SignatureAlgorithm, kid string, claims map[string]any, header ...any) string {
	a.t.Helper()
	return signJWT(a.t, alg, jose.JSONWebKey{Key: a.keys[kid], KeyID: kid}, claims, header...)
}

// assert is sign with the client's ES256 key.
func (a *asserter) assert(changes map[string]any) string {
	return a.sign(jose.ES256, "curve", a.claims(changes))
}

func signJWT(t *testing.T, alg jose.SignatureAlgorithm, key any, claims map[string]any, header ...any) string {
	t.Helper()
	options := new(jose.SignerOptions)
	for i := 0; i+1 < len(header); i += 2 {
		name, _ := header[i].(string)
		options = options.WithHeader(jose.HeaderKey(name), header[i+1])
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	object, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := object.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// asserted sends a form with an assertion.
func asserted(n *kit.Server, path, assertion string, more ...string) kit.Response {
	fields := append([]string{"client_assertion_type", jwtBearer, "client_assertion", assertion}, more...)
	if path == "/oauth/token" {
		fields = append([]string{"grant_type", "client_credentials"}, fields...)
	}
	return n.Form(path, fields...)
}

// unsigned returns a JWT without a signature.
func unsigned(t *testing.T, alg string, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"`+alg+`"}`)) + "." + encode(payload) + "."
}
