package token

import (
	"errors"
	"net/http"
	"strings"

	"latchkey/oauth/dpop"
	"latchkey/oauth/proof"
)

// SetChallenge sets the headers of a refusal with 401, or with 403 for
// ErrInsufficientRoles: Challenge, and the nonce for the next request if the server
// demands one.
func SetChallenge(h http.Header, err error) {
	h.Set("WWW-Authenticate", Challenge(err))
	var refused *dpopRefusal
	if errors.As(err, &refused) && refused.nonce != "" {
		h.Set(proof.NonceHeader, refused.nonce)
	}
}

// Challenge returns the WWW-Authenticate header of a refusal, in the scheme of the
// request (RFC 6750 §3, RFC 9449 §7.1). It has no error code if the request had no
// token: for ErrNoToken and for a nil error (RFC 6750 §3.1).
func Challenge(err error) string {
	challenge := `Bearer realm="latchkey"`
	var refused *dpopRefusal
	if errors.As(err, &refused) {
		challenge = `DPoP realm="latchkey", algs="` + strings.Join(dpop.Algorithms(), " ") + `"`
	}
	code, description := ChallengeError(err)
	if code == "" {
		return challenge
	}
	return challenge + `, error="` + code + `", error_description="` + description + `"`
}

// ChallengeError returns the error code and the description of a refusal for a
// challenge (RFC 6750 §3.1, RFC 9449 §7.1). Both are empty if the request had no
// token.
func ChallengeError(err error) (code, description string) {
	switch {
	case errors.Is(err, ErrNoToken):
		return "", ""
	case errors.Is(err, ErrInsufficientRoles):
		return "insufficient_scope", "The access token lacks a role."
	case errors.Is(err, ErrTokenRevoked):
		return "invalid_token", "The access token was revoked."
	case errors.Is(err, proof.ErrUseNonce):
		return "use_dpop_nonce", "The DPoP proof needs a nonce of this server."
	case errors.Is(err, proof.ErrInvalid):
		return "invalid_dpop_proof", "The DPoP proof is missing, invalid or was used before."
	case errors.Is(err, ErrInvalidToken):
		return "invalid_token", "The access token is invalid or expired."
	}
	return "", ""
}
