package oauth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"latchkey/oauth/client"
	"latchkey/storage"
)

// asserting adds the client "signer" and returns a function that signs its assertions.
func (w *fixture) asserting(t *testing.T) (assert func(jti string) string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k0"}}})
	if err != nil {
		t.Fatal(err)
	}
	w.addClient("signer", func(c *storage.Client) {
		c.AuthMethod, c.JWKS, c.Roles = storage.AuthMethodPrivateKeyJWT, set, []string{"Reader"}
	})
	return func(jti string) string { return signedWith(t, key, w.clock(), jti) }
}

func signedWith(t *testing.T, key *ecdsa.PrivateKey, now time.Time, jti string) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(map[string]any{
		"iss": "signer", "sub": "signer", "aud": testIssuer, "exp": now.Add(time.Minute).Unix(), "jti": jti,
	})
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

// TestAssertionsNeedTheDatabase tests that an assertion that could not be stored as used is
// answered with 503, so that its client can send it again.
func TestAssertionsNeedTheDatabase(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	assert := w.asserting(t)
	send := func(assertion string) int {
		return w.post("/oauth/token", nil, "grant_type", "client_credentials",
			"client_assertion_type", client.AssertionType, "client_assertion", assertion).Code
	}
	if got := send(assert("first")); got != http.StatusOK {
		t.Errorf("got status %d, want 200", got)
	}
	w.fail = storage.ErrUnavailable
	if got := send(assert("second")); got != http.StatusServiceUnavailable {
		t.Errorf("without a database: got status %d, want 503", got)
	}
	w.fail = nil
	if got := send(assert("first")); got != http.StatusBadRequest {
		t.Errorf("a used assertion: got status %d, want 400", got)
	}
}

// TestAssertionIsRememberedByAllClocks tests that a server whose clock is ahead does not forget
// a used assertion while a server whose clock is behind still accepts it.
func TestAssertionIsRememberedByAllClocks(t *testing.T) {
	t.Parallel()
	const apart = 30 * time.Second
	w := newFixture(t)
	assertion := w.asserting(t)("once")
	send := func() int {
		return w.post("/oauth/token", nil, "grant_type", "client_credentials",
			"client_assertion_type", client.AssertionType, "client_assertion", assertion).Code
	}
	if got := send(); got != http.StatusOK || len(w.rememberedUntil) != 1 {
		t.Fatalf("got status %d, remembered until %v; want 200 and one time", got, w.rememberedUntil)
	}
	w.now = w.rememberedUntil[0].Add(-apart)
	clear(w.revoked)
	if got := send(); got != http.StatusBadRequest {
		t.Errorf("an assertion that another server has forgotten: got status %d, want 400", got)
	}
}

// TestOutageIsNoRefusalOfClients tests that a client that uses the Authorization header gets
// 503, not 401, while its record cannot be read.
func TestOutageIsNoRefusalOfClients(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	w.fail = storage.ErrUnavailable
	got := w.post("/oauth/token", http.Header{"Authorization": {"Basic c2hvcDpzZWNyZXQ="}}, "grant_type", "client_credentials")
	if got.Code != http.StatusServiceUnavailable || got.Header().Get("Retry-After") == "" {
		t.Errorf("got %d %s, want 503", got.Code, got.Body)
	}
}
