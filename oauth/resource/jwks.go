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
	var jwk gojose.JSONWebKey
	if err := jwk.UnmarshalJSON(member); err != nil {
		return "", key{}, false // RFC 7517 §5: of a type that is not known
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
