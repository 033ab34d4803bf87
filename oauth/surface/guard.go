package surface

import (
	"net/http"

	"latchkey/oauth/token"
)

// Bearer finds out who presents an access token; *token.Verifier is one.
type Bearer interface {
	// Authorize returns who sends a request, according to its Authorization header.
	// SetChallenge of package token makes a challenge of its errors.
	Authorize(r *http.Request) (*token.Caller, error)
}
