package deliver

import (
	"errors"
	"time"
)

type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

// Permanent marks an error that every further attempt would return again, so that
// the message ends. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanentError{err}
}

// IsPermanent reports whether Permanent marked err or an error that it wraps.
func IsPermanent(err error) bool {
	var p permanentError
	return errors.As(err, &p)
}

type retryError struct {
	error
	tries int           // how many attempts in all; 0: no limit
	wait  time.Duration // before the next attempt
}

func (e retryError) Unwrap() error { return e.error }

// RetryAfter marks an error of a receiver that asked to wait before the next
// attempt. The Worker waits that long, or its own delay if that is longer. It makes
// one more attempt before the message expires in any case.
func RetryAfter(err error, wait time.Duration) error { return retryError{error: err, wait: wait} }

// RetryTimes marks an error that is usually permanent. It ends the message if the
// number of the attempt is tries or more. The first attempt has number 1.
func RetryTimes(err error, tries int) error { return retryError{error: err, tries: tries} }

// retryLimits returns the values of RetryTimes and RetryAfter in err, or zeros.
func retryLimits(err error) (tries int, wait time.Duration) {
	for r, ok := errors.AsType[retryError](err); ok; r, ok = errors.AsType[retryError](r.error) {
		tries, wait = max(tries, r.tries), max(wait, r.wait)
	}
	return tries, wait
}
