package storage

import "time"

// MessageType names what a message tells, in OrderCloud's words.
type MessageType string

// The message types that exist here.
const (
	MessageOneTimePassword   MessageType = "OneTimePassword"
	MessageForgottenPassword MessageType = "ForgottenPassword"
	MessageForgottenUsername MessageType = "ForgottenUsername"
	MessageNewUserInvitation MessageType = "NewUserInvitation"
	MessageAccountLocked     MessageType = "AccountLocked"
	// MessageContactChanged goes to the e-mail address and the phone number that
	// the user had before.
	MessageContactChanged MessageType = "ContactChanged"
)

// HasCode reports whether messages of the type carry a code.
func (t MessageType) HasCode() bool {
	switch t {
	case MessageForgottenUsername, MessageAccountLocked, MessageContactChanged:
		return false
	case MessageOneTimePassword, MessageForgottenPassword, MessageNewUserInvitation:
	}
	return true
}

// MessageState is where a message is on its way.
type MessageState string

// The states of a message. Only a queued message has a payload.
const (
	MessageQueued    MessageState = "queued"
	MessageDelivered MessageState = "delivered"
	MessageExpired   MessageState = "expired"
	MessageDead      MessageState = "dead"
)

// Message is one durable delivery to one sender.
type Message struct {
	ID        string // also the idempotency id that every attempt carries
	RequestID string
	CodeID    string // of the code it carries; the store sets it
	SenderID  string
	Type      MessageType
	UserUID   string
	TraceID   string
	Payload   Sealed // wiped when the message leaves the state queued
	State     MessageState
	Attempts  int
	LastError string
	RunAt     time.Time // not before
	ExpiresAt time.Time // not after
	CreatedAt time.Time
	EndedAt   time.Time
}

// Attempt is how one try to deliver a message ended.
type Attempt struct {
	MessageID string
	Number    int          // Message.Attempts of the claim; a lost lease makes it stale
	State     MessageState // MessageQueued: try again at RunAt
	RunAt     time.Time
	Error     string
	BeganAt   time.Time
	Now       time.Time
}
