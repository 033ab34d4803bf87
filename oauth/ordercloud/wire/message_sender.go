package wire

import (
	"encoding/json"
	"slices"
	"strings"

	"latchkey/oauth/surface"
	"latchkey/otp"
	"latchkey/otp/deliver"
	"latchkey/storage"
)

// Values of Signature.
const (
	signatureOrderCloud = "oc-hash"
	signatureStandard   = string(storage.StandardWebhookSignature)
)

const maxSigningSecrets = 2 // the new one and the old one during a change

// messageTypes are OrderCloud's message types. Only OneTimePassword,
// ForgottenPassword, ForgottenUsername and NewUserInvitation are sent here.
const messageTypes = "OrderDeclined OrderSubmitted ShipmentCreated ForgottenPassword ForgottenUsername" +
	" OrderSubmittedForYourApproval OrderSubmittedForApproval OrderApproved" +
	" OrderSubmittedForYourApprovalHasBeenApproved OrderSubmittedForYourApprovalHasBeenDeclined" +
	" NewUserInvitation OrderReturnDeclined OrderReturnSubmitted OrderReturnSubmittedForYourApproval" +
	" OrderReturnSubmittedForApproval OrderReturnApproved" +
	" OrderReturnSubmittedForYourApprovalHasBeenApproved OrderReturnSubmittedForYourApprovalHasBeenDeclined" +
	" OrderReturnCompleted SubscriptionReminder ProductCollectionInvitationAccepted" +
	" ProductCollectionInvitationDeclined OneTimePassword"

// furtherMessageTypes are Latchkey's own. They have another member, because
// OrderCloud's .NET library fails on message types that it does not know.
const furtherMessageTypes = string(storage.MessageAccountLocked + " " + storage.MessageContactChanged)

// MessageSender is OrderCloud's message sender. URL and SharedKey are the
// address of its webhook and the key that signs its calls. With DeliveryConfigID, both are
// those of the delivery config.
type MessageSender struct {
	ID               string
	Name             string
	MessageTypes     []string
	Description      *string
	URL              *string         // of the webhook; {messagetype} stands for the type in lower case
	ElevatedRoles    []string        // added to those of the recipient in the token of a message
	SharedKey        *string         // write only
	XP               json.RawMessage `json:"xp"`
	DeliveryConfigID *string         // delivery config to use instead of URL and SharedKey
	AllowAllBuyers   bool            // it serves the users of all buyers

	FurtherMessageTypes []string `json:",omitempty"` // extra: "AccountLocked", "ContactChanged"; absent: the stored ones

	Active         *bool           `json:",omitempty"` // extra: default true; false: it serves nobody
	Kind           *string         `json:",omitempty"` // extra: "webhook" (default), "smtp" or "console"
	Signature      *string         `json:",omitempty"` // extra: "oc-hash" (default) or "standard-webhooks"
	SigningSecrets []string        `json:",omitempty"` // extra, write only: one or two, newest first
	PublicJWK      json.RawMessage `json:",omitempty"` // extra: codes and tokens are encrypted to it
	SMTP           *SMTP           `json:",omitempty"` // extra: of kind "smtp"
}

// Kept says which parts of a sender are stored already and need not be sent again.
type Kept struct{ SharedKey, SigningSecrets, SMTPPassword, FurtherMessageTypes bool }

// KeptIn returns which parts a record of ToRecord has.
func KeptIn(r storage.Sender) Kept {
	return Kept{
		SharedKey:      len(r.SharedKey.Data) > 0,
		SigningSecrets: len(r.SigningSecrets.Data) > 0,
		SMTPPassword:   len(r.SMTP.Password.Data) > 0,

		FurtherMessageTypes: len(furtherTypes(r)) > 0,
	}
}

// MessageSenderAssignment lets the sender serve the users of a buyer or supplier
// or, without either, admin users.
type MessageSenderAssignment struct {
	MessageSenderID          string
	BuyerID                  *string
	SupplierID               *string
	UserGroupID              *string // not supported, refused
	MessageConfigName        *string // read only
	MessageConfigDescription *string // read only
}

