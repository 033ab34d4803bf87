package deliver

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Lengths of the key of a signing secret, in bytes (Standard Webhooks, "Symmetric
// signatures").
const (
	minSecret = 24
	maxSecret = 64
)

const secretPrefix = "whsec_"

// errSecret does not quote the secret.
var errSecret = errors.New("must be whsec_ followed by 24 to 64 random bytes in base64")

// SigningSecret is a key of Standard Webhooks.
type SigningSecret struct{ key []byte }

// ParseSigningSecret parses a secret in the form that receivers use: whsec_ followed
// by the key in base64. It returns an error if the key has less than 24 bytes or more
// than 64. With an empty key anybody could sign.
func ParseSigningSecret(text string) (SigningSecret, error) {
	encoded, ok := strings.CutPrefix(text, secretPrefix)
	if !ok || strings.ContainsAny(encoded, "\r\n") {
		return SigningSecret{}, errSecret
	}
	key, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || len(key) < minSecret || len(key) > maxSecret {
		return SigningSecret{}, errSecret
	}
	return SigningSecret{key}, nil
}

// FormatSigningSecret returns a key in the form that ParseSigningSecret parses.
func FormatSigningSecret(key []byte) string {
	return secretPrefix + base64.StdEncoding.EncodeToString(key)
}

// SignStandard sets the headers of Standard Webhooks for a call with the body.
// webhook-id is id, which is the same for every attempt of a message.
// webhook-timestamp is the time at. webhook-signature has one signature for each
// secret, so that a receiver may verify with the old or the new secret during a
// rotation. It returns an error if there is no secret or one is empty.
func SignStandard(header http.Header, id string, at time.Time, body []byte, secrets ...SigningSecret) error {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	var signatures []string
	for _, secret := range secrets {
		if len(secret.key) < minSecret {
			return errors.New("deliver: a signing secret is empty")
		}
		mac := hmac.New(sha256.New, secret.key)
		mac.Write([]byte(id + "." + timestamp + "."))
		mac.Write(body)
		signatures = append(signatures, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	if signatures == nil {
		return errors.New("deliver: no signing secret")
	}
	header.Set("webhook-id", id)
	header.Set("webhook-timestamp", timestamp)
	header.Set("webhook-signature", strings.Join(signatures, " "))
	return nil
}
