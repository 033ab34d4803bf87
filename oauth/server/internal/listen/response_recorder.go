package listen

import (
	"net/http"
	"sync/atomic"
)

// recorder records the status and the size of an answer. While the server stops, it
// asks the client to close the connection.
type recorder struct {
	http.ResponseWriter
	stopping    *atomic.Bool
	status      int
	bytes       int64
	wroteHeader bool
	endSpan     func(route string, status int) // nil: the request has no span
	failed      bool                           // whatever the status is
}

// MarkFailure implements surface.FailureMarker.
func (r *recorder) MarkFailure() { r.failed = true }

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	// An informational answer precedes the real one (RFC 9110 §15.2).
	if !r.wroteHeader && (status >= 200 || status == http.StatusSwitchingProtocols) {
		r.status, r.wroteHeader = status, true
		if r.stopping.Load() {
			r.Header().Set("Connection", "close")
		}
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(p []byte) (int, error) {
	if !r.wroteHeader {
		r.WriteHeader(http.StatusOK)
	}
	n, err := r.ResponseWriter.Write(p)
	r.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the original.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
