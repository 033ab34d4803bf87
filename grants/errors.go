package grants

import (
	"errors"
	"net/http"

	"github.com/ory/fosite"

	"latchkey/grants/signin"
)

// Why a grant is refused. The handlers return them wrapped in the fosite error
// of the matching RFC 6749 code, so a foreign server answers correctly without
// knowing them, and ours can tell them apart with errors.Is.
var (
	// ErrCredentialsMissing says that username or password was not sent.
	ErrCredentialsMissing = errors.New("both username and password are required")
	// ErrInsufficientRoles says that the right user may not sign in here, or
	// that none of the requested roles can be granted.
	ErrInsufficientRoles = errors.New("user does not have the roles required")
	// ErrRefreshToken covers every reason to refuse a refresh token.
	ErrRefreshToken = errors.New("invalid refresh token")
	// ErrScopeExceeded says that a refresh or an exchange asked for more than
	// was granted.
	ErrScopeExceeded = errors.New("the requested scope exceeds the scope granted")
	// ErrSubjectToken covers every reason to refuse a token that was presented
	// instead of credentials, and the account asked for with it.
	ErrSubjectToken = errors.New("the token is not valid, or not for that account")
)

// Why a client may not act as its default context user. The client has
// authenticated itself and the user is its own choice, so it is told, unless
// it is one that anybody can be (see ClientCredentials).
var (
	// ErrContextUserRequired says that the client has nobody to act as.
	ErrContextUserRequired = errors.New("default context user required for client credentials grant")
	// ErrUserInactive says that the context user or its login is inactive.
	ErrUserInactive = errors.New("the user is not active")
	// ErrCompanyInactive says that the context user's organisation is inactive.
	ErrCompanyInactive = errors.New("the user's organisation is not active")
	// ErrLockedOut says that failed sign-ins have locked the context user.
	ErrLockedOut = errors.New("the user is locked after too many failed sign-ins")
)

// asGrantError dresses a refusal in its RFC 6749 §5.2 code; what is not a
// refusal passes unchanged.
func asGrantError(err error) error {
	var weak *signin.RuleError
	switch {
	case errors.Is(err, signin.ErrCredentials), errors.Is(err, ErrRefreshToken),
		errors.Is(err, signin.ErrPasswordExpired), errors.As(err, &weak):
		return fosite.ErrInvalidGrant.WithWrap(err)
	case errors.Is(err, ErrSubjectToken):
		return fosite.ErrInvalidGrant.WithWrap(err).WithHint("The token presented is not valid, or not for that account.")
	}
	return err
}

// What audit events say of grants that are refused.
const (
	insufficientRoles = "insufficient_roles"
	notAMember        = "not_a_member"
)

// actionExchange is the audit action of a token made from a held one.
const actionExchange = "token.exchanged"

func malformed(hint string) error { return fosite.ErrInvalidRequest.WithHint(hint) }

// invalidTarget is an error of RFC 8707 §2 and RFC 8693 §2.2.2 that fosite has
// not.
func invalidTarget(description string) error {
	return &fosite.RFC6749Error{ErrorField: "invalid_target", CodeField: http.StatusBadRequest, DescriptionField: description}
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
