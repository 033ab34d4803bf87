package resource

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"latchkey/oauth/dpop"
)

// dpopFixture has an issuer, a verifier that accepts bound tokens, and a client with a
// key.
type dpopFixture struct {
	*issuer
	t   *testing.T
	v   *Verifier
	key signingKey
	ids int
}

func newDPoPFixture(t *testing.T, change func(*Config)) *dpopFixture {
	b := &dpopFixture{issuer: newIssuer(t), t: t, key: anotherKey(t)}
	b.v = b.verifier(t, func(cfg *Config) {
		cfg.DPoP = &DPoP{BaseURL: "https://api.example/shop/", Algorithms: []string{"ES256", "EdDSA"}}
		if change != nil {
			change(cfg)
		}
	})
	return b
}

// token returns a token that is bound to the client's key.
func (b *dpopFixture) token() string {
	b.t.Helper()
	return b.boundToken(nil)
}

// boundToken returns a token that is bound to the client's key. others are further members of
// cnf.
func (b *dpopFixture) boundToken(others object) string {
	b.t.Helper()
	jkt := must[string](b.t)(dpop.Thumbprint(b.key.private.Public()))
	return b.sign(b.t, with(b.claims(), object{"cnf": with(object{"jkt": jkt}, others)}), nil)
}

// proof returns a proof of the client for GET /things with the token.
func (b *dpopFixture) proof(token string, changes object) string {
	b.t.Helper()
	return b.proofOf(b.key, token, changes)
}

// proofOf returns a proof that is signed with the key k.
func (b *dpopFixture) proofOf(k signingKey, token string, changes object) string {
	b.t.Helper()
	b.ids++
	sum := sha256.Sum256([]byte(token))
	claims := object{
		"htm": "GET", "htu": "https://api.example/shop/things", "iat": b.clock.now().Unix(),
		"jti": "proof-" + string(rune('a'+b.ids)), "ath": base64.RawURLEncoding.EncodeToString(sum[:]),
	}
	return sign(b.t, k, with(claims, changes), object{"typ": "dpop+jwt", "jwk": jose.JSONWebKey{Key: k.private.Public()}})
}

const (
	dpopChallenge   = `DPoP realm="https://first.example", algs="ES256 EdDSA"`
	bearerChallenge = `Bearer realm="https://first.example"`
	invalidFault    = `, error="invalid_token", error_description="The access token is invalid or expired."`
	proofFault      = `, error="invalid_dpop_proof", error_description="The DPoP proof is missing, invalid or used before."`
)

// TestBoundTokens tests which requests with a bound token are accepted (RFC 9449 §7).
func TestBoundTokens(t *testing.T) {
	t.Parallel()
	b := newDPoPFixture(t, nil)
	token, plain, otherKey := b.token(), b.sign(t, b.claims(), nil), anotherKey(t)
	twice := b.boundToken(object{"x5t#S256": "abc"})
	for name, c := range map[string]struct {
		headers    []string
		status     int
		challenges string
	}{
		"good":                        {[]string{"Authorization", "DPoP " + token, "DPoP", b.proof(token, nil)}, 200, ""},
		"scheme in lower case":        {[]string{"Authorization", "dpop " + token, "DPoP", b.proof(token, nil)}, 200, ""},
		"unbound as Bearer":           {[]string{"Authorization", "Bearer " + plain}, 200, ""},
		"no token":                    {nil, 401, bearerChallenge + "|" + dpopChallenge},
		"bound as Bearer":             {[]string{"Authorization", "Bearer " + token}, 401, bearerChallenge + invalidFault + "|" + dpopChallenge},
		"bound as Bearer, with proof": {[]string{"Authorization", "Bearer " + token, "DPoP", b.proof(token, nil)}, 401, bearerChallenge + invalidFault + "|" + dpopChallenge},
		"unbound as DPoP":             {[]string{"Authorization", "DPoP " + plain, "DPoP", b.proof(plain, nil)}, 401, bearerChallenge + "|" + dpopChallenge + invalidFault},
		"unbound, no proof":           {[]string{"Authorization", "DPoP " + plain}, 401, bearerChallenge + "|" + dpopChallenge + invalidFault},
		"bound in two ways":           {[]string{"Authorization", "DPoP " + twice, "DPoP", b.proof(twice, nil)}, 401, bearerChallenge + "|" + dpopChallenge + invalidFault},
		"no proof":                    {[]string{"Authorization", "DPoP " + token}, 401, bearerChallenge + "|" + dpopChallenge + proofFault},
		"two proofs":                  {[]string{"Authorization", "DPoP " + token, "DPoP", b.proof(token, nil), "DPoP", b.proof(token, nil)}, 401, bearerChallenge + "|" + dpopChallenge + proofFault},
		"proof of another key":        {[]string{"Authorization", "DPoP " + token, "DPoP", b.proofOf(otherKey, token, nil)}, 401, bearerChallenge + "|" + dpopChallenge + invalidFault},
		"proof for another method":    {[]string{"Authorization", "DPoP " + token, "DPoP", b.proof(token, object{"htm": "POST"})}, 401, bearerChallenge + "|" + dpopChallenge + proofFault},
		"proof for another path":      {[]string{"Authorization", "DPoP " + token, "DPoP", b.proof(token, object{"htu": "https://api.example/shop/other"})}, 401, bearerChallenge + "|" + dpopChallenge + proofFault},
		"proof for the Host header":   {[]string{"Authorization", "DPoP " + token, "DPoP", b.proof(token, object{"htu": "http://example.com/things"})}, 401, bearerChallenge + "|" + dpopChallenge + proofFault},
		"proof for another token":     {[]string{"Authorization", "DPoP " + token, "DPoP", b.proof(plain, nil)}, 401, bearerChallenge + "|" + dpopChallenge + proofFault},
		"proof without ath":           {[]string{"Authorization", "DPoP " + token, "DPoP", b.proof(token, object{"ath": nil})}, 401, bearerChallenge + "|" + dpopChallenge + proofFault},
		"old proof":                   {[]string{"Authorization", "DPoP " + token, "DPoP", b.proof(token, object{"iat": b.clock.now().Add(-time.Hour).Unix()})}, 401, bearerChallenge + "|" + dpopChallenge + proofFault},
		"the token as the proof":      {[]string{"Authorization", "DPoP " + token, "DPoP", token}, 401, bearerChallenge + "|" + dpopChallenge + proofFault},
		"the proof as the token":      {[]string{"Authorization", "DPoP " + b.proof(token, nil), "DPoP", b.proof(token, nil)}, 401, bearerChallenge + "|" + dpopChallenge + invalidFault},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := get(b.v.Require()(showTokens), c.headers...)
			if got := strings.Join(w.Header().Values("WWW-Authenticate"), "|"); w.Code != c.status || got != c.challenges {
				t.Errorf("got %d %s\nwant %d %s", w.Code, got, c.status, c.challenges)
			}
		})
	}
	if _, err := b.v.Verify(t.Context(), token); !errors.Is(err, ErrInvalidToken) {
		t.Errorf("a bound token without a request: got %v, want ErrInvalidToken", err)
	}
}

