package surface

import (
	"encoding/json"
	"net/http"
	"strings"

	"latchkey/oauth/admin"
)

// Answer is what an operation answers if it succeeds.
type Answer struct {
	Status  int
	Body    any      // nil: none
	Version int64    // of the record shown, for the ETag; 0: no ETag
	Changed []string // members that have another value now, secrets included
	Notice  string   // a warning for the administrator; empty: none

	Estimated bool // the total of a list is an estimate

	// Stream, if it is set, writes the body instead of Body. After an error the server
	// aborts the connection, so that the client sees that the body is incomplete.
	Stream     func(w http.ResponseWriter) error
	StreamType string // Content-Type of that body
}

// TotalHeader is the response header that says "estimated" if the total of a list is an
// estimate. Bodies stay as the vendors' SDKs expect them.
const TotalHeader = "Latchkey-Total"

// Write writes the answer as JSON. mediaType is the Content-Type of a body.
func (a Answer) Write(w http.ResponseWriter, mediaType string) {
	h := w.Header()
	if a.Version > 0 {
		h.Set("ETag", EntityTag(a.Version))
	}
	if a.Estimated {
		h.Set(TotalHeader, "estimated")
	}
	if len(a.Changed) > 0 {
		h.Set(admin.ChangedHeader, strings.Join(a.Changed, ", "))
	}
	if a.Notice != "" {
		h.Set(admin.NoticeHeader, a.Notice)
	}
	if a.Stream != nil {
		h.Set("Content-Type", a.StreamType)
		h.Set("Cache-Control", "no-store")
		w.WriteHeader(a.Status)
		if err := a.Stream(w); err != nil {
			panic(http.ErrAbortHandler)
		}
		return
	}
	if a.Body == nil {
		h.Set("Cache-Control", "no-store")
		w.WriteHeader(a.Status)
		return
	}
	WriteJSON(w, mediaType, a.Status, a.Body)
}

// WriteJSON writes an answer that no cache may store. The body must be made of
// values that can be encoded.
func WriteJSON(w http.ResponseWriter, mediaType string, status int, body any) {
	encoded, err := json.Marshal(body)
	if err != nil { // a programming error
		panic(err)
	}
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(encoded) // an error means that the client has gone
}

// WriteOAuthJSON writes an answer of an OAuth endpoint, which no cache may store
// (RFC 6749 §5.1).
func WriteOAuthJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Pragma", "no-cache")
	WriteJSON(w, "application/json;charset=UTF-8", status, body)
}
