package oauth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"latchkey/grants"
	"latchkey/storage"
)

const (
	tokenURL = testIssuer + "/oauth/token"
	ordersAt = "https://api.example/orders"
	stockAt  = "https://api.example/stock"
)

// prover is the key of a client. It signs proofs with go-jose.
type prover struct {
	t   *testing.T
	key *ecdsa.PrivateKey
	jkt string
}

func newProver(t *testing.T) *prover {
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
	return &prover{t, key, base64.RawURLEncoding.EncodeToString(sum)}
}

// proof returns a good proof for a request at the time start. claims are pairs of name and
// value that replace claims.
func (p *prover) proof(method, target string, claims ...any) string {
	p.t.Helper()
	all := map[string]any{"htm": method, "htu": target, "iat": start.Unix(), "jti": rand.Text()}
	for i := 0; i+1 < len(claims); i += 2 {
		all[claims[i].(string)] = claims[i+1]
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: p.key}, &jose.SignerOptions{
		ExtraHeaders: map[jose.HeaderKey]any{"typ": "dpop+jwt", "jwk": jose.JSONWebKey{Key: p.key.Public()}},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	payload, err := json.Marshal(all)
	if err != nil {
		p.t.Fatal(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		p.t.Fatal(err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		p.t.Fatal(err)
	}
	return text
}

// forToken returns a good proof for the token endpoint, with changed claims.
func (p *prover) forToken(claims ...any) string {
	p.t.Helper()
	return p.proof(http.MethodPost, tokenURL, claims...)
}

// hashOf returns the claim ath of a proof for an access token.
func hashOf(issued string) string {
	sum := sha256.Sum256([]byte(issued))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// ask sends a form with proofs to the token endpoint. A name can occur several times in the
// form.
func (w *fixture) ask(proofs []string, form ...string) *httptest.ResponseRecorder {
	values := url.Values{}
	for i := 0; i+1 < len(form); i += 2 {
		values.Add(form[i], form[i+1])
	}
	r := httptest.NewRequest(http.MethodPost, "/oauth/token", strings.NewReader(values.Encode()))
	r.Header.Set("Content-Type", formType)
	for _, proof := range proofs {
		r.Header.Add("DPoP", proof)
	}
	mux := http.NewServeMux()
	w.endpoints.Mount(mux)
	rec := httptest.NewRecorder()
	mux.ServeHTTP(rec, r)
	return rec
}

func one(proof string) []string { return []string{proof} }

// member returns a member of a JSON object, or nil if the object does not have it.
func member(t *testing.T, rec *httptest.ResponseRecorder, name string) any {
	t.Helper()
	body := map[string]any{}
	if err := json.Unmarshal(rec.Body.Bytes(), &body); err != nil {
		t.Fatalf("got %v for %s", err, rec.Body)
	}
	return body[name]
}

func text(t *testing.T, rec *httptest.ResponseRecorder, name string) string {
	t.Helper()
	value, _ := member(t, rec, name).(string)
	return value
}

// mustRefuse expects a refusal with that error code.
func mustRefuse(t *testing.T, what string, rec *httptest.ResponseRecorder, code string) {
	t.Helper()
	if rec.Code != http.StatusBadRequest || text(t, rec, "error") != code {
		t.Errorf("%s: got %d %s, want %s", what, rec.Code, rec.Body, code)
	}
}

// mustIssue expects a token of that type and returns it.
func mustIssue(t *testing.T, what string, rec *httptest.ResponseRecorder, tokenType string) string {
	t.Helper()
	if rec.Code != http.StatusOK || text(t, rec, "token_type") != tokenType {
		t.Fatalf("%s: got %d %s, want a token of type %s", what, rec.Code, rec.Body, tokenType)
	}
	return text(t, rec, "access_token")
}

// withMachine adds a confidential client with the secret "secret", which signs in as itself.
func (w *fixture) withMachine(id string, change func(*storage.Client)) {
	w.addClient(id, func(c *storage.Client) {
		c.Roles = []string{"Reader"}
		change(c)
	})
	w.addSecret(w.clients[id], "secret")
}

func machineForm(id string, more ...string) []string {
	return append([]string{"grant_type", grants.GrantClientCredentials, "client_id", id, "client_secret", "secret"}, more...)
}

func passwordForm(more ...string) []string {
	return append([]string{"grant_type", grants.GrantPassword, "client_id", "shop", "username", "jane", "password", "right"}, more...)
}

func refreshForm(issued string, more ...string) []string {
	return append([]string{"grant_type", grants.GrantRefreshToken, "client_id", "shop", "refresh_token", issued}, more...)
}