// Validate returns the faults of the assignment, as found at path.
func (a MessageSenderAssignment) Validate(path string) Faults {
	c := check{path: path}
	c.id("MessageSenderID", a.MessageSenderID)
	c.party(a.BuyerID, a.SupplierID)
	c.noGroups(a.UserGroupID)
	return c.faults
}

// Validate returns every fault of the sender, as found at path.
func (s MessageSender) Validate(path string, kept Kept) Faults {
	c := check{path: path}
	c.id("ID", s.ID)
	c.required("Name", s.Name)
	c.text("Description", surface.ValueOr(s.Description, ""))
	if len(s.MessageTypes)+len(s.FurtherMessageTypes) == 0 && (s.FurtherMessageTypes != nil || !kept.FurtherMessageTypes) {
		c.fail("MessageTypes", "is required")
	}
	// Files for earlier versions have the further types in MessageTypes.
	c.messageTypes("MessageTypes", s.MessageTypes, messageTypes+" "+furtherMessageTypes)
	c.messageTypes("FurtherMessageTypes", s.FurtherMessageTypes, furtherMessageTypes)
	c.roles("ElevatedRoles", s.ElevatedRoles)
	c.xp(s.XP)
	c.secret("SharedKey", s.SharedKey, "leave it out to keep the stored one")
	c.reference("DeliveryConfigID", s.DeliveryConfigID)
	s.validateKind(&c, kept)
	return c.faults
}

// messageTypes checks a list of message types. Spaces separate the known ones.
func (c *check) messageTypes(member string, types []string, known string) {
	for i, t := range types {
		if !slices.Contains(strings.Fields(known), t) {
			c.fail(Index(member, i), "%q is not a message type", t)
		}
	}
}

func (s MessageSender) validateKind(c *check, kept Kept) {
	switch s.kind() {
	case storage.ConsoleSender:
		if s.hasWebhook() {
			c.fail("Kind", "a console sender has neither URL nor SharedKey nor other settings of a webhook")
		}
	case storage.SMTPSender:
		if s.hasWebhook() {
			c.fail("Kind", "an smtp sender has neither URL nor SharedKey nor other settings of a webhook")
		}
		if s.SMTP == nil {
			c.fail("SMTP", "is required")
			return
		}
		s.SMTP.validate(c, kept.SMTPPassword)
		return
	case storage.WebhookSender:
		s.validateWebhook(c, kept)
	default:
		c.fail("Kind", "must be one of webhook, smtp, console")
	}
	if s.SMTP != nil {
		c.fail("SMTP", "is for senders of kind smtp")
	}
}

func (s MessageSender) hasWebhook() bool {
	return surface.ValueOr(s.URL, "") != "" || s.SharedKey != nil || s.DeliveryConfigID != nil || s.Signature != nil || s.SigningSecrets != nil || present(s.PublicJWK) != nil
}

func (s MessageSender) validateWebhook(c *check, kept Kept) {
	switch {
	case surface.ValueOr(s.URL, "") != "":
		c.url("URL", *s.URL)
	case s.DeliveryConfigID == nil:
		c.failAs("MessageSenders.UrlRequired", "URL", "Url is required when no delivery configuration is specified.")
	}
	signature := surface.ValueOr(s.Signature, signatureOrderCloud)
	c.oneOf("Signature", signature, signatureOrderCloud, signatureStandard)
	switch {
	case signature != signatureStandard:
		if s.SharedKey == nil && !kept.SharedKey && s.DeliveryConfigID == nil {
			c.failAs("MessageSenders.SharedKeyRequired", "SharedKey", "SharedKey is required when no delivery configuration is specified.")
		}
		if s.SigningSecrets != nil {
			c.fail("SigningSecrets", "is for Signature %s", signatureStandard)
		}
	case len(s.SigningSecrets) > maxSigningSecrets:
		c.fail("SigningSecrets", "has more than %d secrets", maxSigningSecrets)
	case len(s.SigningSecrets) == 0 && (s.SigningSecrets != nil || !kept.SigningSecrets):
		c.fail("SigningSecrets", "is required")
	}
	for i, secret := range s.SigningSecrets {
		if _, err := deliver.ParseSigningSecret(secret); err != nil {
			c.fail(Index("SigningSecrets", i), "%v", err)
		}
	}
	if jwk := present(s.PublicJWK); jwk != nil {
		if _, err := otp.ParseReceiverKey(jwk); err != nil {
			c.fail("PublicJWK", "%v", err)
		}
	}
}

