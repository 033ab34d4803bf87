package client

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
)

// jwkSet encodes keys with the IDs k0, k1, ….
func jwkSet(t *testing.T, keys ...any) string {
	t.Helper()
	var set jose.JSONWebKeySet
	for i, key := range keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: key, KeyID: fmt.Sprintf("k%d", i)})
	}
	encoded, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return string(encoded)
}

func newEC(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newRSA(t *testing.T, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestKeySetIsAccepted(t *testing.T) {
	t.Parallel()
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set := jwkSet(t, newEC(t, elliptic.P256()).Public(), newRSA(t, 2048).Public(), edwards)
	keys, err := parseKeySet(json.RawMessage(set))
	if err != nil {
		t.Fatal(err)
	}
	var algs [][]string
	for _, k := range keys {
		algs = append(algs, k.algs)
	}
	if diff := cmp.Diff([][]string{{"ES256"}, {"RS256", "PS256"}, {"EdDSA"}}, algs); diff != "" {
		t.Errorf("algorithms (-want +got):\n%s", diff)
	}
	for _, test := range []struct {
		kid, alg string
		want     int
	}{{"k0", "ES256", 1}, {"", "ES256", 1}, {"k1", "PS256", 1}, {"k1", "ES256", 0}, {"k9", "ES256", 0}, {"", "EdDSA", 1}, {"", "HS256", 0}} {
		if got := keysFor(keys, test.kid, test.alg); len(got) != test.want {
			t.Errorf("kid %q, alg %s: got %d keys, want %d", test.kid, test.alg, len(got), test.want)
		}
	}
	only, err := parseKeySet(json.RawMessage(strings.Replace(set, `"kid":"k1"`, `"kid":"k1","alg":"PS256","use":"sig"`, 1)))
	if err != nil || len(keysFor(only, "k1", "RS256")) != 0 || len(keysFor(only, "k1", "PS256")) != 1 {
		t.Errorf("a key for PS256 only: got %v, error %v", only, err)
	}
}

func TestKeySetIsRefused(t *testing.T) {
	t.Parallel()
	private := newEC(t, elliptic.P256())
	public := jwkSet(t, private.Public())
	many := make([]any, maxClientKeys+1)
	for i := range many {
		many[i] = private.Public()
	}
	for what, test := range map[string]struct{ set, want string }{
		"private":           {jwkSet(t, private), "is not public"},
		"private, case":     {strings.Replace(public, `"kty"`, `"D":"AAAA","kty"`, 1), "is not public"},
		"private RSA":       {jwkSet(t, newRSA(t, 2048)), "is not public"},
		"symmetric":         {`{"keys":[{"kty":"oct","k":"AAAA"}]}`, "is not public"},
		"small RSA":         {jwkSet(t, newRSA(t, 1024).Public()), "2048 to 4096"},
		"huge RSA":          {jwkSet(t, &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 4096, 1), E: 65537}), "key 0 is not"},
		"other curve":       {jwkSet(t, newEC(t, elliptic.P384()).Public()), "P-256"},
		"encryption":        {strings.Replace(public, `"kty"`, `"use":"enc","kty"`, 1), "signatures"},
		"other algorithm":   {strings.Replace(public, `"kty"`, `"alg":"HS256","kty"`, 1), "alg"},
		"none":              {strings.Replace(public, `"kty"`, `"alg":"none","kty"`, 1), "alg"},
		"kid twice":         {`{"keys":[` + oneKey(public) + "," + oneKey(public) + "]}", "kid of another"},
		"too many":          {jwkSet(t, many...), "1 to 16"},
		"none at all":       {`{"keys":[]}`, "1 to 16"},
		"no set":            {oneKey(public), "1 to 16"},
		"list":              {`[` + oneKey(public) + `]`, "JWK Set"},
		"text":              {`"keys"`, "JWK Set"},
		"null":              {`null`, "JWK Set"},
		"null key":          {`{"keys":[null]}`, "not an object"},
		"off the curve":     {`{"keys":[{"kty":"EC","crv":"P-256","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE","y":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE"}]}`, "well-formed"},
		"half an EdDSA key": {`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AAAA"}]}`, "well-formed"},
		"long":              {`{"keys":[],"x":"` + strings.Repeat("x", maxClientKeyBytes) + `"}`, "longer"},
	} {
		err := CheckKeySet(json.RawMessage(test.set))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want something about %q", what, err, test.want)
		}
	}
}

// oneKey returns the only key of a set.
func oneKey(set string) string {
	return strings.TrimSuffix(strings.TrimPrefix(set, `{"keys":[`), "]}")
}
