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
	// Send returns nil once the receiver has accepted the message. An error that
	// Permanent marked ends the message. Any other error is retried; see RetryAfter
	// and RetryTimes. The Reason of the error is stored and shown to administrators,
	// and its text is logged. So neither may quote the envelope.
	Send(ctx context.Context, sender storage.Sender, e Envelope) error
}

// Envelope is a message with its decrypted payload. A field that the type of the
// message does not have is empty, for example the code of a ForgottenUsername.
type Envelope struct {
	Message     storage.Message
	Username    string // of the login, as it was created
	Code        string // a one-time password or a verification code, by the type of the message
	ClientID    string // that requested the message; empty: none in particular
	UserUID     string
	ExpiresAt   time.Time       // of the code
	RequestedAt time.Time       // when the message was requested
	Purpose     storage.Purpose // of a one-time password
	URL         string          // of the page that renews a password, as the request gave it
	RealmID     string          // of the user
	ProfileID   string          // of the login
	LoginID     string
	SessionID   string    // of a Logout: the session that has ended
	Email       string    // of a ContactChanged: the user's former address
	Phone       string    // of a ContactChanged: the user's former number
	LockedUntil time.Time // of an AccountLocked; zero: the lock has ended or is not known
}

// NewEnvelope returns the message with its decrypted payload.
func NewEnvelope(m storage.Message, p otp.Payload) Envelope {
	return Envelope{
		Message: m, Username: p.Username, Code: p.Code, ClientID: p.ClientID, UserUID: p.UserUID,
		ExpiresAt: p.ExpiresAt, RequestedAt: p.RequestedAt, Purpose: p.Purpose, URL: p.URL,
		RealmID: p.RealmID, ProfileID: p.ProfileID, LoginID: p.LoginID, SessionID: p.SessionID, Email: p.Email, Phone: p.Phone, LockedUntil: p.LockedUntil,
	}
}
