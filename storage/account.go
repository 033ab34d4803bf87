package storage

import (
	"encoding/json"
	"time"
)

// Account is an organisation: a buyer or a supplier.
type Account struct {
	UID     string // internal, generated
	RealmID string
	Kind    UserKind // Buyer or Supplier
	ID      string   // in the dialects; unique for its kind
	Name    string
	Active  bool
	XP      json.RawMessage

	LegalName      string
	RegistrationID string
	ExternalRef    string
	ParentUID      string // of the account it is part of; empty: none

	ValidFrom time.Time // as User.ValidFrom, for its users and members

	Version              int64
	CreatedAt, UpdatedAt time.Time
}

// Membership makes a user a member of an account, with roles there. A user who
// belongs to an account is a member of it from the start.
type Membership struct {
	ID         string // in the dialects
	AccountUID string
	UserUID    string
	Roles      []string

	Version              int64
	CreatedAt, UpdatedAt time.Time
}

// Member is a membership with its account: what an account-member token is
// scoped to.
type Member struct {
	Membership Membership
	Account    Account
}
