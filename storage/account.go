package storage

import (
	"encoding/json"
	"time"
)

// Account is an organisation: a buyer or a supplier.
type Account struct {
	UID     string // generated, never changed or reused
	RealmID string
	Kind    UserKind // Buyer or Supplier
	ID      string   // in the vendor dialects; unique for its kind
	Name    string
	Active  bool
	XP      json.RawMessage

	LegalName      string
	RegistrationID string
	ExternalRef    string
	ParentUID      string // UID of the account that it is part of; empty: none

	ValidFrom time.Time // tokens and codes of its users and members issued earlier have ended; see User.ValidFrom

	Version              int64
	CreatedAt, UpdatedAt time.Time
}

// Membership makes a user a member of an account, with roles in it. A user of an
// account is a member of it from the start.
type Membership struct {
	ID         string // in the vendor dialects
	AccountUID string
	UserUID    string
	Roles      []string

	Version              int64
	CreatedAt, UpdatedAt time.Time
}

// Member is a membership with its account. An account-member token is scoped to one
// account.
type Member struct {
	Membership Membership
	Account    Account
}