func (s MessageSender) kind() storage.SenderKind {
	return storage.SenderKind(surface.ValueOr(s.Kind, string(storage.WebhookSender)))
}

// ToRecord returns base with the members of the sender. SealSecrets adds the
// secrets; assignments stay. A stored secret stays only if the sender still uses
// it.
func (s MessageSender) ToRecord(base storage.Sender) storage.Sender {
	r := base
	r.ID, r.Name, r.Description = s.ID, s.Name, surface.ValueOr(s.Description, "")
	r.Active = surface.ValueOr(s.Active, true)
	r.Kind, r.URL, r.DeliveryConfig = s.kind(), surface.ValueOr(s.URL, ""), surface.ValueOr(s.DeliveryConfigID, "")
	r.Signature = storage.DialectSignature
	if surface.ValueOr(s.Signature, "") == signatureStandard {
		r.Signature = storage.StandardWebhookSignature
	}
	if r.Kind != storage.WebhookSender {
		r.SharedKey = storage.Sealed{}
	}
	if r.Signature != storage.StandardWebhookSignature {
		r.SigningSecrets = storage.Sealed{}
	}
	r.PublicJWK = present(s.PublicJWK)
	r.SMTP = s.SMTP.toRecord(base.SMTP)
	further := s.FurtherMessageTypes
	if further == nil {
		further = furtherTypes(base)
	}
	r.Types = nil
	for _, t := range surface.SortedSet(s.MessageTypes, further) {
		r.Types = append(r.Types, storage.MessageType(t))
	}
	r.ElevatedRoles = surface.SortedSet(s.ElevatedRoles)
	r.AllowAllBuyers = s.AllowAllBuyers
	r.XP = s.XP
	return r
}

// furtherTypes returns the sender's message types that OrderCloud does not have.
func furtherTypes(r storage.Sender) []string {
	var further []string
	for _, t := range r.Types {
		if slices.Contains(strings.Fields(furtherMessageTypes), string(t)) {
			further = append(further, string(t))
		}
	}
	return further
}

// MessageSenderFromRecord returns the sender as the wire shows it, without secrets.
func MessageSenderFromRecord(r storage.Sender) MessageSender {
	s := MessageSender{
		ID:             r.ID,
		Name:           r.Name,
		MessageTypes:   []string{},
		Description:    surface.Optional(r.Description),
		URL:            surface.Optional(r.URL),
		ElevatedRoles:  surface.OrEmpty(surface.SortedSet(r.ElevatedRoles)),
		XP:             present(r.XP),
		AllowAllBuyers: r.AllowAllBuyers,
		Active:         &r.Active,
	}
	s.DeliveryConfigID = surface.Optional(r.DeliveryConfig)
	s.FurtherMessageTypes = furtherTypes(r)
	for _, t := range r.Types {
		if !slices.Contains(s.FurtherMessageTypes, string(t)) {
			s.MessageTypes = append(s.MessageTypes, string(t))
		}
	}
	if r.Kind != storage.WebhookSender {
		s.Kind = surface.Optional(string(r.Kind))
	}
	s.Signature = surface.Optional(string(r.Signature))
	s.PublicJWK = present(r.PublicJWK)
	s.SMTP = smtpFromRecord(r)
	return s
}
