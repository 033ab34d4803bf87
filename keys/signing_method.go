package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"latchkey/keys/jose"
)

// The JWS algorithms that the server signs with (RFC 7518 §3.1, RFC 8037 §3.1).
const (
	ES256 = jose.ES256
	RS256 = jose.RS256
	EdDSA = jose.EdDSA
)

// supportedAlgs returns all algorithms, starting with those in first.
func supportedAlgs(first []string) []string {
	algs := slices.Clone(first)
	for _, alg := range jose.SigningAlgorithms() {
		if !slices.Contains(algs, alg) {
			algs = append(algs, alg)
		}
	}
	return algs
}

// signingMethod makes the JWS signature of a message with a key. The methods of the JWT
// library for ECDSA and RSA sign with keys in memory only. The methods here take any
// crypto.Signer, for example one that calls a key management service. They always use
// crypto/rand, because a nonce that repeats reveals an ECDSA key. They return
// jwt.ErrInvalidKeyType for a key of another algorithm.
type signingMethod func(message []byte, key crypto.Signer) ([]byte, error)

// signingMethodOf returns the signing method of alg.
func signingMethodOf(alg string) (signingMethod, error) {
	switch alg {
	case ES256:
		return signES256, nil
	case RS256:
		return signRS256, nil
	case EdDSA:
		return signEdDSA, nil
	}
	return nil, fmt.Errorf("%w: %q", ErrUnsupportedAlg, alg)
}

// halfES256 is the size of each of the numbers r and s of ES256 in bytes.
const halfES256 = 32

// signES256 returns the signature as r||s (RFC 7518 §3.4). A crypto.Signer returns it in
// ASN.1.
func signES256(message []byte, key crypto.Signer) ([]byte, error) {
	public, ok := publicOf(key).(*ecdsa.PublicKey)
	if !ok || public.Curve.Params().BitSize != 8*halfES256 {
		return nil, jwt.ErrInvalidKeyType
	}
	digest := sha256.Sum256(message)
	der, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return fixedWidth(der, halfES256)
}

// signRS256 returns the PKCS #1 v1.5 signature (RFC 7518 §3.3).
func signRS256(message []byte, key crypto.Signer) ([]byte, error) {
	if _, ok := publicOf(key).(*rsa.PublicKey); !ok {
		return nil, jwt.ErrInvalidKeyType
	}
	digest := sha256.Sum256(message)
	signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return signature, nil
}

// signEdDSA returns the Ed25519 signature (RFC 8037 §3.1).
func signEdDSA(message []byte, key crypto.Signer) ([]byte, error) {
	if _, ok := publicOf(key).(ed25519.PublicKey); !ok {
		return nil, jwt.ErrInvalidKeyType
	}
	signature, err := key.Sign(rand.Reader, message, crypto.Hash(0))
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return signature, nil
}

// publicOf returns the public half of a key; nil: there is no key.
func publicOf(key crypto.Signer) crypto.PublicKey {
	if key == nil {
		return nil
	}
	return key.Public()
}

// fixedWidth converts an ASN.1 signature (RFC 3279 §2.2.3) into r||s, each padded
// on the left to size bytes.
func fixedWidth(der []byte, size int) ([]byte, error) {
	var r, s []byte
	var inner cryptobyte.String
	input := cryptobyte.String(der)
	if !input.ReadASN1(&inner, asn1.SEQUENCE) || !input.Empty() ||
		!inner.ReadASN1Integer(&r) || !inner.ReadASN1Integer(&s) || !inner.Empty() {
		return nil, errors.New("signer returned no ASN.1 signature")
	}
	if len(r) > size || len(s) > size {
		return nil, errors.New("signer returned a signature of another curve")
	}
	out := make([]byte, 2*size)
	copy(out[size-len(r):size], r)
	copy(out[2*size-len(s):], s)
	return out, nil
}
