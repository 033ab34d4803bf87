package ordercloud

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

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
	status int
	entry  Error
}

func (r *refusal) Error() string { return r.entry.ErrorCode + ": " + r.entry.Message }

func refuse(status int, code, message string) error {
	return &refusal{status, Error{ErrorCode: code, Message: message}}
}

// answerTo maps an error to the wire. What is not known here is a server
// error; its text goes to the log only.
func answerTo(err error) (answer *refusal, known bool) {
	if errors.As(err, &answer) {
		return answer, true
	}
	if errors.Is(err, storage.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return &refusal{http.StatusServiceUnavailable, Error{ErrorCode: "ServiceUnavailable", Message: "The server cannot answer now. Try again."}}, true
	}
	return &refusal{http.StatusInternalServerError, Error{ErrorCode: "InternalServerError", Message: "The server could not answer."}}, false
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
	if r.status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	}
	w.WriteHeader(r.status)
	_, _ = w.Write(encoded) // a client that has gone gets nothing
}

// NotFound answers for a path below /v1 that does not exist.
func NotFound(w http.ResponseWriter, r *http.Request) {
	writeErrors(w, &refusal{http.StatusNotFound, Error{
		ErrorCode: "NotFound", Message: "Object not found.",
		Data: map[string]string{"ObjectType": "Route", "ObjectID": r.URL.Path},
	}})
}
