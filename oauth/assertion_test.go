package oauth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"latchkey/storage"
)

// asserting makes the client "signer", and returns what signs its assertions.
func (w *world) asserting(t *testing.T) (assert func(jti string) string) {
	t.Helper()
	key := newEC(t, elliptic.P256())
	w.addClient("signer", func(c *storage.Client) {
		c.AuthMethod, c.JWKS, c.Roles = storage.AuthMethodPrivateKeyJWT, json.RawMessage(jwkSet(t, key.Public())), []string{"Reader"}
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

// An assertion that could not be used up was not refused: its client may send it
// again.
func TestAssertionsNeedTheDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	assert := w.asserting(t)
	send := func(assertion string) int {
		return w.post("/oauth/token", nil, "grant_type", "client_credentials",
			"client_assertion_type", assertionType, "client_assertion", assertion).Code
	}
	if got := send(assert("first")); got != http.StatusOK {
		t.Errorf("status %d, want 200", got)
	}
	w.fail = storage.ErrUnavailable
	if got := send(assert("second")); got != http.StatusServiceUnavailable {
		t.Errorf("status %d without a database, want 503", got)
	}
	w.fail = nil
	if got := send(assert("first")); got != http.StatusBadRequest {
		t.Errorf("status %d for a used assertion, want 400", got)
	}
}

// TestAssertionIsRememberedByAllClocks: a server whose clock is ahead deletes what
// was spent earlier, when one whose clock is behind takes the assertion no more.
func TestAssertionIsRememberedByAllClocks(t *testing.T) {
	t.Parallel()
	const apart = 30 * time.Second
	w := newWorld(t)
	spent := &spender{world: w}
	w.provider.cfg.Tokens = spent
	assertion := w.asserting(t)("once")
	send := func() int {
		return w.post("/oauth/token", nil, "grant_type", "client_credentials",
			"client_assertion_type", assertionType, "client_assertion", assertion).Code
	}
	if got := send(); got != http.StatusOK || len(spent.until) != 1 {
		t.Fatalf("status %d, remembered until %v", got, spent.until)
	}
	w.now = spent.until[0].Add(-apart)
	clear(w.revoked)
	if got := send(); got != http.StatusBadRequest {
		t.Errorf("status %d for an assertion that another server has forgotten, want 400", got)
	}
}

// A client that uses the Authorization header is not told that it is wrong when
// nobody could look.
func TestOutageIsNoRefusalOfClients(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fail = storage.ErrUnavailable
	got := w.post("/oauth/token", http.Header{"Authorization": {"Basic c2hvcDpzZWNyZXQ="}}, "grant_type", "client_credentials")
	if got.Code != http.StatusServiceUnavailable || got.Header().Get("Retry-After") == "" {
		t.Errorf("%d %s, want 503", got.Code, got.Body)
	}
}

// What is verified with a decoy fails because of the signature: a key that is
// refused before would answer sooner than a client's.
func TestDecoysVerify(t *testing.T) {
	t.Parallel()
	decoys, err := newDecoys(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for alg, size := range map[string]int{"ES256": 64, "RS256": 256, "PS256": 256, "EdDSA": 64} {
		signature := make([]byte, size)
		signature[size-1] = 1
		err := jwt.GetSigningMethod(alg).Verify("a.b", signature, decoys[alg])
		if !errors.Is(err, rsa.ErrVerification) && !errors.Is(err, jwt.ErrECDSAVerification) && !errors.Is(err, jwt.ErrEd25519Verification) {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

// FuzzAssertion: nothing that is sent as an assertion is taken without a
// signature, or ends the server.
func FuzzAssertion(f *testing.F) {
	for _, seed := range []string{
		"", "..", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJzaWduZXIifQ.AAAA",
		"eyJhbGciOiJFUzI1NiIsImtpZCI6N30.eyJzdWIiOiJzaWduZXIifQ.AAAA", "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzaWduZXIiLCJleHAiOjFlMzAwfQ.AAAA",
	} {
		f.Add(seed)
	}
	decoys, err := newDecoys(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	p := &Provider{cfg: Config{Issuer: testIssuer, Now: func() time.Time { return start }}, base: testIssuer, decoys: decoys}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := readAssertion(text)
		if err != nil {
			return
		}
		client := storage.Client{ID: a.claims.Subject}
		if p.verifyAssertion(a, &client, "") == nil {
			t.Errorf("taken: %q", text)
		}
		if strings.ContainsAny(text, "\r\n") || len(text) > maxAssertionBytes {
			t.Errorf("read: %q", text)
		}
	})
}
