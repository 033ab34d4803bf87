package ordercloud

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"latchkey/storage"
)

// Error is one entry of the Errors array that every refusal below /v1 carries.
// It is a shape of the wire, not an error: see writeError.
type Error struct {
	ErrorCode string
	Message   string
	Data      any
}

// refusal is an error that a handler of this package answers with.
type refusal struct {
	status     int
	entry      Error
	retryAfter time.Duration // zero: none is told
}

func (r *refusal) Error() string { return r.entry.ErrorCode + ": " + r.entry.Message }

func refuse(status int, code, message string) error {
	return &refusal{status: status, entry: Error{ErrorCode: code, Message: message}}
}

// tooMany refuses a request that a limit does not allow before wait is over. It
// does not tell which limit.
func tooMany(wait time.Duration) error {
	return &refusal{
		status: http.StatusTooManyRequests, retryAfter: wait,
		entry: Error{ErrorCode: "TooManyRequests", Message: "Too many requests. Try again later."},
	}
}

// answerTo maps an error to the wire. What is not known here is a server
// error; its text goes to the log only.
func answerTo(err error) (answer *refusal, known bool) {
	if errors.As(err, &answer) {
		return answer, true
	}
	if errors.Is(err, storage.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return &refusal{
			status: http.StatusServiceUnavailable, retryAfter: time.Second,
			entry: Error{ErrorCode: "ServiceUnavailable", Message: "The server cannot answer now. Try again."},
		}, true
	}
	return &refusal{
		status: http.StatusInternalServerError,
		entry:  Error{ErrorCode: "InternalServerError", Message: "The server could not answer."},
	}, false
}

// writeErrors answers a refusal (contract section 8).
func writeErrors(w http.ResponseWriter, r *refusal) {
	encoded, err := json.Marshal(map[string][]Error{"Errors": {r.entry}})
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
	writeErrors(w, &refusal{status: http.StatusNotFound, entry: Error{
		ErrorCode: "NotFound", Message: "Object not found.",
		Data: map[string]string{"ObjectType": "Route", "ObjectID": r.URL.Path},
	}})
}
