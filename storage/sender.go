package storage

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// SenderKind is the transport of a sender.
type SenderKind string

// The kinds of sender.
const (
	WebhookSender SenderKind = "webhook"
	ConsoleSender SenderKind = "console"
	SMTPSender    SenderKind = "smtp"
	// ClientSender is a client that is notified of logouts; see LogoutSender.
	ClientSender SenderKind = "client"
)

// SignatureScheme is how the calls of a webhook are signed.
type SignatureScheme string

// The signature schemes. The empty one is the scheme of the sender's dialect.
const (
	DialectSignature         SignatureScheme = ""
	StandardWebhookSignature SignatureScheme = "standard-webhooks"
)

// Dialect is the vendor whose payload format a webhook receives.
type Dialect string

// The webhook dialects.
const (
	OrderCloudDialect  Dialect = "" // message sender
	ElasticPathDialect Dialect = "elasticpath"
)

// TLSMode says how a connection to a mail server uses TLS.
type TLSMode string

// The TLS modes. All except PlainSMTP refuse to send without TLS.
const (
	RequiredTLS TLSMode = "required" // implicit on port 465, by STARTTLS on any other
	StartTLS    TLSMode = "starttls"
	ImplicitTLS TLSMode = "implicit"
	PlainSMTP   TLSMode = "none"
)

// SMTPSettings are the mail server settings of a sender of kind smtp.
type SMTPSettings struct {
	Host     string
	Port     int
	TLS      TLSMode
	Username string // empty: no authentication
	Password Sealed
	From     string // sender address, optionally with a display name
	SiteName string // name of the site in mails; empty: the server's setting
}

// Sender says where messages of some types are delivered.
type Sender struct {
	ID             string
	RealmID        string
	Name           string
	Description    string
	Active         bool // false: it delivers no messages
	Dialect        Dialect
	Kind           SenderKind
	Types          []MessageType
	DeliveryConfig string // ID of the DeliveryConfig whose endpoint and secret it uses; empty: URL and SharedKey
	URL            string
	SharedKey      Sealed
	Signature      SignatureScheme
	SigningSecrets Sealed          // for StandardWebhookSignature: a JSON list of one or two secrets, newest first
	PublicJWK      json.RawMessage // key of the receiver that codes are encrypted to; empty: they are not encrypted
	SMTP           SMTPSettings    // for kind smtp
	ElevatedRoles  []string
	AllowAllBuyers bool // serves users of all buyers
	AllowSeller    bool // serves admin users
	AccountUIDs    []string
	XP             json.RawMessage
	Version        int64
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// logoutSenderPrefix begins the IDs of senders that stand for clients. Other senders have
// no colon in their ID.
const logoutSenderPrefix = "client:"

// LogoutSender returns the sender that stands for the client in messages of the type
// MessageLogout. It is not stored: it is active while the client is, and has a URI for
// them.
func LogoutSender(c *Client) Sender {
	return Sender{
		ID: logoutSenderPrefix + c.ID, Name: c.Name, Active: c.Active && c.BackchannelLogoutURI != "",
		Kind: ClientSender, URL: c.BackchannelLogoutURI,
	}
}

// LogoutClientID returns the ID of the client that a sender stands for. ok is false if it
// stands for none.
func LogoutClientID(senderID string) (id string, ok bool) {
	return strings.CutPrefix(senderID, logoutSenderPrefix)
}

// Serves reports whether the sender delivers messages of type t to the user.
func (s *Sender) Serves(t MessageType, u User) bool {
	return s.Active && s.Handles(t) && s.assigned(u)
}

// Handles reports whether the sender delivers messages of type t. Senders of kind
// smtp and console that deliver codes also deliver MessageContactChanged without
// naming it, so that the former address is notified under older configurations
// too. A webhook gets only the types that it names.
func (s *Sender) Handles(t MessageType) bool {
	if slices.Contains(s.Types, t) {
		return true
	}
	return t == MessageContactChanged && s.Kind != WebhookSender &&
		(slices.Contains(s.Types, MessageOneTimePassword) || slices.Contains(s.Types, MessageForgottenPassword))
}

// assigned reports whether the sender serves users like u.
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

// DeliveryConfig is an endpoint with a secret that several message senders share
// (OrderCloud: integrations/deliveryconfig).
type DeliveryConfig struct {
	ID                   string
	RealmID              string
	Name                 string
	Enabled              bool // false: its senders deliver no messages
	Target               DeliveryTarget
	URL                  string
	Secret               Sealed
	CustomAuthHeaderName string
	CustomAuthHeader     Sealed // value of that header

	Version              int64
	CreatedAt, UpdatedAt time.Time
}

// DeliveryTarget is the kind of target of a DeliveryConfig, as OrderCloud names it.
type DeliveryTarget string

// The delivery targets.
const (
	MessageSenderTarget DeliveryTarget = "MessageSender"
	HTTPTarget          DeliveryTarget = "Http"
)
