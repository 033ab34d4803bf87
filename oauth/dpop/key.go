package dpop

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	gojose "github.com/go-jose/go-jose/v4"

	"latchkey/keys/jose"
)

// key is the public key in a proof.
type key struct {
	public     crypto.PublicKey
	thumbprint string
}

// Thumbprint returns the SHA-256 thumbprint of a public key in base64url (RFC 7638).
// The claim cnf has it as the member jkt. The key is an *ecdsa.PublicKey, an
// *rsa.PublicKey or an ed25519.PublicKey. Other keys are an error.
func Thumbprint(public crypto.PublicKey) (string, error) {
	jwk := gojose.JSONWebKey{Key: public}
	if !jwk.IsPublic() || !jwk.Valid() {
		return "", errors.New("dpop: not a public key of a known type")
	}
	sum, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("dpop: thumbprint: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

// readHeader checks the header of a proof and returns its key (RFC 9449 §4.3,
// checks 4, 5 and 7).
func readHeader(header map[string]any) (key, error) {
	if header["typ"] != proofType {
		return key{}, errors.New("typ is not " + proofType)
	}
	if err := jose.CheckHeader(header, "jwk"); err != nil {
		return key{}, err
	}
	members, ok := header["jwk"].(map[string]any)
	if !ok {
		return key{}, errors.New("jwk is missing")
	}
	alg, _ := header["alg"].(string)
	public, err := readKey(members, alg)
	if err != nil {
		return key{}, err
	}
	thumbprint, err := Thumbprint(public)
	return key{public, thumbprint}, err
}

// readKey parses a JWK. It must be a public key for the algorithm alg.
func readKey(members map[string]any, alg string) (crypto.PublicKey, error) {
	if private := jose.PrivateMember(members); private != "" {
		return nil, fmt.Errorf("jwk has the private member %s", private)
	}
	if use, ok := members["use"]; ok && use != "sig" {
		return nil, errors.New("jwk is not for signatures")
	}
	if own, ok := members["alg"]; ok && own != alg {
		return nil, errors.New("jwk is for another algorithm")
	}
	text, err := json.Marshal(members)
	if err != nil {
		return nil, fmt.Errorf("jwk: %w", err)
	}
	var jwk gojose.JSONWebKey
	if err := jwk.UnmarshalJSON(text); err != nil {
		return nil, fmt.Errorf("jwk: %w", err)
	}
	if !jose.KeyFits(jwk.Key, alg) {
		return nil, fmt.Errorf("jwk is not a key for %s", alg)
	}
	return jwk.Key, nil
}
