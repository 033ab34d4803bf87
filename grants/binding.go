package grants

import (
	"net/http"
	"slices"

	"github.com/ory/fosite"
)

// narrowAudience decides which resources a token that is made from another is
// for: the ones that were asked for, if the other is for each of them, else the
// same ones (RFC 8707 §2.2). None stands for what a token is for by default.
func (s *Session) narrowAudience(has []string) error {
	if len(s.Resources) == 0 {
		s.Resources = has
		return nil
	}
	if len(has) == 0 {
		has = s.Audience
	}
	for _, asked := range s.Resources {
		if !slices.Contains(has, asked) {
			return invalidTarget("The token presented is not for that resource.")
		}
	}
	return nil
}

// checkKey demands that the request proves the possession of the key that what
// it presents is bound to (RFC 9449 §5); an empty one is none. Another key is
// refused as other says.
func checkKey(bound, proven string, other error) error {
	switch {
	case bound == "" || bound == proven:
		return nil
	case proven == "":
		return &fosite.RFC6749Error{
			ErrorField: "invalid_dpop_proof", CodeField: http.StatusBadRequest,
			DescriptionField: "The token presented is bound to a key: a DPoP proof with that key is required.",
		}
	}
	return other
}

// tokenType is what an answer calls an access token (RFC 6750 §4, RFC 9449 §5).
func (t *AccessToken) tokenType() string {
	if t.JKT != "" {
		return "DPoP"
	}
	return "bearer"
}

// invalidTarget is an error of RFC 8707 §2 and RFC 8693 §2.2.2 that fosite has
// not.
func invalidTarget(description string) error {
	return &fosite.RFC6749Error{ErrorField: "invalid_target", CodeField: http.StatusBadRequest, DescriptionField: description}
}
