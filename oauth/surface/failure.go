package surface

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"latchkey/grants/signin"
	"latchkey/storage"
)

// IsUnavailable reports whether an error means that the server cannot answer now
// and the request can be repeated: 503.
func IsUnavailable(err error) bool {
	return errors.Is(err, storage.ErrUnavailable) || errors.Is(err, signin.ErrBusy) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// LimitWait returns how long after now a limit has room again, at least a second.
func LimitWait(limit *storage.LimitError, now time.Time) time.Duration {
	return max(limit.Until.Sub(now), time.Second)
}

// SetRetryAfter sets the header Retry-After, in whole seconds (RFC 9110 §10.2.3).
// 0 sets none.
func SetRetryAfter(h http.Header, wait time.Duration) {
	if wait != 0 {
		seconds := int64((wait + time.Second - 1) / time.Second)
		h.Set("Retry-After", strconv.FormatInt(max(seconds, 1), 10))
	}
}
