package oauth

import (
	"errors"
	"net/http"
	"time"

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

// errTokenMissing refuses a revocation or an introspection without the parameter token.
var errTokenMissing = errors.New("token is missing")

const codeOAuth = "Auth.OauthError"

// refusals maps errors of the steps around the grant to answers. The first match counts.
// grants.RefusalOf answers all others.
var refusals = []struct {
	err error
	refusal
}{
	{client.ErrInvalid, refusal{http.StatusBadRequest, "invalid_client", "Invalid Client ID.", "ApiClient.InvalidClientID"}},
	{client.ErrInactive, refusal{http.StatusBadRequest, "invalid_client", "Client ID is not active.", "Auth.ClientNotActive"}},
	{client.ErrTooManyGuesses, refusal{http.StatusTooManyRequests, "temporarily_unavailable", "Too many failed client authentications. Try again later.", "TooManyRequests"}},
	{client.ErrTwoMethods, refusal{http.StatusBadRequest, "invalid_request", "The client authenticated itself in two ways.", codeOAuth}},
	{surface.ErrBodyTooLarge, refusal{http.StatusRequestEntityTooLarge, "invalid_request", "The request body is too large.", codeOAuth}},
	{errTokenMissing, refusal{http.StatusBadRequest, "invalid_request", "The parameter token is missing.", codeOAuth}},
	{token.ErrInvalidTarget, refusal{http.StatusBadRequest, "invalid_target", "The requested resource is unknown, or the client may not have tokens for it.", codeOAuth}},
	{proof.ErrInvalid, refusal{http.StatusBadRequest, "invalid_dpop_proof", "The DPoP proof is missing, invalid or was used before.", codeOAuth}},
	{proof.ErrUseNonce, refusal{http.StatusBadRequest, "use_dpop_nonce", "The DPoP proof needs a nonce of this server.", codeOAuth}},
	{errIdempotencyKey, refusal{http.StatusBadRequest, "invalid_request", "The Idempotency-Key must be one value of at most 255 visible ASCII characters.", codeOAuth}},
	{errIdempotencyKeyReused, refusal{http.StatusBadRequest, "invalid_request", "The Idempotency-Key was used for another request.", codeOAuth}},
}

// vendorCodes are OrderCloud's codes of errors that grants.RefusalOf answers. All other
// errors have the code codeOAuth.
var vendorCodes = []struct {
	err  error
	code string
}{
	{grants.ErrContentType, "Request.InvalidContentType"},
	{grants.ErrCredentialsMissing, "Auth.UsernameAndPasswordRequired"},
	{signin.ErrCredentials, "Auth.InvalidUsernameOrPassword"},
	{signin.ErrPasswordExpired, "Auth.PasswordExpired"},
	{grants.ErrUserInactive, "Auth.UserNotActive"},
	{grants.ErrCompanyInactive, "Auth.CompanyNotActive"},
	{grants.ErrLockedOut, "Auth.LockedOut"},
	{grants.ErrInsufficientRoles, "Auth.InsufficientRoles"},
}

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
	if query, ok := errors.AsType[*surface.QueryError](err); ok {
		return refusal{http.StatusBadRequest, "invalid_request", surface.DescriptionText(query.Error()), codeOAuth}, true
	}
	if refused, ok := errors.AsType[*AuthorizationError](err); ok {
		return refusal{http.StatusBadRequest, refused.Code, refused.Description, codeOAuth}, true
	}
	answer, known := grants.RefusalOf(err)
	return refusal{answer.Status, answer.Code, answer.Description, vendorCodeOf(err)}, known
}

func vendorCodeOf(err error) string {
	for _, m := range vendorCodes {
		if errors.Is(err, m.err) {
			return m.code
		}
	}
	if _, ok := errors.AsType[*signin.RuleError](err); ok {
		return "Auth.InsecurePassword"
	}
	return codeOAuth
}

// Explain returns the HTTP status and the error_description with which the OAuth
// endpoints answer an error. Other surfaces answer the error in their own dialect. known
// is false for a server error: then the status is 500, and the text of the error is for
// the log only.
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
