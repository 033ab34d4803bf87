package resource

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	gojose "github.com/go-jose/go-jose/v4"

	"latchkey/keys/jose"
)

// parseKeys parses a JWK Set (RFC 7517 §5). It leaves out keys without a kid, and keys
// that are not for signatures with an allowed algorithm. Two keys with the same kid are
// an error, because a token could mean either.
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

// parseKey parses a JWK and reports whether it can be used.
func parseKey(member []byte) (kid string, k key, ok bool) {
	var jwk gojose.JSONWebKey
	if err := jwk.UnmarshalJSON(member); err != nil {
		return "", key{}, false // keys of unknown types are ignored (RFC 7517 §5)
	}
	if jwk.KeyID == "" || jwk.Use != "" && jwk.Use != "sig" || !jwk.Valid() {
		return "", key{}, false
	}
	algs, err := jose.KeyAlgorithms(jwk.Key)
	if err != nil {
		return "", key{}, false
	}
	k = key{alg: cmp.Or(jwk.Algorithm, algs[0]), public: jwk.Key}
	return jwk.KeyID, k, slices.Contains(algs, k.alg)
}
