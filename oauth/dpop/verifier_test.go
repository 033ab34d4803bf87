package dpop

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	target = "https://login.example/oauth/token"
	token  = "an.access.token"
)

func noon() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }

func verifier() *Verifier { return &Verifier{Now: noon} }

func ecKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func rsaKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func edKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// goodClaims returns the claims of a proof for a POST to target.
func goodClaims() map[string]any {
	return map[string]any{"htm": "POST", "htu": target, "iat": noon().Unix(), "jti": "one"}
}

// with returns a copy of m with changed members. A nil value removes a member.
func with(m map[string]any, changes map[string]any) map[string]any {
	m = maps.Clone(m)
	for name, value := range changes {
		if value == nil {
			delete(m, name)
			continue
		}
		m[name] = value
	}
	return m
}

// sign signs a proof with go-jose. The members of header replace those of the header of the
// proof. A nil value removes a member.
func sign(t testing.TB, alg jose.SignatureAlgorithm, private crypto.Signer, header, claims map[string]any) string {
	t.Helper()
	all := map[jose.HeaderKey]any{
		"typ": "dpop+jwt", "jwk": jose.JSONWebKey{Key: private.Public()},
	}
	for name, value := range header {
		if value == nil {
			delete(all, jose.HeaderKey(name))
			continue
		}
		all[jose.HeaderKey(name)] = value
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: private}, &jose.SignerOptions{ExtraHeaders: all})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

func TestVerify(t *testing.T) {
	t.Parallel()
	for alg, private := range map[jose.SignatureAlgorithm]crypto.Signer{
		jose.ES256: ecKey(t, elliptic.P256()), jose.EdDSA: edKey(t), jose.RS256: rsaKey(t, 2048), jose.PS256: rsaKey(t, 2048),
	} {
		jwk := jose.JSONWebKey{Key: private.Public()}
		sum, err := jwk.Thumbprint(crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		got, err := verifier().Verify(sign(t, alg, private, nil, with(goodClaims(), map[string]any{"nonce": "n"})), Request{Method: "POST", URL: target})
		want := Proof{JKT: base64.RawURLEncoding.EncodeToString(sum), ID: "one", Nonce: "n", IssuedAt: noon()}
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v; want %+v", alg, got, err, want)
		}
	}
}

// TestThumbprint compares with the example of RFC 7638 §3.1.
func TestThumbprint(t *testing.T) {
	t.Parallel()
	var jwk jose.JSONWebKey
	err := json.Unmarshal([]byte(`{"kty":"RSA","e":"AQAB","alg":"RS256","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"}`), &jwk)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Thumbprint(jwk.Key)
	if want := "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"; got != want || err != nil {
		t.Errorf("got %s, error %v; want %s", got, err, want)
	}
	if _, err := Thumbprint([]byte("symmetric")); err == nil {
		t.Error("Thumbprint accepted a secret")
	}
	if _, err := Thumbprint(ecKey(t, elliptic.P256())); err == nil {
		t.Error("Thumbprint accepted a private key")
	}
}

func TestVerifyRefusesHeaders(t *testing.T) {
	t.Parallel()
	private, other := ecKey(t, elliptic.P256()), ecKey(t, elliptic.P256())
	public := func(k crypto.Signer, changes map[string]any) map[string]any {
		text, err := jose.JSONWebKey{Key: k.Public()}.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		m := map[string]any{}
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		return with(m, changes)
	}
	for name, header := range map[string]map[string]any{
		"no typ":                  {"typ": nil},
		"typ JWT":                 {"typ": "JWT"},
		"typ at+jwt":              {"typ": "at+jwt"},
		"no jwk":                  {"jwk": nil},
		"jwk is a string":         {"jwk": "x"},
		"another key":             {"jwk": jose.JSONWebKey{Key: other.Public()}},
		"the private key":         {"jwk": jose.JSONWebKey{Key: private}},
		"empty member d":          {"jwk": public(private, map[string]any{"d": ""})},
		"symmetric key":           {"jwk": map[string]any{"kty": "oct", "k": "c2VjcmV0"}},
		"symmetric key without k": {"jwk": map[string]any{"kty": "oct"}},
		"for encryption":          {"jwk": public(private, map[string]any{"use": "enc"})},
		"for another alg":         {"jwk": public(private, map[string]any{"alg": "PS256"})},
		"point not on the curve":  {"jwk": public(private, map[string]any{"y": public(other, nil)["y"]})},
		"crit":                    {"crit": []string{"htm"}},
		"an empty crit":           {"crit": []string{}},
	} {
		proof := sign(t, jose.ES256, private, header, goodClaims())
		if _, err := verifier().Verify(proof, Request{Method: "POST", URL: target}); !errors.Is(err, ErrProof) {
			t.Errorf("%s: got %v, want ErrProof", name, err)
		}
	}
}

