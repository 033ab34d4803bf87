package proof

import (
	"crypto/hmac"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"
)

// NonceHeader is the response header with the nonce for the next proof
// (RFC 9449 §8).
const NonceHeader = "DPoP-Nonce"

const (
	noncePurpose = "dpop_nonce"
	nonceLife    = 5 * time.Minute // one interval; a nonce is good until the end of the next
)

// Nonce returns the nonce that a proof may carry now. It is the authenticated
// number of a time interval, so every replica recognizes it and none stores it.
func (v *Verifier) Nonce() string {
	id := v.cfg.Peppers.CurrentID()
	interval := strconv.FormatInt(v.cfg.Now().Unix()/int64(nonceLife.Seconds()), 10)
	return id + "." + interval + "." + v.nonceMAC(id, interval)
}

// NonceFor returns the nonce to send with a refusal, or "" if the refusal is not
// ErrUseNonce.
func (v *Verifier) NonceFor(err error) string {
	if errors.Is(err, ErrUseNonce) {
		return v.Nonce()
	}
	return ""
}

// isNonce reports whether a nonce is of this interval or a neighbouring one: the
// clock of the replica that gave it may be ahead.
func (v *Verifier) isNonce(nonce string) bool {
	parts := strings.Split(nonce, ".")
	if len(parts) != 3 {
		return false
	}
	interval, err := strconv.ParseInt(parts[1], 10, 64)
	want := v.nonceMAC(parts[0], parts[1])
	if err != nil || want == "" || !hmac.Equal([]byte(want), []byte(parts[2])) {
		return false
	}
	age := v.cfg.Now().Unix()/int64(nonceLife.Seconds()) - interval
	return -1 <= age && age <= 1
}

// nonceMAC returns the authentication code of a nonce, or "" if the server has no
// such pepper.
func (v *Verifier) nonceMAC(pepperID, interval string) string {
	mac, _ := v.cfg.Peppers.MAC(pepperID, noncePurpose, []byte(v.cfg.Issuer+"\x00"+interval))
	return base64.RawURLEncoding.EncodeToString(mac)
}
