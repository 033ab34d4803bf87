package storage

import (
	"encoding/json"
	"slices"
	"time"
)

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
