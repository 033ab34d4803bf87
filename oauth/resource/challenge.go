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

// retryAfter is when to try again, in seconds; see retryPause.
const retryAfter = "2"

// refusal is what a request is refused with.
type refusal struct {
	cause  error
	scheme string   // in which the token came; empty: none came
	scopes []string // that are wanted
	about  string   // what kind of token; empty: an access token
}

// told is what the caller is told: a status, an error code of RFC 6750 §3.1 or
// RFC 9449 §7.1, which is empty if no token was sent, and a sentence.
func (r refusal) told() (status int, code, text string) {
	about := r.about
	if about == "" {
		about = "access token"
	}
	switch {
	case errors.Is(r.cause, errNoToken):
		return http.StatusUnauthorized, "", ""
	case errors.Is(r.cause, errMalformed):
		return http.StatusBadRequest, "invalid_request", "The header of the " + about + " is malformed or repeated."
	case errors.Is(r.cause, errProof):
		return http.StatusUnauthorized, "invalid_dpop_proof", "The DPoP proof is missing, invalid or used before."
	case errors.Is(r.cause, ErrInsufficientScope):
		return http.StatusForbidden, "insufficient_scope", "The " + about + " does not allow this."
	case errors.Is(r.cause, errNotTheirs):
		return http.StatusForbidden, "access_denied", "The tokens are not of one user."
	case errors.Is(r.cause, ErrInvalidToken):
		return http.StatusUnauthorized, "invalid_token", "The " + about + " is invalid or expired."
	}
	return http.StatusServiceUnavailable, "temporarily_unavailable", "The " + about + " cannot be verified now."
}

// refuse answers, and says how the request can be made right (RFC 9110 §11.6.1).
func (v *Verifier) refuse(w http.ResponseWriter, r refusal) {
	status, code, text := r.told()
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	switch status {
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", retryAfter)
	default:
		for _, challenge := range v.challenges(r, code, text) {
			h.Add("WWW-Authenticate", challenge)
		}
	}
	if code == "" {
		w.WriteHeader(status)
		return
	}
	h.Set("Content-Type", "application/json")
	w.WriteHeader(status)
	body, err := json.Marshal(map[string]string{"error": code, "error_description": text})
	if err == nil {
		_, _ = w.Write(body) // a client that has gone gets nothing
	}
}

// challenges returns one for each scheme that is understood. The error is told
// in that of the token.
func (v *Verifier) challenges(r refusal, code, text string) []string {
	realm := " realm=" + quoted(v.realm)
	fault := ""
	if code != "" {
		fault = ", error=" + quoted(code) + ", error_description=" + quoted(text)
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

// quoted writes a quoted-string (RFC 9110 §5.6.4); what it cannot have is left
// out.
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
