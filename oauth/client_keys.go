package oauth

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
	algs   []string // that it verifies, never none
	public any
}

// CheckClientKeys returns what is wrong with a JWK Set (RFC 7517 §5) that a
// client wants to be known by, in words that hold nothing of a key. It has 1 to
// 16 keys, all public: P-256, Ed25519 or RSA of 2048 to 4096 bits, to verify
// signatures, no two of one kid.
func CheckClientKeys(set json.RawMessage) error {
	_, err := parseClientKeys(set)
	return err
}

// parseClientKeys reads a JWK Set as CheckClientKeys demands it.
func parseClientKeys(set json.RawMessage) ([]verificationKey, error) {
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
		key, err := parseClientKey(one)
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

// parseClientKey reads one JWK. Its errors follow the number of the key.
func parseClientKey(raw json.RawMessage) (verificationKey, error) {
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

// keysFor returns the keys that may have made a signature: the one of that kid,
// or without a kid all of the algorithm.
func keysFor(all []verificationKey, kid, alg string) []any {
	var found []any
	for _, k := range all {
		if (kid == "" || k.kid == kid) && slices.Contains(k.algs, alg) {
			found = append(found, k.public)
		}
	}
	return found
}
