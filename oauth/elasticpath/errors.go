package elasticpath

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"latchkey/grants"
	"latchkey/grants/signin"
	"latchkey/oauth"
	"latchkey/oauth/admin"
	"latchkey/oauth/client"
	"latchkey/oauth/elasticpath/wire"
	"latchkey/oauth/surface"
	"latchkey/oauth/token"
	"latchkey/otp"
	"latchkey/storage"
)

// mediaType is the Content-Type of all bodies.
const mediaType = "application/json; charset=utf-8"

// refusal is the answer to a request that is not served. Handlers return it as an
// error.
type refusal struct {
	status     int
	details    []string      // one for each entry of the body
	retryAfter time.Duration // zero: the header is not set
	cause      error         // for the log and the challenge; may be nil
}

// Error implements error.
func (r *refusal) Error() string {
	if len(r.details) == 0 {
		return http.StatusText(r.status)
	}
	return r.details[0]
}

// Unwrap returns the cause.
func (r *refusal) Unwrap() error { return r.cause }

func refuse(status int, details ...string) *refusal {
	return &refusal{status: status, details: details}
}

// Refusals in the words of the documentation.
var (
	errForbidden   = refuse(http.StatusForbidden, "forbidden")
	errFilter      = refuse(http.StatusBadRequest, "Could not parse the supplied filter")
	errConstraint  = refuse(http.StatusUnprocessableEntity, "Constraint violation")
	errCredentials = refuse(http.StatusBadRequest, "authentication failed")
	errContentType = refuse(http.StatusUnsupportedMediaType, "The content type must be application/json")
)

// notFound is the refusal of a resource that does not exist, or that the caller may
// not see.
func notFound(what string) *refusal { return refuse(http.StatusNotFound, what+" not found") }

// orNotFound replaces storage.ErrNotFound by a refusal that names the record that was not
// found.
func orNotFound(err error, what string) error {
	if errors.Is(err, storage.ErrNotFound) {
		return notFound(what)
	}
	return err
}

// statuses maps errors of other packages to refusals. The first match counts. Errors
// that callers must not be able to tell apart have the same status and detail.
var statuses = []struct {
	err    error
	status int
	detail string
}{
	{token.ErrInvalidToken, http.StatusUnauthorized, ""},
	{token.ErrInsufficientRoles, http.StatusForbidden, "forbidden"},
	{admin.ErrSelfManagementDisabled, http.StatusForbidden, "forbidden"},
	{surface.ErrBodyTooLarge, http.StatusRequestEntityTooLarge, "The request body is too large"},
	{surface.ErrBodyNotJSON, http.StatusBadRequest, wire.ErrBody.Error()},
	{wire.ErrBody, http.StatusBadRequest, wire.ErrBody.Error()},
	{surface.ErrIfMatch, http.StatusBadRequest, "The header If-Match is not an entity tag of this server"},
	{storage.ErrQuery, http.StatusBadRequest, "Could not parse the supplied filter"},
	{storage.ErrStale, http.StatusPreconditionFailed, "The resource was changed since it was read"},
	{storage.ErrUsernameTaken, http.StatusUnprocessableEntity, "Constraint violation"},
	{storage.ErrConflict, http.StatusConflict, "The resource exists already or is in use"},
	{storage.ErrNotFound, http.StatusNotFound, "Resource not found"},
	{storage.ErrRefused, http.StatusForbidden, "forbidden"},
	{signin.ErrCredentials, http.StatusBadRequest, "authentication failed"},
	{grants.ErrCredentialsMissing, http.StatusBadRequest, "authentication failed"},
	{signin.ErrSignUpDisabled, http.StatusForbidden, "self signup is not enabled"},
	{signin.ErrSignUpRefused, http.StatusForbidden, "the client may not sign such users in"},
	{signin.ErrForeignProfile, http.StatusUnprocessableEntity, "password_profile_id is of no password profile of the realm"},
	{signin.ErrPasswordReused, http.StatusUnprocessableEntity, "The password was used before"},
	{signin.ErrPasswordTooSoon, http.StatusUnprocessableEntity, "The password was changed too recently"},
	{signin.ErrPasswordExpired, http.StatusUnprocessableEntity, "The password has expired"},
	{otp.ErrUsernameNotEmail, http.StatusUnprocessableEntity, wire.Invalid("username", "email").Error()},
	{otp.ErrUsernameInvisible, http.StatusBadRequest, wire.Invalid("username", "printable").Error()},
	{otp.ErrUsernameEmpty, http.StatusBadRequest, wire.Invalid("username", "required").Error()},
	{otp.ErrNobodyNamed, http.StatusBadRequest, wire.Invalid("username", "required").Error()},
	{otp.ErrProfileWithoutCodes, http.StatusUnprocessableEntity, "one time password tokens are not enabled for the password profile"},
}

