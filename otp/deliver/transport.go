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
	// wrapped by Permanent ends the message, any other is tried again. Its
	// text is kept and logged, so it must not quote the envelope.
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
	LockedUntil time.Time // of news of a lock; zero: it has ended, or is not known
}

// Enclose returns the message with its opened payload.
func Enclose(m storage.Message, p otp.Payload) Envelope {
	return Envelope{
		Message: m, Username: p.Username, Code: p.Code, ClientID: p.ClientID, UserUID: p.UserUID,
		ExpiresAt: p.ExpiresAt, RequestedAt: p.RequestedAt, Purpose: p.Purpose, URL: p.URL,
		RealmID: p.RealmID, ProfileID: p.ProfileID, LoginID: p.LoginID, LockedUntil: p.LockedUntil,
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
