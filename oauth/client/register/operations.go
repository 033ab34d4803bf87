package register

import (
	"net/http"

	"latchkey/oauth/openapi"
)

// Operations returns the registration endpoints for a document of the server. The
// first requires an access token with Role, the others the registration access token.
func Operations() []openapi.Operation {
	const one = Path + "/{client_id}"
	operation := func(method, path, id, summary string, status int, answer any) openapi.Operation {
		return openapi.Operation{
			Method: method, Path: path, ID: id, Tag: "OAuth", Summary: summary,
			Answers: map[int]any{status: answer}, Error: registrationError{},
		}
	}
	register := operation(http.MethodPost, Path, "OAuth.Register", "Register a client (RFC 7591)", http.StatusCreated, registeredClient{})
	register.Roles = []string{Role}
	replace := operation(http.MethodPut, one, "OAuth.ReplaceRegistration", "Replace the metadata of a client (RFC 7592)", http.StatusOK, registeredClient{})
	for _, o := range []*openapi.Operation{&register, &replace} {
		o.Body = clientMetadata{}
		o.Refuses = []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType}
	}
	return []openapi.Operation{
		register,
		operation(http.MethodGet, one, "OAuth.Registration", "Show the metadata of a client (RFC 7592)", http.StatusOK, registeredClient{}),
		replace,
		operation(http.MethodDelete, one, "OAuth.DeleteRegistration", "Delete a client and all its grants (RFC 7592)", http.StatusNoContent, nil),
	}
}
