package grants

import (
	"context"
	"errors"
	"net/http"

	"github.com/ory/fosite"

	"latchkey/grants/signin"
	"latchkey/otp"
	"latchkey/storage"
)

// Refusal is the answer to a token request that failed (RFC 6749 §5.2).
type Refusal struct {
	Status      int    // of HTTP
	Code        string // the error code
	Description string // for developers; it never says more about a user than Code does
}

// refusals maps errors of the handlers to answers. The first match counts.
var refusals = []struct {
	err error
	Refusal
}{
	{storage.ErrUnavailable, Refusal{http.StatusServiceUnavailable, "temporarily_unavailable", "The server cannot answer now. Try again."}},
	{context.Canceled, Refusal{http.StatusServiceUnavailable, "temporarily_unavailable", "The request was cut off. Try again."}},
	{context.DeadlineExceeded, Refusal{http.StatusServiceUnavailable, "temporarily_unavailable", "The server cannot answer now. Try again."}},
	{signin.ErrBusy, Refusal{http.StatusServiceUnavailable, "temporarily_unavailable", "The server is busy. Try again."}},
	{fosite.ErrInvalidClient, Refusal{http.StatusUnauthorized, "invalid_client", "The client is unknown, or did not authenticate itself."}},

	{ErrCredentialsMissing, Refusal{http.StatusBadRequest, "invalid_request", "Both username and password are required."}},
	{signin.ErrCredentials, Refusal{http.StatusBadRequest, "invalid_grant", "Invalid username or password."}},
	{signin.ErrPasswordExpired, Refusal{http.StatusBadRequest, "invalid_grant", "Expired Password."}},
	{ErrContextUserRequired, Refusal{http.StatusBadRequest, "invalid_grant", "Default context user required for client credentials grant"}},
	{ErrUserInactive, Refusal{http.StatusBadRequest, "invalid_grant", "User is not active."}},
	{ErrCompanyInactive, Refusal{http.StatusBadRequest, "invalid_grant", "User's organization is not active."}},
	// Only a client that has authenticated itself gets this, about its own context user.
	{ErrLockedOut, Refusal{http.StatusBadRequest, "invalid_grant", "Due to excessive login failures, this account has been locked."}},
	{ErrSubjectToken, Refusal{http.StatusBadRequest, "invalid_grant", "The token is not valid, or not for that account."}},
	{ErrRefreshToken, Refusal{http.StatusBadRequest, "invalid_grant", "The refresh token is invalid, expired or revoked."}},
	{ErrAuthorizationCode, Refusal{http.StatusBadRequest, "invalid_grant", "The authorization code is invalid, expired or was used, or was not requested in this way."}},
	{ErrScopeExceeded, Refusal{http.StatusBadRequest, "invalid_scope", "The requested scope exceeds the scope granted."}},
	{otp.ErrNobodyNamed, Refusal{http.StatusBadRequest, "invalid_request", "The parameter username is missing or malformed."}},
	{otp.ErrClientWithoutCodes, Refusal{http.StatusBadRequest, "unauthorized_client", "The client takes no one-time passwords."}},
	{otp.ErrProfileWithoutCodes, Refusal{http.StatusBadRequest, "unauthorized_client", "The client takes no one-time passwords."}},
	{ErrForeignToken, Refusal{http.StatusBadRequest, "unauthorized_client", "The token was issued to another client."}},
	{fosite.ErrUnauthorizedClient, Refusal{http.StatusBadRequest, "unauthorized_client", "The client may not use this grant type."}},
}

// RefusalOf returns the answer to a failed token request. err is an error of this
// package, of a request for a code (package otp), or of fosite. known is false for any other: its
// text belongs into the log only, and the answer is server_error.
//
// fosite alone answers errors of a store with 500, and some faults of its own as well. A
// request that was not decided is a 503 here, and the user is not refused.
func RefusalOf(err error) (r Refusal, known bool) {
	if fault, ok := errors.AsType[*RequestError](err); ok {
		return Refusal{fault.Status, fault.Code, fault.Description}, true
	}
	for _, m := range refusals {
		if errors.Is(err, m.err) {
			return m.Refusal, true
		}
	}
	if _, ok := errors.AsType[*storage.LimitError](err); ok {
		return Refusal{http.StatusTooManyRequests, "temporarily_unavailable", "Too many requests. Try again later."}, true
	}
	if _, ok := errors.AsType[*signin.RuleError](err); ok {
		return Refusal{http.StatusBadRequest, "invalid_grant", "Password does not meet security requirements."}, true
	}
	e, ok := errors.AsType[*fosite.RFC6749Error](err)
	if !ok || e.CodeField >= http.StatusInternalServerError {
		return Refusal{http.StatusInternalServerError, "server_error", "The server could not answer."}, false
	}
	r = Refusal{http.StatusBadRequest, e.ErrorField, storage.OAuthText(e.DescriptionField)}
	if e.HintField != "" {
		r.Description = storage.OAuthText(e.HintField)
	}
	if errors.Is(err, ErrInsufficientRoles) {
		r.Description = "User does not have role(s) required to perform this action."
	}
	return r, true
}
