package deliver

import (
	"context"
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
