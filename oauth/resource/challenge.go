package resource

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
)

// Schemes of the Authorization header.
const (
	schemeBearer = "Bearer"
	schemeDPoP   = "DPoP"
)

// retryAfter is the value of Retry-After, in seconds. It is longer than retryPause.
const retryAfter = "2"

// refusal says why a request is refused.
type refusal struct {
	cause     error
	scheme    string   // of the Authorization header; empty: there was no token
	scopes    []string // that the request needs
	tokenType string   // for the description; empty: access token
}

// response returns the status, the error code (RFC 6750 §3.1, RFC 9449 §7.1) and its
// description. The code is empty if no token was sent.
func (r refusal) response() (status int, code, description string) {
	tokenType := r.tokenType
	if tokenType == "" {
		tokenType = "access token"
	}
	switch {
	case errors.Is(r.cause, errNoToken):
		return http.StatusUnauthorized, "", ""
	case errors.Is(r.cause, errMalformed):
		return http.StatusBadRequest, "invalid_request", "The header of the " + tokenType + " is malformed or repeated."
	case errors.Is(r.cause, errProof):
		return http.StatusUnauthorized, "invalid_dpop_proof", "The DPoP proof is missing, invalid or used before."
	case errors.Is(r.cause, ErrInsufficientScope):
		return http.StatusForbidden, "insufficient_scope", "The " + tokenType + " does not allow this."
	case errors.Is(r.cause, errTokenMismatch):
		return http.StatusForbidden, "access_denied", "The two tokens belong to different users or accounts."
	case errors.Is(r.cause, ErrInvalidToken):
		return http.StatusUnauthorized, "invalid_token", "The " + tokenType + " is invalid or expired."
	}
	return http.StatusServiceUnavailable, "temporarily_unavailable", "The " + tokenType + " cannot be verified now."
}

// refuse writes the response to a refused request, with challenges (RFC 9110 §11.6.1).
func (v *Verifier) refuse(w http.ResponseWriter, r refusal) {
	status, code, description := r.response()
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	switch status {
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", retryAfter)
	default:
		for _, challenge := range v.challenges(r, code, description) {
			h.Add("WWW-Authenticate", challenge)
		}
	}
	if code == "" {
		w.WriteHeader(status)
		return
	}
	h.Set("Content-Type", "application/json")
	w.WriteHeader(status)
	body, err := json.Marshal(map[string]string{"error": code, "error_description": description})
	if err == nil {
		_, _ = w.Write(body) // an error means that the client has gone
	}
}

// challenges returns a challenge for each supported scheme. The challenge for the scheme
// of the token has the error.
func (v *Verifier) challenges(r refusal, code, description string) []string {
	realm := " realm=" + quoted(v.realm)
	fault := ""
	if code != "" {
		fault = ", error=" + quoted(code) + ", error_description=" + quoted(description)
	}
	if code == "insufficient_scope" && len(r.scopes) > 0 {
		fault += ", scope=" + quoted(strings.Join(r.scopes, " "))
	}
	bearer, bound := schemeBearer+realm, schemeDPoP+realm
	if v.dpop != nil {
		bound += ", algs=" + quoted(strings.Join(v.dpop.algorithms, " "))
	}
	if r.scheme == schemeDPoP {
		bound += fault
	} else {
		bearer += fault
	}
	if v.dpop == nil {
		return []string{bearer}
	}
	return []string{bearer, bound}
}

// quoted returns a quoted-string (RFC 9110 §5.6.4). It leaves out the characters that
// a quoted-string cannot contain.
func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case ' ' <= c && c <= '~':
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