func TestVerifyRefusesAlgorithms(t *testing.T) {
	t.Parallel()
	request := Request{Method: "POST", URL: target}
	p256, big := ecKey(t, elliptic.P256()), rsaKey(t, 2048)
	withPrime := map[string]any{"jwk": map[string]any{ // has no d, so some libraries read it as a public key
		"kty": "RSA", "n": base64.RawURLEncoding.EncodeToString(big.N.Bytes()), "e": "AQAB", "p": base64.RawURLEncoding.EncodeToString(big.Primes[0].Bytes()),
	}}
	for name, proof := range map[string]string{
		"ES384":                sign(t, jose.ES384, ecKey(t, elliptic.P384()), nil, goodClaims()),
		"RS512":                sign(t, jose.RS512, rsaKey(t, 2048), nil, goodClaims()),
		"jwk with a prime":     sign(t, jose.RS256, big, withPrime, goodClaims()),
		"RSA key of 1024 bits": sign(t, jose.RS256, rsaKey(t, 1024), nil, goodClaims()),
		"P-384 key with ES256": replaceAlg(t, sign(t, jose.ES384, ecKey(t, elliptic.P384()), nil, goodClaims()), "ES256"),
		"EC key with RS256":    replaceAlg(t, sign(t, jose.ES256, p256, nil, goodClaims()), "RS256"),
		"none":                 replaceAlg(t, sign(t, jose.ES256, p256, nil, goodClaims()), "none"),
		"no signature":         withoutSignature(replaceAlg(t, sign(t, jose.ES256, p256, nil, goodClaims()), "none")),
		"HS256":                hmacProof(t),
		"unknown algorithm":    replaceAlg(t, sign(t, jose.ES256, p256, nil, goodClaims()), "XS999"),
		"line end":             sign(t, jose.ES256, p256, nil, goodClaims()) + "\n",
		"two proofs":           sign(t, jose.ES256, p256, nil, goodClaims()) + ", " + sign(t, jose.ES256, p256, nil, goodClaims()),
		"five parts":           sign(t, jose.ES256, p256, nil, goodClaims()) + ".x.y",
		"empty":                "",
		"JSON form":            `{"payload":"","signatures":[]}`,
		"too long":             sign(t, jose.ES256, p256, nil, with(goodClaims(), map[string]any{"more": strings.Repeat("x", maxProofBytes)})),
		"claims are null":      rawProof(t, p256, "null"),
		"claims are a list":    rawProof(t, p256, "[]"),
		"claims are not JSON":  rawProof(t, p256, "{"),
	} {
		if _, err := verifier().Verify(proof, request); !errors.Is(err, ErrProof) {
			t.Errorf("%s: got %v, want ErrProof", name, err)
		}
	}
	only := &Verifier{Now: noon, Algorithms: []string{"EdDSA", "HS256", "none"}}
	if _, err := only.Verify(sign(t, jose.ES256, p256, nil, goodClaims()), request); !errors.Is(err, ErrProof) {
		t.Errorf("an algorithm that is not allowed: got %v, want ErrProof", err)
	}
	if _, err := only.Verify(hmacProof(t), request); !errors.Is(err, ErrProof) {
		t.Errorf("HS256, although Algorithms lists it: got %v, want ErrProof", err)
	}
}

