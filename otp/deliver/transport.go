package deliver

import (
	"context"
	"errors"
	"time"

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

// Envelope is an opened message.
type Envelope struct {
	Message   storage.Message
	Username  string // of the login, as it was created
	Code      string
	ClientID  string
	UserUID   string
	ExpiresAt time.Time // of the code
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
