package jose

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// JWS algorithms (RFC 7518 section 3.1, RFC 8037 section 3.1).
const (
	ES256 = "ES256"
	ES384 = "ES384"
	RS256 = "RS256"
	PS256 = "PS256"
	EdDSA = "EdDSA"
)

// SigningAlgorithms returns the algorithms that the server signs with.
func SigningAlgorithms() []string { return []string{ES256, RS256, EdDSA} }

// ProofAlgorithms returns the algorithms that clients may sign assertions and
// DPoP proofs with.
func ProofAlgorithms() []string { return []string{ES256, EdDSA, RS256, PS256} }

// VerificationAlgorithms returns the algorithms that a resource server may be
// configured to accept.
func VerificationAlgorithms() []string { return []string{ES256, ES384, RS256, PS256, EdDSA} }

// Sizes of RSA keys in bits. RFC 7518 section 3.3 sets the minimum. A longer key
// than the maximum costs too much to verify with.
const (
	MinRSABits = 2048
	MaxRSABits = 4096
)

// forbiddenHeaders are the header parameters with which a token chooses the key for its
// verification or changes how it is verified (RFC 7515 section 4.1, RFC 7516 section 4.1,
// RFC 7797).
var forbiddenHeaders = []string{"jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256", "crit", "b64", "zip", "enc"}

// CheckHeader returns an error that names the first forbidden header parameter, unless it
// is one of allowed. The verifier chooses the key, not the token (RFC 8725 section 3.10).
// No extension is supported, so "crit" is refused (RFC 7515 section 4.1.11).
func CheckHeader(header map[string]any, allowed ...string) error {
	for _, name := range forbiddenHeaders {
		if _, present := header[name]; present && !slices.Contains(allowed, name) {
			return fmt.Errorf("header parameter %q is not allowed", name)
		}
	}
	return nil
}

// SameType reports whether two values of the header parameter "typ" are the same. It
// ignores case and the prefix "application/" of got (RFC 7515 section 4.1.9). It returns
// false if want is empty.
func SameType(got, want string) bool {
	const prefix = "application/"
	if len(got) > len(prefix) && strings.EqualFold(got[:len(prefix)], prefix) {
		got = got[len(prefix):]
	}
	return want != "" && strings.EqualFold(got, want)
}

// privateMembers are the members of a JWK that a public key does not have (RFC 7518
// section 6, RFC 8037 section 2). "k" is a symmetric key.
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

// PrivateMember returns the name of a member that makes a JWK private or symmetric,
// or "" if there is none. It ignores case, as decoders of JSON do.
func PrivateMember[V any](jwk map[string]V) string {
	for _, private := range privateMembers {
		for member := range jwk {
			if strings.EqualFold(member, private) {
				return private
			}
		}
	}
	return ""
}

// KeyAlgorithms returns the algorithms whose signatures a public key may verify, the usual
// one first. Libraries check the type of a key only. The text of the error follows the
// words "the key".
func KeyAlgorithms(public any) ([]string, error) {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return []string{ES256}, nil
		case elliptic.P384():
			return []string{ES384}, nil
		}
		return nil, errors.New("is not on the curve P-256 or P-384")
	case *rsa.PublicKey:
		return []string{RS256, PS256}, CheckRSA(k)
	case ed25519.PublicKey:
		return []string{EdDSA}, nil
	}
	return nil, errors.New("is of a type that no algorithm here uses")
}

// CheckRSA returns an error for an RSA key that is too short, too long or not valid. The
// text of the error follows the words "the key".
func CheckRSA(k *rsa.PublicKey) error {
	bits := k.N.BitLen()
	if bits < MinRSABits || bits > MaxRSABits || k.E < 3 || k.E > math.MaxInt32 || k.E%2 == 0 || k.N.Bit(0) == 0 {
		return fmt.Errorf("is not an RSA key of %d to %d bits", MinRSABits, MaxRSABits)
	}
	return nil
}

// KeyFits reports whether a public key may verify signatures of the algorithm.
func KeyFits(public any, alg string) bool {
	algs, err := KeyAlgorithms(public)
	return err == nil && slices.Contains(algs, alg)
}
