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

// bound is an issuer, a verifier that takes bound tokens, and a client with a
// key.
type bound struct {
	*issuer
	t   *testing.T
	v   *Verifier
	key signingKey
	ids int
}

func newBound(t *testing.T, change func(*Config)) *bound {
	b := &bound{issuer: newIssuer(t), t: t, key: anotherKey(t)}
	b.v = b.verifier(t, func(cfg *Config) {
		cfg.DPoP = &DPoP{BaseURL: "https://api.example/shop/", Algorithms: []string{"ES256", "EdDSA"}}
		if change != nil {
			change(cfg)
		}
	})
	return b
}

// token is bound to the client's key.
func (b *bound) token() string {
	b.t.Helper()
	return b.bound(nil)
}

// bound is a token that is bound to the client's key, and in other ways.
func (b *bound) bound(others object) string {
	b.t.Helper()
	jkt := must[string](b.t)(dpop.Thumbprint(b.key.private.Public()))
	return b.sign(b.t, with(b.claims(), object{"cnf": with(object{"jkt": jkt}, others)}), nil)
}

// proof is one of the client's for GET /things with the token.
func (b *bound) proof(token string, changes object) string {
	b.t.Helper()
	return b.proofOf(b.key, token, changes)
}

func (b *bound) proofOf(k signingKey, token string, changes object) string {
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
	dpopChallenge   = `DPoP realm="https://elsewhere.example", algs="ES256 EdDSA"`
	bearerChallenge = `Bearer realm="https://elsewhere.example"`
	invalidFault    = `, error="invalid_token", error_description="The access token is invalid or expired."`
	proofFault      = `, error="invalid_dpop_proof", error_description="The DPoP proof is missing, invalid or used before."`
)

// TestBoundTokens: RFC 9449 §7.
func TestBoundTokens(t *testing.T) {
	t.Parallel()
	b := newBound(t, nil)
	token, plain, stranger := b.token(), b.sign(t, b.claims(), nil), anotherKey(t)
	twice := b.bound(object{"x5t#S256": "abc"})
	for name, c := range map[string]struct {
		headers    []string
		status     int
		challenges string
	}{
		"good":                   {[]string{"Authorization", "DPoP " + token, "DPoP", b.proof(token, nil)}, 200, ""},
		"scheme in small":        {[]string{"Authorization", "dpop " + token, "DPoP", b.proof(token, nil)}, 200, ""},
		"unbound as Bearer":      {[]string{"Authorization", "Bearer " + plain}, 200, ""},
		"none":                   {nil, 401, bearerChallenge + "|" + dpopChallenge},
		"as Bearer":              {[]string{"Authorization", "Bearer " + token}, 401, bearerChallenge + invalidFault + "|" + dpopChallenge},
		"as Bearer, proven":      {[]string{"Authorization", "Bearer " + token, "DPoP", b.proof(token, nil)}, 401, bearerChallenge + invalidFault + "|" + dpopChallenge},
		"unbound as DPoP":        {[]string{"Authorization", "DPoP " + plain, "DPoP", b.proof(plain, nil)}, 401, bearerChallenge + "|" + dpopChallenge + invalidFault},
		"unbound, no proof":      {[]string{"Authorization", "DPoP " + plain}, 401, bearerChallenge + "|" + dpopChallenge + invalidFault},
		"bound in two ways":      {[]string{"Authorization", "DPoP " + twice, "DPoP", b.proof(twice, nil)}, 401, bearerChallenge + "|" + dpopChallenge + invalidFault},
		"no proof":               {[]string{"Authorization", "DPoP " + token}, 401, bearerChallenge + "|" + dpopChallenge + proofFault},
		"two proofs":             {[]string{"Authorization", "DPoP " + token, "DPoP", b.proof(token, nil), "DPoP", b.proof(token, nil)}, 401, bearerChallenge + "|" + dpopChallenge + proofFault},
		"another's proof":        {[]string{"Authorization", "DPoP " + token, "DPoP", b.proofOf(stranger, token, nil)}, 401, bearerChallenge + "|" + dpopChallenge + invalidFault},
		"for another method":     {[]string{"Authorization", "DPoP " + token, "DPoP", b.proof(token, object{"htm": "POST"})}, 401, bearerChallenge + "|" + dpopChallenge + proofFault},
		"for another path":       {[]string{"Authorization", "DPoP " + token, "DPoP", b.proof(token, object{"htu": "https://api.example/shop/other"})}, 401, bearerChallenge + "|" + dpopChallenge + proofFault},
		"for the Host header":    {[]string{"Authorization", "DPoP " + token, "DPoP", b.proof(token, object{"htu": "http://example.com/things"})}, 401, bearerChallenge + "|" + dpopChallenge + proofFault},
		"for another token":      {[]string{"Authorization", "DPoP " + token, "DPoP", b.proof(plain, nil)}, 401, bearerChallenge + "|" + dpopChallenge + proofFault},
		"for no token":           {[]string{"Authorization", "DPoP " + token, "DPoP", b.proof(token, object{"ath": nil})}, 401, bearerChallenge + "|" + dpopChallenge + proofFault},
		"old":                    {[]string{"Authorization", "DPoP " + token, "DPoP", b.proof(token, object{"iat": b.clock.now().Add(-time.Hour).Unix()})}, 401, bearerChallenge + "|" + dpopChallenge + proofFault},
		"the token as the proof": {[]string{"Authorization", "DPoP " + token, "DPoP", token}, 401, bearerChallenge + "|" + dpopChallenge + proofFault},
		"the proof as the token": {[]string{"Authorization", "DPoP " + b.proof(token, nil), "DPoP", b.proof(token, nil)}, 401, bearerChallenge + "|" + dpopChallenge + invalidFault},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := ask(b.v.Require()(greet), c.headers...)
			if got := strings.Join(w.Header().Values("WWW-Authenticate"), "|"); w.Code != c.status || got != c.challenges {
				t.Errorf("%d %s\nwant %d %s", w.Code, got, c.status, c.challenges)
			}
		})
	}
	if _, err := b.v.Verify(t.Context(), token); !errors.Is(err, ErrInvalidToken) {
		t.Errorf("a bound token without a request: %v", err)
	}
}

