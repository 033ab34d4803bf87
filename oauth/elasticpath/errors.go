package elasticpath

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"latchkey/grants"
	"latchkey/grants/signin"
	"latchkey/oauth"
	"latchkey/oauth/admin"
	"latchkey/oauth/client"
	"latchkey/oauth/surface"
	"latchkey/oauth/token"
	"latchkey/otp"
	"latchkey/storage"
)

// Error is one entry of the errors array that every refusal below /v2 carries.
// It is a shape of the wire, not an error: see answerTo.
type Error struct {
	Title  string `json:"title"`
	Status string `json:"status"` // a string, though it is a number
	Detail string `json:"detail,omitempty"`
}

// IntegrationError is Error as the integrations have it.
type IntegrationError struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
}

// errorBody is the body of a refusal.
type errorBody[E any] struct {
	Errors []E `json:"errors"`
}

// refusal is an error that a handler of this package answers with.
type refusal struct {
	status     int
	title      string        // default: the status' own text
	details    []string      // one for each entry
	retryAfter time.Duration // zero: none is told
	cause      error         // for the log and the challenge; may be nil
}

func (r *refusal) Error() string {
	if len(r.details) == 0 {
		return http.StatusText(r.status)
	}
	return r.details[0]
}

func (r *refusal) Unwrap() error { return r.cause }

func refuse(status int, details ...string) *refusal {
	return &refusal{status: status, details: details}
}

// What the documentation says in these words.
var (
	errForbidden   = refuse(http.StatusForbidden, "forbidden")
	errFilter      = refuse(http.StatusBadRequest, "Could not parse the supplied filter")
	errConstraint  = refuse(http.StatusUnprocessableEntity, "Constraint violation")
	errCredentials = refuse(http.StatusBadRequest, "authentication failed")
	errBody        = refuse(http.StatusBadRequest, "Could not parse the request body")
	errTooLarge    = refuse(http.StatusRequestEntityTooLarge, "The request body is too large")
	errContentType = refuse(http.StatusUnsupportedMediaType, "The content type must be application/json")
	errStale       = refuse(http.StatusPreconditionFailed, "The resource was changed since it was read")
	errIfMatch     = refuse(http.StatusBadRequest, "The header If-Match is not an entity tag of this server")
)

// notFound refuses what does not exist, or not for the caller.
func notFound(what string) *refusal { return refuse(http.StatusNotFound, what+" not found") }

// orNotFound turns a store's answer that there is no such record into the
// wire's.
func orNotFound(err error, what string) error {
	if errors.Is(err, storage.ErrNotFound) {
		return notFound(what)
	}
	return err
}

// statuses maps errors of the packages below to the wire. The first match
// counts. What may not be told apart has one entry.
var statuses = []struct {
	err    error
	status int
	detail string
}{
	{token.ErrInvalidToken, http.StatusUnauthorized, ""},
	{token.ErrInsufficientRoles, http.StatusForbidden, "forbidden"},
	{storage.ErrQuery, http.StatusBadRequest, "Could not parse the supplied filter"},
	{storage.ErrStale, http.StatusPreconditionFailed, "The resource was changed since it was read"},
	{storage.ErrUsernameTaken, http.StatusUnprocessableEntity, "Constraint violation"},
	{storage.ErrConflict, http.StatusConflict, "The resource exists already or is in use"},
	{storage.ErrNotFound, http.StatusNotFound, "Resource not found"},
	{storage.ErrRefused, http.StatusForbidden, "forbidden"},
	{signin.ErrCredentials, http.StatusBadRequest, "authentication failed"},
	{grants.ErrCredentialsMissing, http.StatusBadRequest, "authentication failed"},
	{otp.ErrNobodyNamed, http.StatusBadRequest, "Validation failed: field 'username' on the 'required' tag."},
	{otp.ErrProfileWithoutCodes, http.StatusUnprocessableEntity, "one time password tokens are not enabled for the password profile"},
}

// answerTo maps an error to the wire. What is not known here is a server
// error; its text goes to the log only.
func answerTo(err error, now time.Time) (answer *refusal, known bool) {
	var limit *storage.LimitError
	var query *surface.QueryError
	if errors.As(err, &answer) {
		return answer, true
	}
	if errors.As(err, &query) {
		return refuse(http.StatusBadRequest, query.Error()), true
	}
	if denied := (*admin.Denied)(nil); errors.As(err, &denied) {
		return errForbidden, true
	}
	if errors.As(err, &limit) {
		answer = refuse(http.StatusTooManyRequests, "Too many requests. Try again later.") // not which limit
		answer.retryAfter = max(limit.Until.Sub(now), time.Second)
		return answer, true
	}
	var list *storage.QueryLimitError
	if errors.As(err, &list) {
		answer = refuse(http.StatusBadRequest, list.Advice())
		if list.Timeout > 0 {
			answer.status, answer.retryAfter = http.StatusServiceUnavailable, list.Timeout
		}
		return answer, true
	}
	if answer := passwordRefusal(err); answer != nil {
		return answer, true
	}
	for _, s := range statuses {
		if errors.Is(err, s.err) {
			answer = refuse(s.status)
			if s.detail != "" {
				answer.details = []string{s.detail}
			}
			return answer, true
		}
	}
	for _, unavailable := range []error{storage.ErrUnavailable, signin.ErrBusy, context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, unavailable) {
			answer = refuse(http.StatusServiceUnavailable, "The server cannot answer now. Try again.")
			answer.retryAfter = time.Second
			return answer, true
		}
	}
	return refuse(http.StatusInternalServerError, "there was a problem processing your request"), false
}

// explained tells an error of the OAuth endpoints in the dialect's form.
func explained(err error) error {
	if err == nil {
		return nil
	}
	status, description, known := oauth.Explain(err)
	if !known || status >= http.StatusInternalServerError {
		return err
	}
	if errors.Is(err, client.ErrInvalid) || errors.Is(err, client.ErrInactive) {
		status = http.StatusUnauthorized
	}
	return &refusal{status: status, details: []string{description}, cause: err}
}

// writeRefusal answers a refusal; with numbers, its status is a number.
func writeRefusal(w http.ResponseWriter, r *refusal, numbers bool) {
	h := w.Header()
	if r.retryAfter != 0 {
		seconds := int64((r.retryAfter + time.Second - 1) / time.Second) // RFC 9110 §10.2.3 has no fractions
		h.Set("Retry-After", strconv.FormatInt(max(seconds, 1), 10))
	}
	title, details := r.title, r.details
	if title == "" {
		title = http.StatusText(r.status)
	}
	if len(details) == 0 {
		details = []string{""}
	}
	var texts errorBody[Error]
	var integers errorBody[IntegrationError]
	for _, detail := range details {
		texts.Errors = append(texts.Errors, Error{Title: title, Status: strconv.Itoa(r.status), Detail: detail})
		integers.Errors = append(integers.Errors, IntegrationError{Title: title, Status: r.status, Detail: detail})
	}
	if numbers {
		writeJSON(w, r.status, integers)
		return
	}
	writeJSON(w, r.status, texts)
}

// writeJSON answers what no cache may keep.
func writeJSON(w http.ResponseWriter, status int, body any) {
	encoded, err := json.Marshal(body)
	if err != nil { // only possible for a body that is not made of plain values
		panic(err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(encoded) // a client that has gone gets nothing
}

// NotFound answers for a path below /v2 that does not exist.
func NotFound(w http.ResponseWriter, r *http.Request) {
	writeRefusal(w, notFound("Resource"), numbersStatus(r.URL.Path))
}
