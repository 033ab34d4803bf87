package storage

import "time"

// MessageType is the type of a message, as OrderCloud names it.
type MessageType string

// The message types. AccountLocked, ContactChanged and Logout do not exist in
// OrderCloud.
const (
	MessageOneTimePassword   MessageType = "OneTimePassword"
	MessageForgottenPassword MessageType = "ForgottenPassword"
	MessageForgottenUsername MessageType = "ForgottenUsername"
	MessageNewUserInvitation MessageType = "NewUserInvitation"
	MessageAccountLocked     MessageType = "AccountLocked"
	// MessageContactChanged goes to the e-mail address and the phone number that
	// the user had before.
	MessageContactChanged MessageType = "ContactChanged"
	// MessageLogout notifies a client that a session has ended (OpenID Connect
	// Back-Channel Logout 1.0). It goes to the client and not to the user.
	MessageLogout MessageType = "Logout"
)

// HasCode reports whether messages of the type carry a code.
func (t MessageType) HasCode() bool {
	switch t {
	case MessageForgottenUsername, MessageAccountLocked, MessageContactChanged, MessageLogout:
		return false
	case MessageOneTimePassword, MessageForgottenPassword, MessageNewUserInvitation:
	}
	return true
}

// MessageState is the delivery state of a message.
type MessageState string

// The states of a message. Only a queued message has a payload.
const (
	MessageQueued    MessageState = "queued"
	MessageDelivered MessageState = "delivered"
	MessageExpired   MessageState = "expired"
	MessageDead      MessageState = "dead"
)

// MessageWithdrawn is Message.LastError of a message whose code was replaced or withdrawn
// before it could be delivered.
const MessageWithdrawn = "its code was replaced or withdrawn"

// Message is a queued or ended delivery through one sender.
type Message struct {
	ID        string // also the idempotency ID that every delivery attempt carries
	RequestID string
	CodeID    string // ID of the code in the message; set by the store
	SenderID  string
	Type      MessageType
	UserUID   string
	TraceID   string
	Payload   Sealed // wiped when the message leaves the state queued
	State     MessageState
	Attempts  int
	LastError string
	RunAt     time.Time // time of the next attempt
	ExpiresAt time.Time // no attempt after this time; when the code was replaced or withdrawn, if that was earlier
	CreatedAt time.Time
	EndedAt   time.Time

	// LeaseUntil is set for a new message if the server that stores it also sends it,
	// without claiming it. Attempts is 1 then. Zero: a worker must claim the message.
	LeaseUntil time.Time
}

// Unsent returns why a message expired without a last attempt.
func (m Message) Unsent() string {
	if m.LastError == MessageWithdrawn {
		return MessageWithdrawn
	}
	return "unsent in time"
}

// Attempt is the result of one attempt to deliver a message.
type Attempt struct {
	MessageID string
	Number    int          // Message.Attempts of the claim; with another number the lease was lost
	State     MessageState // MessageQueued: try again at RunAt
	RunAt     time.Time
	Error     string
	BeganAt   time.Time
	Now       time.Time
}