// TestProofsAreUsedOnce tests that a proof is accepted in one request only, but by several
// middlewares of that request.
func TestProofsAreUsedOnce(t *testing.T) {
	t.Parallel()
	b := newDPoPFixture(t, nil)
	token := b.token()
	headers := []string{"Authorization", "DPoP " + token, "DPoP", b.proof(token, nil)}
	h := b.v.Require()(b.v.Require("Shopper")(showTokens))
	for _, want := range []int{200, 401, 401} {
		if w := get(h, headers...); w.Code != want {
			t.Errorf("got %d %v, want %d", w.Code, w.Header(), want)
		}
	}
	b.clock.advance(5*time.Minute + 31*time.Second)
	if w := get(h, headers...); w.Code != 401 {
		t.Errorf("after the proof was deleted: got %d, want 401", w.Code)
	}
}

// TestProofBehindStripPrefix tests that a proof is compared with the path that the client
// requested.
func TestProofBehindStripPrefix(t *testing.T) {
	t.Parallel()
	b := newDPoPFixture(t, nil)
	token := b.token()
	mux := http.NewServeMux()
	mux.Handle("/v1/", http.StripPrefix("/v1", b.v.Require()(showTokens)))
	for path, want := range map[string]int{"/shop/v1/things": 200, "/shop/things": 401} {
		r := httptest.NewRequest(http.MethodGet, "/v1/things?x=y", nil)
		r.Header.Set("Authorization", "DPoP "+token)
		r.Header.Set("DPoP", b.proof(token, object{"htu": "https://api.example" + path}))
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("a proof for %s: got %d, want %d", path, w.Code, want)
		}
	}
}

// brokenStore is a UsedProofs that always fails.
type brokenStore struct{}

func (brokenStore) Spend(context.Context, []byte, time.Time) (bool, error) {
	return false, errors.New("connection refused")
}

// TestUsedProofsUnavailable tests that a request is refused if it is unknown whether its proof
// was used.
func TestUsedProofsUnavailable(t *testing.T) {
	t.Parallel()
	b := newDPoPFixture(t, func(cfg *Config) { cfg.DPoP.UsedProofs = brokenStore{} })
	token := b.token()
	w := get(b.v.Require()(showTokens), "Authorization", "DPoP "+token, "DPoP", b.proof(token, nil))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("got %d %v, want 503 with Retry-After", w.Code, w.Header())
	}
}

// TestProofMemoryIsBounded tests that a full record refuses proofs and deletes none before its
// end.
func TestProofMemoryIsBounded(t *testing.T) {
	t.Parallel()
	c := newClock()
	m := newProofMemory(c.now)
	m.max = 3
	spend := func(id string) (bool, error) { return m.Spend(t.Context(), []byte(id), c.now().Add(time.Minute)) }
	for _, id := range []string{"a", "b", "c"} {
		if first, err := spend(id); !first || err != nil {
			t.Fatalf("%s: got %v, error %v; want the first use", id, first, err)
		}
	}
	if first, err := spend("d"); first || !errors.Is(err, errMemoryFull) {
		t.Errorf("a fourth proof: got %v, error %v; want errMemoryFull", first, err)
	}
	if first, err := spend("a"); first || err != nil {
		t.Errorf("a again: got %v, error %v; want a second use", first, err)
	}
	c.advance(time.Minute)
	if first, err := spend("d"); !first || err != nil || len(m.spent) != 1 {
		t.Errorf("after the others ended: got %v, error %v, %d recorded; want the first use and 1", first, err, len(m.spent))
	}
}
