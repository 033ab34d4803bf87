package wire

import (
	"time"

	"latchkey/oauth/surface"
	"latchkey/storage"
)

// MessageSenderStatus counts the queued messages of a sender, and its attempts of the last
// hour.
type MessageSenderStatus struct {
	MessageSenderID string
	State           string // "ok", "warning", "failing"; "inactive": it serves nobody
	Queued          int    // messages that are not delivered yet
	OldestQueuedAt  *time.Time
	Accepted        int        // attempts of the last hour that the receiver accepted
	Failed          int        // attempts of the last hour that failed
	FailedInARow    int        // those of them since the last one that was accepted
	LastAcceptedAt  *time.Time // within the last hour
	LastFailedAt    *time.Time // within the last hour
	LastError       *string
	SecretKind      *string // "SigningSecrets" or "SharedKey", which the server can rotate; null: neither
	Secrets         int     // how many of SigningSecrets sign: two while one is being exchanged
}

// MessageSenderStatusFromRecord returns the status of a sender without its secrets.
func MessageSenderStatusFromRecord(state string, s storage.Sender, a storage.SenderActivity) MessageSenderStatus {
	return MessageSenderStatus{
		MessageSenderID: s.ID, State: state, Queued: a.Queued, OldestQueuedAt: surface.Optional(a.OldestQueued),
		Accepted: a.Accepted, Failed: a.Failed, FailedInARow: a.FailedSince,
		LastAcceptedAt: surface.Optional(a.AcceptedAt), LastFailedAt: surface.Optional(a.FailedAt), LastError: surface.Optional(a.Error),
		SecretKind: surface.Optional(SecretKind(s)),
	}
}

// SecretKind returns the member of a sender that holds its secret, if the sender has one of
// its own.
func SecretKind(s storage.Sender) string {
	switch {
	case s.Kind != storage.WebhookSender:
		return ""
	case s.Signature == storage.StandardWebhookSignature:
		return "SigningSecrets"
	case s.DeliveryConfig == "":
		return "SharedKey"
	}
	return ""
}

// SentMessage is a message that a sender is to deliver, or that it has delivered. It never
// has a code.
type SentMessage struct {
	ID          string
	RequestID   *string // null: a test message
	MessageType string
	State       string // "queued", "delivered", "expired", "dead"
	Attempts    int
	LastError   *string
	CreatedAt   time.Time
	NextAt      *time.Time // of the next attempt; null: there is none
	EndedAt     *time.Time
}

// SentMessageFromRecord returns the message as it is shown to administrators.
func SentMessageFromRecord(m storage.Message) SentMessage {
	w := SentMessage{
		ID: m.ID, RequestID: surface.Optional(m.RequestID), MessageType: string(m.Type), State: string(m.State), Attempts: m.Attempts,
		LastError: surface.Optional(m.LastError), CreatedAt: m.CreatedAt, EndedAt: surface.Optional(m.EndedAt),
	}
	if m.State == storage.MessageQueued && m.RequestID != "" {
		w.NextAt = surface.Optional(m.RunAt)
	}
	return w
}

// MessageSenderTest asks for a test message.
type MessageSenderTest struct {
	To          string  // e-mail address of the recipient
	MessageType *string // default: the first type of the sender
	Locale      *string
}

// Validate returns the faults of the request, as found at path.
func (t MessageSenderTest) Validate(path string) Faults {
	c := check{path: path}
	c.required("To", t.To)
	c.email("To", t.To)
	c.text("MessageType", surface.ValueOr(t.MessageType, ""))
	c.text("Locale", surface.ValueOr(t.Locale, ""))
	return c.faults
}

// MessageSenderTestStarted says which message is being sent.
type MessageSenderTestStarted struct{ MessageID string }

// MessageSenderSecret is a new secret of a sender. It is shown once.
type MessageSenderSecret struct {
	Member  string // "SigningSecrets" or "SharedKey"
	Secret  string
	Overlap bool // the former secret signs as well until it is retired
}

// MailPreview is a mail with sample values, in one language.
type MailPreview struct {
	Locale  string // empty: the language of all other users
	Subject string
	Text    string
	HTML    string
}
