package ordercloud

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"latchkey/oauth/admin"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/oauth/token"
	"latchkey/storage"
)

// refusal is an error that a handler of this package answers with.
type refusal struct {
	status     int
	entries    []wire.Error
	retryAfter time.Duration // zero: the answer has no Retry-After
}

func (r *refusal) Error() string { return r.entries[0].ErrorCode + ": " + r.entries[0].Message }

func refuse(status int, code, message string) error { return refuseWith(status, code, message, nil) }

func refuseWith(status int, code, message string, data any) error {
	return &refusal{status: status, entries: []wire.Error{{ErrorCode: code, Message: message, Data: data}}}
}

// notFound refuses access to an object that does not exist or that the caller may not see.
// OrderCloud's clients read its type and ID in Data.
func notFound(objectType, id string) error {
	return refuseWith(http.StatusNotFound, "NotFound", "Object not found.",
		map[string]string{"ObjectType": objectType, "ObjectID": printable(id)})
}

// exists refuses to create an object that exists already.
func exists(objectType, id string) error {
	return refuseWith(http.StatusConflict, "IdExists", "Object already exists.",
		map[string]string{"ObjectType": objectType, "ObjectID": printable(id)})
}

// inUse refuses to delete an object that another object refers to.
func inUse(objectType, id string) error {
	return refuseWith(http.StatusConflict, "InUse", "Object is used by another object.",
		map[string]string{"ObjectType": objectType, "ObjectID": printable(id)})
}

// insufficientRoles refuses a caller who has none of the sufficient roles.
func insufficientRoles(sufficient, assigned []string) error {
	return refuseWith(http.StatusForbidden, "Auth.InsufficientRoles", "User does not have role(s) required to perform this action.",
		map[string][]string{"SufficientRoles": withFullAccess(sufficient), "AssignedRoles": surface.OrEmpty(assigned)})
}

func withFullAccess(roles []string) []string {
	if slices.Contains(roles, token.RoleFullAccess) {
		return roles
	}
	return append([]string{token.RoleFullAccess}, roles...)
}

// printable returns a text of the caller in at most surface.MaxID bytes, with replacement
// characters for characters that cannot be printed.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, s)
	if len(s) > surface.MaxID {
		s = strings.ToValidUTF8(s[:surface.MaxID], "")
	}
	return s
}

// answerTo returns the refusal for an error. Unknown errors are server errors, whose text
// goes to the log only.
func answerTo(err error, now time.Time) (answer *refusal) {
	var faults wire.Faults
	var denied *admin.Denied
	var limit *storage.LimitError
	var query *surface.QueryError
	var list *storage.QueryLimitError
	switch {
	case errors.As(err, &answer):
	case errors.As(err, &denied):
		answer = answerTo(insufficientRoles(denied.Missing, denied.Has), now)
	case errors.As(err, &faults):
		answer = invalid(faults)
	case errors.As(err, &query):
		answer = invalid(wire.Faults{{Path: printable(query.Parameter), Problem: query.Problem}})
	case errors.Is(err, surface.ErrBodyNotJSON):
		answer = single(http.StatusBadRequest, "Request.InvalidRequestBody", "The request body is not a JSON object of the expected shape.")
	case errors.Is(err, surface.ErrBodyTooLarge):
		answer = single(http.StatusRequestEntityTooLarge, "Request.InvalidRequestBody", "The request body is too large.")
	case errors.Is(err, surface.ErrIfMatch):
		answer = single(http.StatusBadRequest, "InvalidRequest", "The header If-Match is not an entity tag of ours.")
	case errors.As(err, &limit):
		answer = single(http.StatusTooManyRequests, "TooManyRequests", "Too many requests. Try again later.") // not which limit
		answer.retryAfter = surface.LimitWait(limit, now)
	case errors.Is(err, token.ErrTokenRevoked):
		answer = single(http.StatusUnauthorized, "Auth.TokenRevoked", "The provided token has been revoked. Please re-authenticate.")
	case errors.Is(err, token.ErrInvalidToken):
		answer = single(http.StatusUnauthorized, "InvalidToken", "Access token is invalid or expired.")
	case errors.As(err, &list) && list.Timeout > 0:
		answer = single(http.StatusServiceUnavailable, "QueryTimeout", list.Advice())
		answer.retryAfter = list.Timeout
	case errors.As(err, &list):
		answer = single(http.StatusBadRequest, "InvalidQuery", list.Advice())
	case errors.Is(err, storage.ErrQuery):
		answer = single(http.StatusBadRequest, "InvalidQuery", "The list cannot be filtered or sorted like that.")
	case errors.Is(err, storage.ErrStale):
		answer = single(http.StatusPreconditionFailed, "PreconditionFailed", "The object was changed since it was read.")
	case surface.IsUnavailable(err):
		answer = single(http.StatusServiceUnavailable, "ServiceUnavailable", "The server cannot answer now. Try again.")
		answer.retryAfter = time.Second
	default:
		answer = single(http.StatusInternalServerError, "InternalServerError", "The server could not answer.")
	}
	return answer
}

func single(status int, code, message string) *refusal {
	return &refusal{status: status, entries: []wire.Error{{ErrorCode: code, Message: message}}}
}

// maxFaults is how many faults an answer lists, so that it cannot be made much
// longer than the request.
const maxFaults = 50

// invalid refuses a resource and lists its faults, each with its path.
func invalid(faults wire.Faults) *refusal {
	answer := &refusal{status: http.StatusBadRequest}
	for _, f := range faults[:min(len(faults), maxFaults)] {
		entry := wire.Error{ErrorCode: "ValidationFailure", Message: f.String(), Data: map[string]string{"Path": f.Path}}
		if f.Code != "" {
			entry.ErrorCode, entry.Message = f.Code, f.Problem
		}
		answer.entries = append(answer.entries, entry)
	}
	return answer
}

// mediaType is the Content-Type of every body below /v1.
const mediaType = "application/json;charset=UTF-8"

// writeErrors answers a request that is refused.
func writeErrors(w http.ResponseWriter, r *refusal) {
	surface.SetRetryAfter(w.Header(), r.retryAfter)
	surface.WriteJSON(w, mediaType, r.status, wire.ErrorBody{Errors: r.entries})
}

// NotFound answers for a path below /v1 that does not exist.
func NotFound(w http.ResponseWriter, r *http.Request) {
	writeErrors(w, answerTo(notFound("Route", r.URL.Path), time.Time{}))
}
