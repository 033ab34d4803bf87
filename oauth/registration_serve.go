package oauth

import (
	"errors"
	"net/http"

	"latchkey/oauth/surface"
	"latchkey/oauth/token"
)

var errNotJSON = errors.New("content type is not JSON")

// registrationError is the body of a refusal at the registration endpoints
// (RFC 7591 §3.2.2, RFC 6750 §3.1).
type registrationError struct {
	Error            string `json:"error"`
	ErrorDescription string `json:"error_description"`
}

// registrationEndpoint adapts a handler of the registration endpoints, whose
// refusals are those of a resource that wants a token.
func (e *Endpoints) registrationEndpoint(serve func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, err := surface.ReadQuery(r, nil)
		if err == nil {
			err = serve(w, r)
		}
		if err != nil {
			e.writeRegistrationError(w, r, err)
		}
	}
}

func (e *Endpoints) writeRegistrationError(w http.ResponseWriter, r *http.Request, err error) {
	var fault *metadataError
	code, description := token.ChallengeError(err)
	switch {
	case code != "" || errors.Is(err, token.ErrNoToken):
		status := http.StatusUnauthorized
		if errors.Is(err, token.ErrInsufficientRoles) {
			status = http.StatusForbidden
		}
		if code == "" { // the challenge tells none (RFC 6750 §3.1), the body does
			code, description = "invalid_token", "An access token is required."
		}
		token.SetChallenge(w.Header(), err)
		writeJSON(w, status, registrationError{code, description})
	case errors.As(err, &fault):
		writeJSON(w, http.StatusBadRequest, registrationError{fault.code, surface.DescriptionText(fault.description)})
	case errors.Is(err, errNotJSON):
		writeJSON(w, http.StatusUnsupportedMediaType, registrationError{"invalid_request", "The content type must be application/json."})
	default:
		e.writeError(w, r, err)
	}
}
