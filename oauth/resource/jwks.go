package resource

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// Sizes of RSA keys in bits. Verification with a longer one costs too much.
const (
	minRSABits = 2048
	maxRSABits = 4096
)

// algorithms are those that a Verifier can be told to take.
func algorithms() []string { return []string{"ES256", "ES384", "RS256", "PS256", "EdDSA"} }

// parseKeys reads a JWK Set (RFC 7517 §5). Keys that are not for signatures of
// one of the algorithms are left out, as are those without a kid. Two keys of one
// kid make the whole set useless: a token would not say which of them it means.
func parseKeys(document []byte, allowed []string) (map[string]key, error) {
	var set struct {
		Keys *[]json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(document, &set); err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	if set.Keys == nil {
		return nil, errors.New("key set: no keys member")
	}
	keys := make(map[string]key, len(*set.Keys))
	for _, member := range *set.Keys {
		kid, k, ok := parseKey(member)
		if !ok || !slices.Contains(allowed, k.alg) {
			continue
		}
		if _, exists := keys[kid]; exists {
			return nil, fmt.Errorf("key set: two keys have the kid %.100q", kid)
		}
		keys[kid] = k
	}
	return keys, nil
}

// parseKey reads one key, and tells whether it is one that can be used.
func parseKey(member []byte) (kid string, k key, ok bool) {
	var jwk jose.JSONWebKey
	if err := jwk.UnmarshalJSON(member); err != nil {
		return "", key{}, false // RFC 7517 §5: of a type that is not known
	}
	if jwk.KeyID == "" || jwk.Use != "" && jwk.Use != "sig" || !jwk.Valid() {
		return "", key{}, false
	}
	k = key{alg: jwk.Algorithm, public: jwk.Key}
	if k.alg == "" {
		k.alg = usual(k.public)
	}
	return jwk.KeyID, k, fits(k)
}

// usual is the algorithm of a key that names none.
func usual(public any) string {
	switch p := public.(type) {
	case *ecdsa.PublicKey:
		if p.Curve == elliptic.P384() {
			return "ES384"
		}
		return "ES256"
	case *rsa.PublicKey:
		return "RS256"
	case ed25519.PublicKey:
		return "EdDSA"
	}
	return ""
}

// fits tells whether a key is one that its algorithm may be used with. No private
// key is: whoever reads the set could sign with it.
func fits(k key) bool {
	switch p := k.public.(type) {
	case *ecdsa.PublicKey:
		return k.alg == "ES256" && p.Curve == elliptic.P256() || k.alg == "ES384" && p.Curve == elliptic.P384()
	case *rsa.PublicKey:
		bits := p.N.BitLen()
		return (k.alg == "RS256" || k.alg == "PS256") && bits >= minRSABits && bits <= maxRSABits
	case ed25519.PublicKey:
		return k.alg == "EdDSA"
	}
	return false
}
