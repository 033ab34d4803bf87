package storage

import (
	"encoding/json"
	"slices"
	"time"
)

// CodeRequest is somebody's wish for one-time passwords, for codes to renew a
// password or for forgotten usernames, written down before anybody looks
// whether the user exists, so that asking costs the same for everyone. A worker
// resolves it into codes and messages.
type CodeRequest struct {
	ID        string
	Type      MessageType // what is to be sent
	ClientID  string      // through which it was asked for; empty: none in particular
	ProfileID string
	Username  string // as asked; may be empty
	Email     string // as asked, or of MessageContactChanged where the user was reached before; may be empty
	Phone     string // of MessageContactChanged: where the user was reached before; may be empty
	UserUID   string // whom an invitation or MessageContactChanged is for; else empty
	Purpose   Purpose
	URL       string // where a password is renewed, for the message to tell
	TraceID   string // correlation id of the HTTP request
	Source    string // network address of the caller; empty: unknown. Workers take turns over them
	CreatedAt time.Time
	ExpiresAt time.Time // of the codes it yields
}

// RequestNames is a request with the names it goes by, in the form of
// otp.NormalizeUsername. With a UsernameKey the EmailKey is not looked at.
type RequestNames struct {
	ID          string
	ProfileID   string
	UsernameKey string
	EmailKey    string
}

// WaitingRequests counts the requests of one source and client that wait for a
// worker.
type WaitingRequests struct {
	Source   string
	ClientID string
	Count    int
	New      int       // of them, those that began to wait after a given time
	Since    time.Time // when the first of them began to wait
}

// Issuance is what a request was resolved into: all of it takes effect in one
// transaction, together with the end of the request, or nothing does.
//
// A login whose budgets are used up gets nothing, and its older code stays.
type Issuance struct {
	RequestID     string
	Now           time.Time
	Codes         []IssuedCode
	Verifications []IssuedVerification
	Notices       []IssuedNotice
	Charges       map[string][]Charge // by login ID: the budgets that its messages are charged to
	ChargedAt     time.Time           // the time that they are charged for
	Postpone      bool                // a request that a used-up budget stops is not ended, but waits for the budget
}

// Limited says which logins of an Issuance got nothing, by login ID, and which
// budget stopped them.
type Limited map[string]*LimitError

// IssuedNotice queues the messages to a login that carry no code.
type IssuedNotice struct {
	LoginID  string
	Messages []Message
}

// IssuedCode replaces a login's code and queues the messages that carry it.
type IssuedCode struct {
	LoginID  string
	Code     Code
	Messages []Message
}

// IssuedVerification replaces a login's verification code and queues the
// messages that carry it.
type IssuedVerification struct {
	Code     VerificationCode
	Messages []Message
}

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

// SenderKind is how a sender delivers.
type SenderKind string

// The kinds of sender.
const (
	WebhookSender SenderKind = "webhook"
	ConsoleSender SenderKind = "console"
	SMTPSender    SenderKind = "smtp"
)

// SignatureScheme is how a webhook's calls are signed.
type SignatureScheme string

// The schemes of signature. The empty one is that of the sender's dialect.
const (
	DialectSignature         SignatureScheme = ""
	StandardWebhookSignature SignatureScheme = "standard-webhooks"
)

// Dialect is in whose words a webhook is told.
type Dialect string

// The dialects of webhooks.
const (
	OrderCloudDialect  Dialect = "" // message sender
	ElasticPathDialect Dialect = "elasticpath"
)

// TLSMode is how a connection to a mail server is protected.
type TLSMode string

// The modes of TLS. All but PlainSMTP refuse to send without it.
const (
	RequiredTLS TLSMode = "required" // implicit on port 465, by STARTTLS on any other
	StartTLS    TLSMode = "starttls"
	ImplicitTLS TLSMode = "implicit"
	PlainSMTP   TLSMode = "none"
)

// SMTPSettings say how a sender of kind smtp sends mail.
type SMTPSettings struct {
	Host     string
	Port     int
	TLS      TLSMode
	Username string // empty: no authentication
	Password Sealed
	From     string // an address, with or without a name in front
	SiteName string // as mails name the site; empty: the server's own
}

// Sender says where messages of which types go.
type Sender struct {
	ID             string
	RealmID        string
	Name           string
	Description    string
	Active         bool // messages go to it; an inactive one serves nobody
	Dialect        Dialect
	Kind           SenderKind
	Types          []MessageType
	DeliveryConfig string // id of the DeliveryConfig whose endpoint and secret it uses; empty: its own
	URL            string
	SharedKey      Sealed
	Signature      SignatureScheme
	SigningSecrets Sealed          // of Standard Webhooks: a JSON list of one or two, newest first
	PublicJWK      json.RawMessage // the receiver's; codes are encrypted to it. Empty: they are not
	SMTP           SMTPSettings    // of kind smtp
	ElevatedRoles  []string
	AllowAllBuyers bool // no assignment needed for users of buyers
	AllowSeller    bool // assigned to admin users
	AccountUIDs    []string
	XP             json.RawMessage
	Version        int64
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// Serves tells whether the sender is to deliver messages of type t to users of
// the account (or, for an empty account, to admin users).
func (s *Sender) Serves(t MessageType, u User) bool {
	return s.Active && s.Handles(t) && s.assigned(u)
}

// Handles reports whether the sender is for messages of the type. A sender that
// writes its messages itself, and brings codes, also tells of a changed address
// without being told to: it must not depend on an old configuration whether the
// former address hears of that. A webhook gets no message that it does not name.
func (s *Sender) Handles(t MessageType) bool {
	if slices.Contains(s.Types, t) {
		return true
	}
	return t == MessageContactChanged && s.Kind != WebhookSender &&
		(slices.Contains(s.Types, MessageOneTimePassword) || slices.Contains(s.Types, MessageForgottenPassword))
}

func (s *Sender) assigned(u User) bool {
	if u.Kind == Admin {
		return s.AllowSeller
	}
	if u.Kind == Buyer && s.AllowAllBuyers {
		return true
	}
	for _, uid := range s.AccountUIDs {
		if uid == u.AccountUID {
			return true
		}
	}
	return false
}

// DeliveryConfig is an endpoint with its secret that message senders share
// (OrderCloud: integrations/deliveryconfig).
type DeliveryConfig struct {
	ID                   string
	RealmID              string
	Name                 string
	Enabled              bool // else its senders serve nobody
	Target               DeliveryTarget
	URL                  string
	Secret               Sealed
	CustomAuthHeaderName string
	CustomAuthHeader     Sealed // its value

	Version              int64
	CreatedAt, UpdatedAt time.Time
}

// DeliveryTarget is which of OrderCloud's two kinds of target a DeliveryConfig
// has.
type DeliveryTarget string

// The delivery targets.
const (
	MessageSenderTarget DeliveryTarget = "MessageSender"
	HTTPTarget          DeliveryTarget = "Http"
)

// Sealed is a secret encrypted under the key-encryption key of that id.
type Sealed struct {
	KeyID string
	Data  []byte
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
