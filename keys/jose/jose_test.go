package jose_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"math/big"
	"strings"
	"testing"

	"latchkey/keys/jose"
)

func TestCheckHeader(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256", "crit", "b64", "zip", "enc"} {
		header := map[string]any{"alg": "ES256", "typ": "JWT", "kid": "1", name: nil}
		if err := jose.CheckHeader(header); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v, want an error that names it", name, err)
		}
		if err := jose.CheckHeader(header, name); err != nil {
			t.Errorf("%s, allowed: got %v, want no error", name, err)
		}
	}
	if err := jose.CheckHeader(map[string]any{"alg": "ES256", "typ": "JWT", "kid": "1", "cty": "x"}); err != nil {
		t.Error(err)
	}
}

func TestSameType(t *testing.T) {
	t.Parallel()
	for _, got := range []string{"at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+jwt"} {
		if !jose.SameType(got, "at+jwt") {
			t.Errorf("%q: got another type than at+jwt", got)
		}
	}
	for _, got := range []string{"", "jwt", "application/", "application/application/at+jwt", "at+jwt "} {
		if jose.SameType(got, "at+jwt") {
			t.Errorf("%q: got the type at+jwt", got)
		}
	}
	if jose.SameType("", "") {
		t.Error("two empty types: got the same type")
	}
}

func TestPrivateMember(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "D", "DP", "Oth", "K"} {
		if got := jose.PrivateMember(map[string]int{"kty": 1, "n": 2, name: 3}); got != strings.ToLower(name) {
			t.Errorf("%s: got %q, want %q", name, got, strings.ToLower(name))
		}
	}
	if got := jose.PrivateMember(map[string]int{"kty": 1, "crv": 2, "x": 3, "y": 4, "n": 5, "e": 6, "kid": 7}); got != "" {
		t.Errorf("public members: got %q, want none", got)
	}
}

func TestKeyAlgorithms(t *testing.T) {
	t.Parallel()
	curve := func(c elliptic.Curve) *ecdsa.PublicKey {
		key, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return &key.PublicKey
	}
	number := func(bits uint, e int) *rsa.PublicKey {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		return &rsa.PublicKey{N: n.SetBit(n, 0, 1), E: e}
	}
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	even := number(2048, 65537)
	even.N.SetBit(even.N, 0, 0)
	for name, test := range map[string]struct {
		public any
		fits   string
	}{
		"P-256":                  {curve(elliptic.P256()), "ES256"},
		"P-384":                  {curve(elliptic.P384()), "ES384"},
		"P-521":                  {curve(elliptic.P521()), ""},
		"Ed25519":                {edwards, "EdDSA"},
		"RSA of 2047 bits":       {number(2047, 65537), ""},
		"RSA of 2048 bits":       {number(2048, 65537), "RS256 PS256"},
		"RSA of 4096 bits":       {number(4096, 3), "RS256 PS256"},
		"RSA of 4097 bits":       {number(4097, 65537), ""},
		"RSA with exponent 1":    {number(2048, 1), ""},
		"RSA with even exponent": {number(2048, 4), ""},
		"RSA with even modulus":  {even, ""},
		"symmetric":              {[]byte("secret"), ""},
		"nothing":                {nil, ""},
	} {
		var fits []string
		for _, alg := range append(jose.VerificationAlgorithms(), "none", "HS256", "") {
			if jose.KeyFits(test.public, alg) {
				fits = append(fits, alg)
			}
		}
		if got := strings.Join(fits, " "); got != test.fits {
			t.Errorf("%s: got the algorithms %q, want %q", name, got, test.fits)
		}
	}
}
