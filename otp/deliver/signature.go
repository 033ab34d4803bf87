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

// Bytes of a signing secret (Standard Webhooks, "Symmetric signatures").
const (
	minSecret = 24
	maxSecret = 64
)

const secretPrefix = "whsec_"

// errSecret never quotes what it is about.
var errSecret = errors.New("must be whsec_ followed by 24 to 64 random bytes in base64")

// SigningSecret is a key of Standard Webhooks.
type SigningSecret struct{ key []byte }

// ParseSigningSecret reads a secret as receivers have it: whsec_ and the key in
// base64. It refuses a key of less than 24 bytes or more than 64, above all an
// empty one, under which anybody can sign.
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

// SignStandard sets the headers of Standard Webhooks for a call with that body:
// webhook-id, the same on every attempt for a message; webhook-timestamp, of
// this attempt; and webhook-signature, one for each secret, so that a receiver
// may know the old or the new one while they are exchanged. It fails without a
// secret.
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
