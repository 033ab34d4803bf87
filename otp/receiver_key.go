package otp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	gojose "github.com/go-jose/go-jose/v4"

	"latchkey/keys/jose"
)

// ReceiverKey is the public key of a receiver of messages. Codes are encrypted to it,
// so that nobody between the server and the receiver can read them.
type ReceiverKey struct{ encrypter gojose.Encrypter }

// ParseReceiverKey reads a public JWK (RFC 7517): of type EC, for
// ECDH-ES+A256KW, or RSA of at least 2048 bits, for RSA-OAEP-256. It refuses private
// and symmetric keys, and keys whose "use" or "alg" does not fit. Errors do not quote
// the key.
func ParseReceiverKey(jwk []byte) (*ReceiverKey, error) {
	var key gojose.JSONWebKey
	// Private and symmetric keys are recognized by their members, so that they are
	// reported as compromised even if the rest of the key is invalid.
	var members map[string]json.RawMessage
	if json.Unmarshal(jwk, &members) != nil {
		return nil, errors.New("must be a JWK, a JSON object")
	}
	if jose.PrivateMember(members) != "" {
		return nil, errors.New("must be a public key; this one has private members and is compromised now")
	}
	if err := key.UnmarshalJSON(jwk); err != nil || !key.Valid() {
		return nil, errors.New("is not a usable JWK")
	}
	if key.Use != "" && key.Use != "enc" {
		return nil, errors.New(`has a "use" other than "enc"`)
	}
	alg, err := algorithmFor(key.Key)
	if err != nil {
		return nil, err
	}
	if key.Algorithm != "" && key.Algorithm != string(alg) {
		return nil, fmt.Errorf(`has an "alg" other than %q`, alg)
	}
	return newReceiverKey(key, alg)
}

// algorithmFor returns the key management algorithm for a public key.
func algorithmFor(key any) (gojose.KeyAlgorithm, error) {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		return gojose.ECDH_ES_A256KW, nil
	case *rsa.PublicKey:
		return gojose.RSA_OAEP_256, jose.CheckRSA(k)
	}
	return "", errors.New("must be of type EC or RSA")
}

// newReceiverKey returns the key for encryption. A key without a "kid" gets its
// thumbprint (RFC 7638).
func newReceiverKey(key gojose.JSONWebKey, alg gojose.KeyAlgorithm) (*ReceiverKey, error) {
	if key.KeyID == "" {
		sum, err := key.Thumbprint(crypto.SHA256)
		if err != nil {
			return nil, errors.New("is not a usable JWK")
		}
		key.KeyID = base64.RawURLEncoding.EncodeToString(sum)
	}
	recipient := gojose.Recipient{Algorithm: alg, Key: key.Key, KeyID: key.KeyID}
	encrypter, err := gojose.NewEncrypter(gojose.A256GCM, recipient, nil)
	if err != nil {
		return nil, errors.New("is not a usable JWK")
	}
	return &ReceiverKey{encrypter}, nil
}

// Encrypt returns plain as a JWE in compact serialization (RFC 7516 §7.1).
func (k *ReceiverKey) Encrypt(plain []byte) (string, error) {
	object, err := k.encrypter.Encrypt(plain)
	if err != nil {
		return "", fmt.Errorf("encrypt to the receiver: %w", err)
	}
	return object.CompactSerialize()
}

// SealedCode is the content of the JWE that replaces a code in a message. It names
// the user, because a party that forwards messages could otherwise swap the codes of
// two messages without being able to read them.
type SealedCode struct {
	MessageID string    `json:"message_id"`
	Username  string    `json:"username"`
	ClientID  string    `json:"client_id"`
	Code      string    `json:"code"`
	ExpiresAt time.Time `json:"expires_at"`
}

// SealCode returns the payload's code encrypted to the public key jwk of a receiver,
// for the message messageID.
func (p Payload) SealCode(jwk []byte, messageID string) (string, error) {
	key, err := ParseReceiverKey(jwk)
	if err != nil {
		return "", fmt.Errorf("the receiver's key %w", err)
	}
	plain, err := json.Marshal(SealedCode{messageID, p.Username, p.ClientID, p.Code, p.ExpiresAt})
	if err != nil {
		return "", fmt.Errorf("encode code: %w", err)
	}
	return key.Encrypt(plain)
}
