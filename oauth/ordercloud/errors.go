package ordercloud

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"latchkey/grants/signin"
	"latchkey/oauth/admin"
	"latchkey/oauth/surface"
	"latchkey/oauth/token"
	"latchkey/storage"
)

// Error is one entry of the Errors array that every refusal below /v1 carries.
// It is a shape of the wire, not an error: see writeError.
type Error struct {
	ErrorCode string
	Message   string
	Data      any
}

// errorBody is the body of every refusal below /v1.
type errorBody struct{ Errors []Error }

// refusal is an error that a handler of this package answers with.
type refusal struct {
	status     int
	entries    []Error
	retryAfter time.Duration // zero: none is told
}

func (r *refusal) Error() string { return r.entries[0].ErrorCode + ": " + r.entries[0].Message }

func refuse(status int, code, message string) error { return refuseWith(status, code, message, nil) }

func refuseWith(status int, code, message string, data any) error {
	return &refusal{status: status, entries: []Error{{ErrorCode: code, Message: message, Data: data}}}
}

// notFound refuses what does not exist, or not for the caller. OrderCloud's
// clients read what it was.
func notFound(objectType, id string) error {
	return refuseWith(http.StatusNotFound, "NotFound", "Object not found.",
		map[string]string{"ObjectType": objectType, "ObjectID": printable(id)})
}

// exists refuses to make what is there already.
func exists(objectType, id string) error {
	return refuseWith(http.StatusConflict, "IdExists", "Object already exists.",
		map[string]string{"ObjectType": objectType, "ObjectID": printable(id)})
}

// inUse refuses to delete what another object refers to.
func inUse(objectType, id string) error {
	return refuseWith(http.StatusConflict, "InUse", "Object is used by another object.",
		map[string]string{"ObjectType": objectType, "ObjectID": printable(id)})
}

// insufficientRoles refuses a caller who has none of the sufficient roles.
func insufficientRoles(sufficient, assigned []string) error {
	return refuseWith(http.StatusForbidden, "Auth.InsufficientRoles", "User does not have role(s) required to perform this action.",
		map[string][]string{"SufficientRoles": withFullAccess(sufficient), "AssignedRoles": listed(assigned)})
}

func withFullAccess(roles []string) []string {
	if slices.Contains(roles, roleFullAccess) {
		return roles
	}
	return append([]string{roleFullAccess}, roles...)
}

// printable cuts what a caller sent down to what may be shown.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, s)
	if len(s) > maxID {
		s = strings.ToValidUTF8(s[:maxID], "")
	}
	return s
}

// answerTo maps an error to the wire. What is not known here is a server
// error; its text goes to the log only.
func answerTo(err error, now time.Time) (answer *refusal, known bool) {
	var faults Faults
	var denied *admin.Denied
	var limit *storage.LimitError
	var query *surface.QueryError
	var list *storage.QueryLimitError
	switch {
	case errors.As(err, &answer):
	case errors.As(err, &denied):
		answer, _ = answerTo(insufficientRoles(denied.Missing, denied.Has), now)
	case errors.As(err, &faults):
		answer = invalid(faults)
	case errors.As(err, &query):
		answer = invalid(Faults{{Path: printable(query.Parameter), Problem: query.Problem}})
	case errors.As(err, &limit):
		answer = single(http.StatusTooManyRequests, "TooManyRequests", "Too many requests. Try again later.")
		answer.retryAfter = max(limit.Until.Sub(now), time.Second) // it does not tell which limit
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
		answer, _ = answerTo(errStale, now)
	case errors.Is(err, storage.ErrUnavailable), errors.Is(err, signin.ErrBusy),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		answer = single(http.StatusServiceUnavailable, "ServiceUnavailable", "The server cannot answer now. Try again.")
		answer.retryAfter = time.Second
	default:
		return single(http.StatusInternalServerError, "InternalServerError", "The server could not answer."), false
	}
	return answer, true
}

func single(status int, code, message string) *refusal {
	return &refusal{status: status, entries: []Error{{ErrorCode: code, Message: message}}}
}

// maxFaults is how many faults an answer tells, so that it cannot be made much
// longer than the request.
const maxFaults = 50

// invalid tells the faults of a resource, each with its path.
func invalid(faults Faults) *refusal {
	answer := &refusal{status: http.StatusBadRequest}
	for _, f := range faults[:min(len(faults), maxFaults)] {
		entry := Error{ErrorCode: "ValidationFailure", Message: f.String(), Data: map[string]string{"Path": f.Path}}
		if f.Code != "" {
			entry.ErrorCode, entry.Message = f.Code, f.Problem
		}
		answer.entries = append(answer.entries, entry)
	}
	return answer
}

// writeErrors answers a refusal (contract section 8).
func writeErrors(w http.ResponseWriter, r *refusal) {
	encoded, err := json.Marshal(errorBody{r.entries})
	if err != nil { // only possible for Data that is not made of plain values
		panic(err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json;charset=UTF-8")
	h.Set("Cache-Control", "no-store")
	if r.retryAfter != 0 {
		seconds := int64((r.retryAfter + time.Second - 1) / time.Second) // RFC 9110 §10.2.3 has no fractions
		h.Set("Retry-After", strconv.FormatInt(max(seconds, 1), 10))
	}
	w.WriteHeader(r.status)
	_, _ = w.Write(encoded) // a client that has gone gets nothing
}

// NotFound answers for a path below /v1 that does not exist.
func NotFound(w http.ResponseWriter, r *http.Request) {
	answer, _ := answerTo(notFound("Route", r.URL.Path), time.Time{})
	writeErrors(w, answer)
}
