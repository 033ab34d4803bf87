package deliver

import (
	"context"
	"errors"
	"time"

	"latchkey/otp"
	"latchkey/storage"
)

// Transport delivers messages of one kind of sender. It must be safe for
// concurrent use and return when ctx ends.
type Transport interface {
	// Send returns nil once the receiver has taken the message. An error
	// wrapped by Permanent ends the message, any other is tried again; see
	// RetryAfter and RetryTimes. Its Reason is kept and shown to administrators,
	// and its text is logged, so neither must quote the envelope.
	Send(ctx context.Context, sender storage.Sender, e Envelope) error
}

// Envelope is an opened message. What a message has not, like the code of one
// that tells a forgotten username, is empty.
type Envelope struct {
	Message     storage.Message
	Username    string // of the login, as it was created
	Code        string // a one-time password or a verification code, by the type of the message
	ClientID    string // through which it was asked for; empty: none in particular
	UserUID     string
	ExpiresAt   time.Time       // of the code
	RequestedAt time.Time       // when somebody asked for the message
	Purpose     storage.Purpose // of a one-time password
	URL         string          // where a password is renewed, as whoever asked says
	RealmID     string          // of the user
	ProfileID   string          // of the login
	LoginID     string
	Email       string    // of news of a changed contact: where the user was reached before
	Phone       string    // likewise
	LockedUntil time.Time // of news of a lock; zero: it has ended, or is not known
}

// Enclose returns the message with its opened payload.
func Enclose(m storage.Message, p otp.Payload) Envelope {
	return Envelope{
		Message: m, Username: p.Username, Code: p.Code, ClientID: p.ClientID, UserUID: p.UserUID,
		ExpiresAt: p.ExpiresAt, RequestedAt: p.RequestedAt, Purpose: p.Purpose, URL: p.URL,
		RealmID: p.RealmID, ProfileID: p.ProfileID, LoginID: p.LoginID, Email: p.Email, Phone: p.Phone, LockedUntil: p.LockedUntil,
	}
}

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
