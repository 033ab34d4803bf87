package deliver

import (
	"errors"
	"time"
)

type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

// Permanent marks an error that another attempt would only repeat. Permanent
// of nil is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanentError{err}
}

// IsPermanent tells whether Permanent marked err or one that it wraps.
func IsPermanent(err error) bool {
	var p permanentError
	return errors.As(err, &p)
}

type retryError struct {
	error
	tries int           // attempts in all; 0: no limit
	wait  time.Duration // before the next attempt
}

func (e retryError) Unwrap() error { return e.error }

// RetryAfter marks an error of a receiver that asked to wait before the next
// attempt. The Worker waits that long, or its own pause if that is longer, but
// still tries once before the message expires.
func RetryAfter(err error, wait time.Duration) error { return retryError{error: err, wait: wait} }

// RetryTimes marks an error that may pass but usually does not. It ends the
// message if it comes back in the attempt of that number or a later one; the
// first attempt has number 1.
func RetryTimes(err error, tries int) error { return retryError{error: err, tries: tries} }

// retryHint returns what RetryTimes and RetryAfter marked err with; zero values
// if neither did.
func retryHint(err error) (tries int, wait time.Duration) {
	for r, ok := errors.AsType[retryError](err); ok; r, ok = errors.AsType[retryError](r.error) {
		tries, wait = max(tries, r.tries), max(wait, r.wait)
	}
	return tries, wait
}
