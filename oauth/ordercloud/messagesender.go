package ordercloud

import (
	"encoding/json"
	"strings"

	"latchkey/storage"
)

// SharedKeyContext is what a sender's shared key is sealed with as additional
// data, so that no other sealed secret can pass for one.
const SharedKeyContext = "message_sender.shared_key"

// messageTypes are those of OrderCloud. Only OneTimePassword is ever sent.
const messageTypes = "OrderDeclined OrderSubmitted ShipmentCreated ForgottenPassword ForgottenUsername" +
	" OrderSubmittedForYourApproval OrderSubmittedForApproval OrderApproved" +
	" OrderSubmittedForYourApprovalHasBeenApproved OrderSubmittedForYourApprovalHasBeenDeclined" +
	" NewUserInvitation OrderReturnDeclined OrderReturnSubmitted OrderReturnSubmittedForYourApproval" +
	" OrderReturnSubmittedForApproval OrderReturnApproved" +
	" OrderReturnSubmittedForYourApprovalHasBeenApproved OrderReturnSubmittedForYourApprovalHasBeenDeclined" +
	" OrderReturnCompleted SubscriptionReminder ProductCollectionInvitationAccepted" +
	" ProductCollectionInvitationDeclined OneTimePassword"

// MessageSender is OrderCloud's message sender in the form that carries URL
// and SharedKey itself.
type MessageSender struct {
	ID               string
	Name             string
	MessageTypes     []string
	Description      *string
	URL              *string
	ElevatedRoles    []string        // added to the recipient's in the token that a message carries
	SharedKey        *string         // write only
	XP               json.RawMessage `json:"xp"`
	DeliveryConfigID *string         // not supported, refused
	AllowAllBuyers   bool

	Kind *string `json:",omitempty"` // extra: "webhook" (default) or "console"
}

// MessageSenderAssignment lets the sender serve the users of a buyer or
// supplier or, without any party, admin users.
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

// Validate returns every fault of the sender, as found at path. hasKey tells
// that a shared key is stored already, so none need be sent.
func (s MessageSender) Validate(path string, hasKey bool) Faults {
	c := check{path: path}
	c.id("ID", s.ID)
	c.required("Name", s.Name)
	c.text("Description", orDefault(s.Description, ""))
	if len(s.MessageTypes) == 0 {
		c.fail("MessageTypes", "is required")
	}
	for i, t := range s.MessageTypes {
		if t == "" || !strings.Contains(" "+messageTypes+" ", " "+t+" ") {
			c.fail(Index("MessageTypes", i), "%q is not a message type", t)
		}
	}
	c.roles("ElevatedRoles", s.ElevatedRoles)
	c.xp(s.XP)
	c.secret("SharedKey", s.SharedKey, "leave it out to keep the stored one")
	if orDefault(s.DeliveryConfigID, "") != "" {
		c.fail("DeliveryConfigID", "is not supported; give URL and SharedKey")
	}
	s.validateKind(&c, hasKey)
	return c.faults
}

func (s MessageSender) validateKind(c *check, hasKey bool) {
	switch s.kind() {
	case storage.ConsoleSender:
		if orDefault(s.URL, "") != "" || s.SharedKey != nil {
			c.fail("Kind", "a console sender has neither URL nor SharedKey")
		}
	case storage.WebhookSender:
		if orDefault(s.URL, "") == "" {
			c.fail("URL", "is required")
		} else {
			c.url("URL", *s.URL)
		}
		if s.SharedKey == nil && !hasKey {
			c.fail("SharedKey", "is required")
		}
	default:
		c.fail("Kind", "must be one of webhook, console")
	}
}

func (s MessageSender) kind() storage.SenderKind {
	return storage.SenderKind(orDefault(s.Kind, string(storage.WebhookSender)))
}

// ToRecord returns base with everything the sender says except the shared key,
// which the caller seals (see SharedKeyContext), and the assignments.
func (s MessageSender) ToRecord(base storage.Sender) storage.Sender {
	r := base
	r.ID, r.Name, r.Description = s.ID, s.Name, orDefault(s.Description, "")
	r.Kind, r.URL = s.kind(), orDefault(s.URL, "")
	if r.Kind != storage.WebhookSender {
		r.SharedKey = storage.Sealed{}
	}
	r.Types = nil
	for _, t := range set(s.MessageTypes) {
		r.Types = append(r.Types, storage.MessageType(t))
	}
	r.ElevatedRoles = set(s.ElevatedRoles)
	r.AllowAllBuyers = s.AllowAllBuyers
	r.XP = s.XP
	return r
}

// MessageSenderFromRecord returns the sender as the wire shows it: without its
// shared key.
func MessageSenderFromRecord(r storage.Sender) MessageSender {
	s := MessageSender{
		ID:             r.ID,
		Name:           r.Name,
		MessageTypes:   []string{},
		Description:    optional(r.Description),
		URL:            optional(r.URL),
		ElevatedRoles:  listed(set(r.ElevatedRoles)),
		XP:             present(r.XP),
		AllowAllBuyers: r.AllowAllBuyers,
	}
	for _, t := range r.Types {
		s.MessageTypes = append(s.MessageTypes, string(t))
	}
	if r.Kind != storage.WebhookSender {
		s.Kind = optional(string(r.Kind))
	}
	return s
}
