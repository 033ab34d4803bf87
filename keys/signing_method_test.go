package keys

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"io"
	"math/big"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
	"pgregory.net/rapid"

	"latchkey/storage"
)

// remote is a crypto.Signer that hides its type, as that of a key management service does.
type remote struct {
	inner crypto.Signer
	err   error
}

func (r remote) Public() crypto.PublicKey { return r.inner.Public() }

func (r remote) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if r.err != nil {
		return nil, r.err
	}
	return r.inner.Sign(random, digest, opts)
}

func TestAnySignerSigns(t *testing.T) {
	t.Parallel()
	for _, alg := range supportedAlgs(nil) {
		private, err := generatePrivate(alg, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		e, err := newEntry(storage.SigningKey{Alg: alg}, "", private.Public(), remote{inner: private})
		if err != nil {
			t.Fatalf("%s: newEntry: %v", alg, err)
		}
		token, err := e.token(e.headers[TypeAccessToken], map[string]any{"sub": "u"})
		if err != nil {
			t.Fatalf("%s: sign: %v", alg, err)
		}
		// The library that verifies is not the one that signs.
		parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		if payload, err := parsed.Verify(private.Public()); err != nil || string(payload) != `{"sub":"u"}` {
			t.Errorf("%s: Verify: got %s, %v", alg, payload, err)
		}
	}
}

func TestSignerFailureIsReported(t *testing.T) {
	t.Parallel()
	down := errors.New("key service down")
	for _, alg := range supportedAlgs(nil) {
		private, err := generatePrivate(alg, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		e, err := newEntry(storage.SigningKey{Alg: alg}, "", private.Public(), remote{private, down})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.token("x", map[string]any{}); !errors.Is(err, down) {
			t.Errorf("%s: sign: got %v, want the error of the signer", alg, err)
		}
	}
}

func TestKeysThatDoNotFit(t *testing.T) {
	t.Parallel()
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p256, err := generatePrivate(ES256, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		alg string
		key crypto.Signer
	}{
		"P-384 for ES256": {ES256, p384},
		"P-256 for EdDSA": {EdDSA, p256},
		"P-256 for RS256": {RS256, p256},
		"unknown alg":     {"HS256", p256},
	} {
		if _, err := newEntry(storage.SigningKey{Alg: c.alg}, "", c.key.Public(), c.key); err == nil {
			t.Errorf("%s: got no error, want one", name)
		}
	}
	edwards, err := generatePrivate(EdDSA, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, alg string
		key       crypto.Signer
	}{
		{"P-384", ES256, p384},
		{"Ed25519", ES256, edwards},
		{"no key", ES256, nil},
		{"P-256", RS256, p256},
		{"no key", RS256, nil},
		{"P-256", EdDSA, p256},
		{"no key", EdDSA, nil},
	} {
		sign, err := signingMethodOf(c.alg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sign([]byte("x"), c.key); !errors.Is(err, jwt.ErrInvalidKeyType) {
			t.Errorf("%s with %s: got %v, want ErrInvalidKeyType", c.alg, c.name, err)
		}
	}
}

func encodeASN1(r, s *big.Int) []byte {
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1BigInt(r)
		b.AddASN1BigInt(s)
	})
	return b.BytesOrPanic()
}

func TestFixedWidth(t *testing.T) {
	t.Parallel()
	half := rapid.SliceOfN(rapid.Byte(), 0, 32)
	rapid.Check(t, func(t *rapid.T) {
		r, s := half.Draw(t, "r"), half.Draw(t, "s")
		got, err := fixedWidth(encodeASN1(new(big.Int).SetBytes(r), new(big.Int).SetBytes(s)), 32)
		want := make([]byte, 64)
		copy(want[32-len(r):], r)
		copy(want[64-len(s):], s)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("fixedWidth: got %x, %v; want %x", got, err, want)
		}
	})
}

func TestFixedWidthRefuses(t *testing.T) {
	t.Parallel()
	one := big.NewInt(1)
	wide := new(big.Int).Lsh(one, 256)
	good := encodeASN1(one, one)
	for name, der := range map[string][]byte{
		"empty":         nil,
		"raw":           make([]byte, 64),
		"wide r":        encodeASN1(wide, one),
		"wide s":        encodeASN1(one, wide),
		"negative":      encodeASN1(big.NewInt(-1), one),
		"trailing":      append(bytes.Clone(good), 0),
		"truncated":     good[:len(good)-1],
		"three numbers": {0x30, 9, 2, 1, 1, 2, 1, 1, 2, 1, 1},
	} {
		if out, err := fixedWidth(der, 32); err == nil {
			t.Errorf("%s: fixedWidth: got %x, no error", name, out)
		}
	}
}