// hmacProof returns a proof that is signed with HS256 and contains the secret.
func hmacProof(t *testing.T) string {
	t.Helper()
	secret := []byte(strings.Repeat("s", 32))
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: secret}, &jose.SignerOptions{
		ExtraHeaders: map[jose.HeaderKey]any{"typ": "dpop+jwt", "jwk": jose.JSONWebKey{Key: secret}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return compact(t, signer, goodClaims())
}

// rawProof returns a proof with exactly this payload.
func rawProof(t *testing.T, private *ecdsa.PrivateKey, payload string) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: private}, &jose.SignerOptions{
		ExtraHeaders: map[jose.HeaderKey]any{"typ": "dpop+jwt", "jwk": jose.JSONWebKey{Key: private.Public()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return compact(t, signer, json.RawMessage(payload))
}

// compact signs the claims and returns the compact serialization.
func compact(t *testing.T, signer jose.Signer, claims any) string {
	t.Helper()
	payload, ok := claims.(json.RawMessage)
	if !ok {
		var err error
		if payload, err = json.Marshal(claims); err != nil {
			t.Fatal(err)
		}
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// replaceAlg replaces alg in the header of a proof.
func replaceAlg(t *testing.T, proof, alg string) string {
	t.Helper()
	head, rest, _ := strings.Cut(proof, ".")
	text, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		t.Fatal(err)
	}
	header := map[string]any{}
	if err := json.Unmarshal(text, &header); err != nil {
		t.Fatal(err)
	}
	header["alg"] = alg
	if text, err = json.Marshal(header); err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(text) + "." + rest
}

func withoutSignature(proof string) string { return proof[:strings.LastIndexByte(proof, '.')+1] }

func TestVerifyClaims(t *testing.T) {
	t.Parallel()
	private := ecKey(t, elliptic.P256())
	sum := sha256.Sum256([]byte(token))
	ath := base64.RawURLEncoding.EncodeToString(sum[:])
	at := func(d time.Duration) map[string]any { return map[string]any{"iat": noon().Add(d).Unix()} }
	for name, c := range map[string]struct {
		changes map[string]any
		request Request // Method is POST; an empty URL means target
		good    bool
	}{
		"htu in upper case":           {changes: map[string]any{"htu": "HTTPS://Login.Example:443/oauth/token"}, good: true},
		"htu with query":              {changes: map[string]any{"htu": target + "?a=b#c"}, good: true},
		"htu with escapes":            {changes: map[string]any{"htu": "https://login.example/%6Fauth/./x/../token"}, good: true},
		"request with query":          {request: Request{URL: target + "?a=b"}, good: true},
		"another path":                {changes: map[string]any{"htu": target + "/"}},
		"an empty segment":            {changes: map[string]any{"htu": "https://login.example//oauth/token"}},
		"an escaped slash":            {changes: map[string]any{"htu": "https://login.example/oauth%2Ftoken"}},
		"another host":                {changes: map[string]any{"htu": "https://attacker.example/oauth/token"}},
		"another scheme":              {changes: map[string]any{"htu": "http://login.example/oauth/token"}},
		"another port":                {changes: map[string]any{"htu": "https://login.example:444/oauth/token"}},
		"with a user":                 {changes: map[string]any{"htu": "https://a@login.example/oauth/token"}},
		"htu is a path":               {changes: map[string]any{"htu": "/oauth/token"}},
		"no htu":                      {changes: map[string]any{"htu": nil}},
		"htu is a list":               {changes: map[string]any{"htu": []string{target}}},
		"another method":              {changes: map[string]any{"htm": "GET"}},
		"method in lower case":        {changes: map[string]any{"htm": "post"}},
		"no htm":                      {changes: map[string]any{"htm": nil}},
		"HTM instead":                 {changes: map[string]any{"htm": nil, "HTM": "POST"}},
		"as old as MaxAge":            {changes: at(-DefaultMaxAge), good: true},
		"too old":                     {changes: at(-DefaultMaxAge - time.Second)},
		"as far ahead as Skew":        {changes: at(DefaultSkew), good: true},
		"too far ahead":               {changes: at(DefaultSkew + time.Second)},
		"no iat":                      {changes: map[string]any{"iat": nil}},
		"iat is a string":             {changes: map[string]any{"iat": "1795348800"}},
		"exp and nbf":                 {changes: map[string]any{"exp": noon().Unix() + 60, "nbf": noon().Unix() - 60}, good: true},
		"exp is a string":             {changes: map[string]any{"exp": "1795348860"}},
		"nbf is a string":             {changes: map[string]any{"nbf": "1795348700"}},
		"exp is a list":               {changes: map[string]any{"exp": []int{1}}},
		"exp in the past":             {changes: map[string]any{"exp": noon().Unix() - 60}},
		"nbf in the future":           {changes: map[string]any{"nbf": noon().Unix() + 60}},
		"iat is huge":                 {changes: map[string]any{"iat": 1e300}},
		"iat is negative":             {changes: map[string]any{"iat": -1e300}},
		"iat with a fraction":         {changes: map[string]any{"iat": float64(noon().Unix()) + 0.5}, good: true},
		"no jti":                      {changes: map[string]any{"jti": nil}},
		"an empty jti":                {changes: map[string]any{"jti": ""}},
		"jti is a number":             {changes: map[string]any{"jti": 1}},
		"jti of 256 bytes":            {changes: map[string]any{"jti": strings.Repeat("x", 256)}, good: true},
		"jti of 257 bytes":            {changes: map[string]any{"jti": strings.Repeat("x", 257)}},
		"nonce is a number":           {changes: map[string]any{"nonce": 1}},
		"an empty nonce":              {changes: map[string]any{"nonce": ""}},
		"ath":                         {changes: map[string]any{"ath": ath}, request: Request{AccessToken: token}, good: true},
		"ath of another token":        {changes: map[string]any{"ath": ath}, request: Request{AccessToken: token + "x"}},
		"no ath":                      {request: Request{AccessToken: token}},
		"ath without an access token": {changes: map[string]any{"ath": "whatever"}, good: true},
	} {
		r := c.request
		r.Method = "POST"
		if r.URL == "" {
			r.URL = target
		}
		_, err := verifier().Verify(sign(t, jose.ES256, private, nil, with(goodClaims(), c.changes)), r)
		if (err == nil) != c.good || err != nil && !errors.Is(err, ErrProof) {
			t.Errorf("%s: got %v, want good: %v", name, err, c.good)
		}
	}
}

func TestFromHeader(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		header http.Header
		want   string
		bad    bool
	}{
		"none":  {header: http.Header{}},
		"one":   {header: http.Header{"Dpop": {"a.b.c"}}, want: "a.b.c"},
		"two":   {header: http.Header{"Dpop": {"a.b.c", "a.b.c"}}, bad: true},
		"empty": {header: http.Header{"Dpop": {""}}, bad: true},
	} {
		got, err := FromHeader(c.header)
		if got != c.want || errors.Is(err, ErrProof) != c.bad {
			t.Errorf("%s: got %q, error %v", name, got, err)
		}
	}
}

// TestDigest tests that a replay has the digest of the first use, even if the URL is spelled
// differently, and that other proofs and requests have other digests.
func TestDigest(t *testing.T) {
	t.Parallel()
	proof, r := Proof{JKT: "k", ID: "one"}, Request{URL: target}
	first := string(proof.Digest("token", r))
	if same := string(proof.Digest("token", Request{URL: "https://LOGIN.example:443/oauth/token?x"})); same != first {
		t.Error("a replay with another spelling of the target has another digest")
	}
	for name, other := range map[string][]byte{
		"purpose": proof.Digest("resource", r), "target": proof.Digest("token", Request{URL: target + "/x"}),
		"key": Proof{JKT: "other", ID: "one"}.Digest("token", r), "jti": Proof{JKT: "k", ID: "two"}.Digest("token", r),
	} {
		if string(other) == first {
			t.Errorf("another %s has the same digest", name)
		}
	}
}

// TestAcceptedUntil tests that no replica accepts a proof after AcceptedUntil, even if its
// clock is behind by the skew.
func TestAcceptedUntil(t *testing.T) {
	t.Parallel()
	proof := sign(t, jose.ES256, ecKey(t, elliptic.P256()), nil, goodClaims())
	r := Request{Method: "POST", URL: target}
	first, err := verifier().Verify(proof, r)
	if err != nil {
		t.Fatal(err)
	}
	until := verifier().AcceptedUntil(first)
	behind := &Verifier{Now: func() time.Time { return until.Add(time.Second - DefaultSkew) }}
	if _, err := behind.Verify(proof, r); !errors.Is(err, ErrProof) {
		t.Errorf("after AcceptedUntil, which is %v: got %v, want ErrProof", until, err)
	}
	if want := noon().Add(DefaultMaxAge + DefaultSkew); !until.Equal(want) {
		t.Errorf("got AcceptedUntil %v, want %v", until, want)
	}
}

func FuzzVerify(f *testing.F) {
	private := ecKey(f, elliptic.P256())
	good := sign(f, jose.ES256, private, nil, goodClaims())
	request := Request{Method: "POST", URL: target}
	for _, seed := range []string{
		good, "", "..", "a.b.c", good + ".", strings.ReplaceAll(good, ".", "..")[:20],
		base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","typ":"dpop+jwt","jwk":{"kty":"EC","crv":"P-256","x":"","y":""}}`)) + ".e30.",
		base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"EdDSA","typ":"dpop+jwt","jwk":{"kty":"OKP","crv":"Ed25519","x":"AA"}}`)) + ".e30.AA",
		base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","typ":"dpop+jwt","jwk":{"kty":"RSA","n":"AQ","e":"AQAB"}}`)) + ".bnVsbA.AA",
		base64.RawURLEncoding.EncodeToString([]byte(`null`)) + ".bnVsbA.",
	} {
		f.Add(seed, target)
	}
	f.Add(good, "http://[::1%25a]:x/%zz")
	f.Fuzz(func(t *testing.T, proof, url string) {
		p, err := verifier().Verify(proof, request)
		if (err == nil) != (p.JKT != "" && p.ID != "") || err != nil && !errors.Is(err, ErrProof) {
			t.Fatalf("got %+v, error %v", p, err)
		}
		once, ok := normalizeURL(url)
		if twice, again := normalizeURL(once); ok && (!again || twice != once) {
			t.Fatalf("%q: got %q, and normalized again %q", url, once, twice)
		}
	})
}
