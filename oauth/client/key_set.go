package client

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	gojose "github.com/go-jose/go-jose/v4"

	"latchkey/keys/jose"
)

// Limits of the key set of a client.
const (
	maxClientKeys     = 16
	maxClientKeyBytes = 64 << 10
	maxKeyIDBytes     = 256
)

// AssertionAlgs returns the JWS algorithms that clients may sign their
// assertions with.
func AssertionAlgs() []string { return jose.ProofAlgorithms() }

// verificationKey is one public key of a client.
type verificationKey struct {
	kid    string   // may be empty
	algs   []string // that it verifies, at least one
	public any
}

// CheckKeySet checks a JWK Set (RFC 7517 §5) that a client wants to register. It
// must have 1 to 16 public keys that verify signatures: P-256, Ed25519 or RSA of
// 2048 to 4096 bits, no two with one kid. The errors contain nothing of a key.
func CheckKeySet(set json.RawMessage) error {
	_, err := parseKeySet(set)
	return err
}

// parseKeySet reads a JWK Set and checks it as CheckKeySet says.
func parseKeySet(set json.RawMessage) ([]verificationKey, error) {
	if len(set) > maxClientKeyBytes {
		return nil, fmt.Errorf("is longer than %d bytes", maxClientKeyBytes)
	}
	var raw struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(set, &raw); err != nil || !bytes.HasPrefix(bytes.TrimSpace(set), []byte("{")) {
		return nil, errors.New(`must be a JWK Set, an object with the member "keys"`)
	}
	if len(raw.Keys) == 0 || len(raw.Keys) > maxClientKeys {
		return nil, fmt.Errorf("must have 1 to %d keys", maxClientKeys)
	}
	keys := make([]verificationKey, 0, len(raw.Keys))
	for i, one := range raw.Keys {
		key, err := parseKey(one)
		if err != nil {
			return nil, fmt.Errorf("key %d %w", i, err)
		}
		if key.kid != "" && slices.ContainsFunc(keys, func(k verificationKey) bool { return k.kid == key.kid }) {
			return nil, fmt.Errorf("key %d has the kid of another", i)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// parseKey reads one JWK. Its errors follow the number of the key.
func parseKey(raw json.RawMessage) (verificationKey, error) {
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil || members == nil {
		return verificationKey{}, errors.New("is not an object")
	}
	if name := jose.PrivateMember(members); name != "" {
		return verificationKey{}, fmt.Errorf("is not public: it has the member %q; make a new key pair, this one has been shown", name)
	}
	var key gojose.JSONWebKey
	if key.UnmarshalJSON(raw) != nil || !key.IsPublic() || !key.Valid() {
		return verificationKey{}, errors.New("is not a well-formed public key of a known type")
	}
	switch {
	case key.Use != "" && key.Use != "sig":
		return verificationKey{}, errors.New(`is not for signatures: its "use" must be "sig" or absent`)
	case len(key.KeyID) > maxKeyIDBytes:
		return verificationKey{}, fmt.Errorf("has a kid longer than %d bytes", maxKeyIDBytes)
	}
	algs, err := algsOf(key.Key)
	if err == nil && key.Algorithm != "" {
		if !slices.Contains(algs, key.Algorithm) {
			err = fmt.Errorf(`has an "alg" that it cannot be used with; it may be %s`, strings.Join(algs, ", "))
		}
		algs = []string{key.Algorithm}
	}
	return verificationKey{kid: key.KeyID, algs: algs, public: key.Key}, err
}

// algsOf returns the algorithms whose signatures a client's key verifies.
func algsOf(public any) ([]string, error) {
	if k, ok := public.(*ecdsa.PublicKey); ok && k.Curve != elliptic.P256() {
		return nil, errors.New("is not on the curve P-256")
	}
	return jose.KeyAlgorithms(public)
}

// keysFor returns the keys that can verify a signature: the key of the kid, or
// all keys of the algorithm if kid is empty.
func keysFor(all []verificationKey, kid, alg string) []any {
	var found []any
	for _, k := range all {
		if (kid == "" || k.kid == kid) && slices.Contains(k.algs, alg) {
			found = append(found, k.public)
		}
	}
	return found
}