// refusalOf returns the refusal that an error leads to. known is false for errors
// that are not expected: those are server errors, and their text goes to the log
// only.
func refusalOf(err error, now time.Time) (answer *refusal, known bool) {
	if errors.As(err, &answer) {
		return answer, true
	}
	if answer = refusalOfType(err, now); answer != nil {
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
	if surface.IsUnavailable(err) {
		answer = refuse(http.StatusServiceUnavailable, "The server cannot answer now. Try again.")
		answer.retryAfter = time.Second
		return answer, true
	}
	return refuse(http.StatusInternalServerError, "there was a problem processing your request"), false
}

// refusalOfType returns the refusal of an error whose type has the details, or nil.
func refusalOfType(err error, now time.Time) *refusal {
	if invalid := (*wire.InvalidError)(nil); errors.As(err, &invalid) {
		return refuse(http.StatusBadRequest, invalid.Details...)
	}
	if unsupported := wire.UnsupportedError(""); errors.As(err, &unsupported) {
		return refuse(http.StatusUnprocessableEntity, unsupported.Error())
	}
	if query := (*surface.QueryError)(nil); errors.As(err, &query) {
		return refuse(http.StatusBadRequest, query.Error())
	}
	if denied := (*admin.Denied)(nil); errors.As(err, &denied) {
		return errForbidden
	}
	if limit := (*storage.LimitError)(nil); errors.As(err, &limit) {
		answer := refuse(http.StatusTooManyRequests, "Too many requests. Try again later.") // the limit is not named
		answer.retryAfter = surface.LimitWait(limit, now)
		return answer
	}
	if list := (*storage.QueryLimitError)(nil); errors.As(err, &list) {
		answer := refuse(http.StatusBadRequest, list.Advice())
		if list.Timeout > 0 {
			answer.status, answer.retryAfter = http.StatusServiceUnavailable, list.Timeout
		}
		return answer
	}
	if rules := (*signin.RuleError)(nil); errors.As(err, &rules) {
		return refuse(http.StatusUnprocessableEntity, describeRules(rules.Rules))
	}
	return nil
}

// describeRules lists all rules for a password, so that the next one can satisfy all
// of them.
func describeRules(r storage.PasswordRules) string {
	needs := []string{fmt.Sprintf("at least %d characters", max(r.MinLength, 1))}
	for _, rule := range []struct {
		required bool
		text     string
	}{
		{r.UpperCase, "an upper case letter"},
		{r.LowerCase, "a lower case letter"},
		{r.Digit, "a digit"},
		{r.Special, "a special character"},
		{r.MaxRepeatedChars > 0, fmt.Sprintf("at most %d equal characters in a row", r.MaxRepeatedChars)},
	} {
		if rule.required {
			needs = append(needs, rule.text)
		}
	}
	return "The password must have " + strings.Join(needs, ", ")
}

// oauthRefusal returns an error of the OAuth endpoints as a refusal of this dialect.
func oauthRefusal(err error) error {
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

// write writes the refusal. If numbers is true, the status in the body is a number.
func (r *refusal) write(w http.ResponseWriter, numbers bool) {
	surface.SetRetryAfter(w.Header(), r.retryAfter)
	title, details := http.StatusText(r.status), r.details
	if len(details) == 0 {
		details = []string{""}
	}
	var texts wire.ErrorBody[wire.Error]
	var integers wire.ErrorBody[wire.IntegrationError]
	for _, detail := range details {
		texts.Errors = append(texts.Errors, wire.Error{Title: title, Status: strconv.Itoa(r.status), Detail: detail})
		integers.Errors = append(integers.Errors, wire.IntegrationError{Title: title, Status: r.status, Detail: detail})
	}
	if numbers {
		surface.WriteJSON(w, mediaType, r.status, integers)
		return
	}
	surface.WriteJSON(w, mediaType, r.status, texts)
}

// hasNumericStatus reports whether the status in refusals of a path is a number. It
// is for the paths of integrations.
func hasNumericStatus(path string) bool {
	return path == "/v2/integrations" || strings.HasPrefix(path, "/v2/integrations/")
}

// NotFound answers requests for paths below /v2 that do not exist.
func NotFound(w http.ResponseWriter, r *http.Request) {
	notFound("Resource").write(w, hasNumericStatus(r.URL.Path))
}