// TestProofsAreUsedOnce, though two middlewares in a row look at one.
func TestProofsAreUsedOnce(t *testing.T) {
	t.Parallel()
	b := newBound(t, nil)
	token := b.token()
	headers := []string{"Authorization", "DPoP " + token, "DPoP", b.proof(token, nil)}
	h := b.v.Require()(b.v.Require("Shopper")(greet))
	for _, want := range []int{200, 401, 401} {
		if w := ask(h, headers...); w.Code != want {
			t.Errorf("%d %v, want %d", w.Code, w.Header(), want)
		}
	}
	b.clock.advance(5*time.Minute + 31*time.Second)
	if w := ask(h, headers...); w.Code != 401 {
		t.Errorf("after it was forgotten: %d", w.Code)
	}
}

// TestProofBehindStripPrefix: the path that the client asked for counts.
func TestProofBehindStripPrefix(t *testing.T) {
	t.Parallel()
	b := newBound(t, nil)
	token := b.token()
	mux := http.NewServeMux()
	mux.Handle("/v1/", http.StripPrefix("/v1", b.v.Require()(greet)))
	for path, want := range map[string]int{"/shop/v1/things": 200, "/shop/things": 401} {
		r := httptest.NewRequest(http.MethodGet, "/v1/things?x=y", nil)
		r.Header.Set("Authorization", "DPoP "+token)
		r.Header.Set("DPoP", b.proof(token, object{"htu": "https://api.example" + path}))
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("a proof for %s: %d, want %d", path, w.Code, want)
		}
	}
}

// brokenReplays is a store that is away.
type brokenReplays struct{}

func (brokenReplays) Spend(context.Context, []byte, time.Time) (bool, error) {
	return false, errors.New("connection refused")
}

// TestReplaysAway: what cannot be known to be fresh is not let in.
func TestReplaysAway(t *testing.T) {
	t.Parallel()
	b := newBound(t, func(cfg *Config) { cfg.DPoP.Replays = brokenReplays{} })
	token := b.token()
	w := ask(b.v.Require()(greet), "Authorization", "DPoP "+token, "DPoP", b.proof(token, nil))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

// TestMemoryIsBounded: it refuses rather than to forget what still counts.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	c := newClock()
	m := newMemory(c.now)
	m.most = 3
	spend := func(id string) (bool, error) { return m.Spend(t.Context(), []byte(id), c.now().Add(time.Minute)) }
	for _, id := range []string{"a", "b", "c"} {
		if first, err := spend(id); !first || err != nil {
			t.Fatalf("%s: %v %v", id, first, err)
		}
	}
	if first, err := spend("d"); first || !errors.Is(err, errCrowded) {
		t.Errorf("a fourth: %v %v", first, err)
	}
	if first, err := spend("a"); first || err != nil {
		t.Errorf("a again: %v %v", first, err)
	}
	c.advance(time.Minute)
	if first, err := spend("d"); !first || err != nil || len(m.spent) != 1 {
		t.Errorf("after the others ended: %v %v, %d kept", first, err, len(m.spent))
	}
}
