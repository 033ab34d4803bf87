package oauth

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/ory/fosite"

	"latchkey/grants"
	"latchkey/grants/signin"
	"latchkey/oauth/client"
	"latchkey/oauth/proof"
	"latchkey/oauth/surface"
	"latchkey/oauth/token"
	"latchkey/storage"
)

// refusal is an answer of the OAuth endpoints to a request that failed: the members of
// RFC 6749 §5.2 and, for OrderCloud's clients, an entry of the Errors array in the
// same body.
type refusal struct {
	status      int
	code        string // RFC 6749
	description string
	vendorCode  string // OrderCloud
}

// errorBody is the JSON body of a refusal. It has the members of RFC 6749 §5.2 and of
// OrderCloud.
type errorBody struct {
	Error            string        `json:"error"`
	ErrorDescription string        `json:"error_description"`
	Errors           []vendorError `json:"Errors"`
}

type vendorError struct {
	ErrorCode string `json:"ErrorCode"`
	Message   string `json:"Message"`
	Data      any    `json:"Data"`
}

// Refusals of the steps before the grant. writeError decides what their bodies look
// like.
var (
	errMethod               = errors.New("method is not POST")
	errContentType          = errors.New("content type is not a form")
	errTooManyParameters    = errors.New("too many parameters")
	errMalformedForm        = errors.New("form is malformed")
	errRepeatedParameter    = errors.New("parameter is repeated")
	errMalformedName        = errors.New("username or client_id is malformed")
	errMalformedScope       = errors.New("scope is malformed")
	errGrantTypeMissing     = errors.New("grant_type is missing")
	errUnsupportedGrantType = errors.New("grant type is not supported")
	errTokenMissing         = errors.New("token is missing")
	errForeignToken         = errors.New("token belongs to another client")
)

const codeOAuth = "Auth.OauthError"

// refusals maps errors to answers. The first match counts. An error without a match is
// a server error, whose text goes to the log only.
var refusals = []struct {
	err error
	refusal
}{
	{errMethod, refusal{http.StatusMethodNotAllowed, "invalid_request", "The method must be POST.", codeOAuth}},
	{errContentType, refusal{http.StatusUnsupportedMediaType, "invalid_request", "Invalid content type. Please use x-www-form-urlencoded.", "Request.InvalidContentType"}},
	{surface.ErrBodyTooLarge, refusal{http.StatusRequestEntityTooLarge, "invalid_request", "The request body is too large.", codeOAuth}},
	{errTooManyParameters, refusal{http.StatusBadRequest, "invalid_request", "There are too many parameters.", codeOAuth}},
	{errMalformedForm, refusal{http.StatusBadRequest, "invalid_request", "The request body is not a well-formed form.", codeOAuth}},
	{errRepeatedParameter, refusal{http.StatusBadRequest, "invalid_request", "A parameter is repeated.", codeOAuth}},
	{errMalformedName, refusal{http.StatusBadRequest, "invalid_request", "A username or client_id has unsupported characters or is too long.", codeOAuth}},
	{errMalformedScope, refusal{http.StatusBadRequest, "invalid_scope", "The scope has unsupported characters.", codeOAuth}},
	{errGrantTypeMissing, refusal{http.StatusBadRequest, "invalid_request", "The parameter grant_type is missing.", codeOAuth}},
	{errUnsupportedGrantType, refusal{http.StatusBadRequest, "unsupported_grant_type", "The grant type is not supported.", codeOAuth}},
	{client.ErrInvalid, refusal{http.StatusBadRequest, "invalid_client", "Invalid Client ID.", "ApiClient.InvalidClientID"}},
	{client.ErrInactive, refusal{http.StatusBadRequest, "invalid_client", "Client ID is not active.", "Auth.ClientNotActive"}},
	{client.ErrTooManyGuesses, refusal{http.StatusTooManyRequests, "temporarily_unavailable", "Too many failed client authentications. Try again later.", "TooManyRequests"}},
	{client.ErrTwoMethods, refusal{http.StatusBadRequest, "invalid_request", "The client authenticated itself in two ways.", codeOAuth}},
	{errTokenMissing, refusal{http.StatusBadRequest, "invalid_request", "The parameter token is missing.", codeOAuth}},
	{token.ErrInvalidTarget, refusal{http.StatusBadRequest, "invalid_target", "The requested resource is unknown, or the client may not have tokens for it.", codeOAuth}},
	{proof.ErrInvalid, refusal{http.StatusBadRequest, "invalid_dpop_proof", "The DPoP proof is missing, invalid or was used before.", codeOAuth}},
	{proof.ErrUseNonce, refusal{http.StatusBadRequest, "use_dpop_nonce", "The DPoP proof needs a nonce of this server.", codeOAuth}},
	{errForeignToken, refusal{http.StatusBadRequest, "unauthorized_client", "The token was issued to another client.", codeOAuth}},

	{storage.ErrUnavailable, refusal{http.StatusServiceUnavailable, "temporarily_unavailable", "The server cannot answer now. Try again.", codeOAuth}},
	{context.Canceled, refusal{http.StatusServiceUnavailable, "temporarily_unavailable", "The request was cut off. Try again.", codeOAuth}},
	{context.DeadlineExceeded, refusal{http.StatusServiceUnavailable, "temporarily_unavailable", "The server cannot answer now. Try again.", codeOAuth}},
	{signin.ErrBusy, refusal{http.StatusServiceUnavailable, "temporarily_unavailable", "The server is busy. Try again.", codeOAuth}},

	{grants.ErrCredentialsMissing, refusal{http.StatusBadRequest, "invalid_request", "Both username and password are required.", "Auth.UsernameAndPasswordRequired"}},
	{signin.ErrCredentials, refusal{http.StatusBadRequest, "invalid_grant", "Invalid username or password.", "Auth.InvalidUsernameOrPassword"}},
	{signin.ErrPasswordExpired, refusal{http.StatusBadRequest, "invalid_grant", "Expired Password.", "Auth.PasswordExpired"}},
	{grants.ErrContextUserRequired, refusal{http.StatusBadRequest, "invalid_grant", "Default context user required for client credentials grant", codeOAuth}},
	{grants.ErrUserInactive, refusal{http.StatusBadRequest, "invalid_grant", "User is not active.", "Auth.UserNotActive"}},
	{grants.ErrCompanyInactive, refusal{http.StatusBadRequest, "invalid_grant", "User's organization is not active.", "Auth.CompanyNotActive"}},
	// Only a client that has shown its secret hears of its own context user.
	{grants.ErrLockedOut, refusal{http.StatusBadRequest, "invalid_grant", "Due to excessive login failures, this account has been locked.", "Auth.LockedOut"}},
	{grants.ErrSubjectToken, refusal{http.StatusBadRequest, "invalid_grant", "The token is not valid, or not for that account.", codeOAuth}},
	{grants.ErrRefreshToken, refusal{http.StatusBadRequest, "invalid_grant", "The refresh token is invalid, expired or revoked.", codeOAuth}},
	{grants.ErrScopeExceeded, refusal{http.StatusBadRequest, "invalid_scope", "The requested scope exceeds the scope granted.", codeOAuth}},
	{fosite.ErrUnauthorizedClient, refusal{http.StatusBadRequest, "unauthorized_client", "The client may not use this grant type.", codeOAuth}},
}

