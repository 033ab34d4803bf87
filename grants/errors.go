package grants

import (
	"errors"
	"net/http"

	"github.com/ory/fosite"

	"latchkey/grants/signin"
)

// Errors of refused grants; see also those of grants/signin. The handlers wrap them in
// the fosite error with the matching code of RFC 6749 §5.2. So a server answers correctly
// without knowing them, and can tell them apart with errors.Is.
var (
	// ErrCredentialsMissing means that the username or the password is missing.
	ErrCredentialsMissing = errors.New("both username and password are required")
	// ErrInsufficientRoles means that the user lacks a role that the client demands,
	// or that none of the requested roles can be granted.
	ErrInsufficientRoles = errors.New("user does not have the roles required")
	// ErrRefreshToken is the one answer to every refused refresh token.
	ErrRefreshToken = errors.New("invalid refresh token")
	// ErrForeignToken means that a client revokes the token of another one.
	ErrForeignToken = errors.New("token belongs to another client")
	// ErrAuthorizationCode is the one answer to every refused authorization code.
	ErrAuthorizationCode = errors.New("invalid authorization code")
	// ErrScopeExceeded means that a refresh or an exchange asks for more than was
	// granted.
	ErrScopeExceeded = errors.New("the requested scope exceeds the scope granted")
	// ErrSubjectToken is the one answer to every refused token that is presented
	// instead of credentials, and to an account that it is not good for.
	ErrSubjectToken = errors.New("the token is not valid, or not for that account")
)

// Reasons why a client may not act as its default context user. A client with a secret
// gets the reason, because the user is its own choice. A public client gets
// ErrContextUserRequired whatever the reason (see ClientCredentials).
var (
	// ErrContextUserRequired means that the client has no user to act as.
	ErrContextUserRequired = errors.New("default context user required for client credentials grant")
	// ErrUserInactive means that the context user or its login is inactive.
	ErrUserInactive = errors.New("the user is not active")
	// ErrCompanyInactive means that the context user's organisation is inactive.
	ErrCompanyInactive = errors.New("the user's organisation is not active")
	// ErrLockedOut means that failed sign-ins have locked the context user.
	ErrLockedOut = errors.New("the user is locked after too many failed sign-ins")
)

// asGrantError wraps a refusal in the fosite error invalid_grant (RFC 6749 §5.2). Other
// errors stay as they are.
func asGrantError(err error) error {
	var weak *signin.RuleError
	switch {
	case errors.Is(err, signin.ErrCredentials), errors.Is(err, ErrRefreshToken), errors.Is(err, ErrAuthorizationCode),
		errors.Is(err, signin.ErrPasswordExpired), errors.As(err, &weak):
		return fosite.ErrInvalidGrant.WithWrap(err)
	case errors.Is(err, ErrSubjectToken):
		return fosite.ErrInvalidGrant.WithWrap(err).WithHint("The token presented is not valid, or not for that account.")
	}
	return err
}

// Outcomes of audit events about refused grants.
const (
	insufficientRoles = "insufficient_roles"
	notAMember        = "not_a_member"
)

// actionExchange is the action of audit events about tokens made from a subject token.
const actionExchange = "token.exchanged"

// malformed returns the error invalid_request with a description.
func malformed(hint string) error { return fosite.ErrInvalidRequest.WithHint(hint) }

// invalidTarget returns the error invalid_target of RFC 8707 §2 and RFC 8693 §2.2.2, which
// fosite does not have.
func invalidTarget(description string) error {
	return &fosite.RFC6749Error{ErrorField: "invalid_target", CodeField: http.StatusBadRequest, DescriptionField: description}
}

// checkKey checks that a request proves the possession of the key that its token is
// bound to (RFC 9449 §5). Parameters: the thumbprints of the key of the token and of the
// proven key, each empty if there is none, and the error for another key.
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
