package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
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

// signingMethod returns the signing method of alg. The methods of the library for ECDSA and
// RSA sign with keys in memory only. The methods here take any crypto.Signer, for example
// one that calls a key management service.
func signingMethod(alg string) (jwt.SigningMethod, error) {
	switch alg {
	case ES256:
		return ecdsaMethod{jwt.SigningMethodES256}, nil
	case RS256:
		return rsaMethod{jwt.SigningMethodRS256}, nil
	case EdDSA:
		return jwt.SigningMethodEdDSA, nil
	}
	return nil, fmt.Errorf("%w: %q", ErrUnsupportedAlg, alg)
}

// ecdsaMethod is ES256 for any crypto.Signer.
type ecdsaMethod struct{ *jwt.SigningMethodECDSA }

// Sign returns the signature as r||s (RFC 7518 §3.4). A crypto.Signer returns it in ASN.1.
// Sign always uses crypto/rand, because a nonce that repeats reveals the key.
func (m ecdsaMethod) Sign(signingString string, key any) ([]byte, error) {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, jwt.ErrInvalidKeyType
	}
	public, ok := signer.Public().(*ecdsa.PublicKey)
	if !ok || public.Curve.Params().BitSize != m.CurveBits {
		return nil, jwt.ErrInvalidKeyType
	}
	digest := sha256.Sum256([]byte(signingString))
	der, err := signer.Sign(rand.Reader, digest[:], m.Hash)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return fixedWidth(der, m.KeySize)
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

// rsaMethod is RS256 for any crypto.Signer.
type rsaMethod struct{ *jwt.SigningMethodRSA }

// Sign returns the PKCS #1 v1.5 signature (RFC 7518 §3.3).
func (m rsaMethod) Sign(signingString string, key any) ([]byte, error) {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, jwt.ErrInvalidKeyType
	}
	digest := sha256.Sum256([]byte(signingString))
	signature, err := signer.Sign(rand.Reader, digest[:], m.Hash)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return signature, nil
}