var serverError = refusal{http.StatusInternalServerError, "server_error", "The server could not answer.", codeOAuth}

// classify returns the refusal for an error. known is false for a server error.
func classify(err error) (r refusal, known bool) {
	r, known = refusalOf(err)
	if known && errors.Is(err, client.ErrUnauthorized) {
		r.status = http.StatusUnauthorized
	}
	return r, known
}

func refusalOf(err error) (r refusal, known bool) {
	for _, m := range refusals {
		if errors.Is(err, m.err) {
			return m.refusal, true
		}
	}
	var query *surface.QueryError
	if errors.As(err, &query) {
		return refusal{http.StatusBadRequest, "invalid_request", surface.DescriptionText(query.Error()), codeOAuth}, true
	}
	var rules *signin.RuleError
	if errors.As(err, &rules) {
		return refusal{http.StatusBadRequest, "invalid_grant", "Password does not meet security requirements.", "Auth.InsecurePassword"}, true
	}
	var e *fosite.RFC6749Error
	if !errors.As(err, &e) || e.CodeField >= http.StatusInternalServerError {
		return serverError, false
	}
	r = refusal{http.StatusBadRequest, e.ErrorField, surface.DescriptionText(e.DescriptionField), codeOAuth}
	if e.HintField != "" {
		r.description = surface.DescriptionText(e.HintField)
	}
	if errors.Is(err, grants.ErrInsufficientRoles) {
		r.vendorCode, r.description = "Auth.InsufficientRoles", "User does not have role(s) required to perform this action."
	}
	return r, true
}

// Explain returns the HTTP status and the sentence with which the OAuth endpoints
// would answer an error of theirs. Other surfaces answer such errors in their own
// dialect. If known is false the status is 500, and the text of the error is for the
// log only.
func Explain(err error) (status int, description string, known bool) {
	r, known := classify(err)
	return r.status, r.description, known
}

// writeError answers a request that failed.
func (e *Endpoints) writeError(w http.ResponseWriter, r *http.Request, err error) {
	answer, known := classify(err)
	if !known || answer.status >= http.StatusInternalServerError {
		e.cfg.Logger.Error().Ctx(r.Context()).Err(err).Str("path", r.URL.Path).Int("status", answer.status).Msg("request failed")
	}
	switch answer.status {
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", http.MethodPost)
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Basic realm="latchkey"`)
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	case http.StatusTooManyRequests:
		wait := time.Second
		if limit, ok := errors.AsType[*storage.LimitError](err); ok {
			wait = surface.LimitWait(limit, e.cfg.Now())
		}
		surface.SetRetryAfter(w.Header(), wait)
	}
	if nonce := e.proofs.NonceFor(err); nonce != "" {
		w.Header().Set(proof.NonceHeader, nonce)
	}
	body := errorBody{
		Error: answer.code, ErrorDescription: answer.description,
		Errors: []vendorError{{ErrorCode: answer.vendorCode, Message: answer.description, Data: dataOf(err)}},
	}
	var choice *grants.SelectionRequired
	if errors.As(err, &choice) {
		surface.WriteOAuthJSON(w, answer.status, selection(body, choice))
		return
	}
	surface.WriteOAuthJSON(w, answer.status, body)
}
