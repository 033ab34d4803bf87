package storage

import "time"

// DefaultRealmID and DefaultProfileID are the IDs of the realm and of the password
// profile that a new database contains.
const (
	DefaultRealmID   = "default"
	DefaultProfileID = "default"
)

// Realm is a namespace of users (OrderCloud: marketplace; Elastic Path:
// authentication realm).
type Realm struct {
	ID   string
	Name string

	// Settings for sign-ins of account members (Elastic Path: account
	// authentication settings).
	SelfSignup        bool           // anybody may create a login
	AutoCreateAccount bool           // an account is created for each new member
	SelfManagement    SelfManagement // what a member may change about itself
	AccountTokenTTL   time.Duration  // lifetime of account management tokens; 0: a day

	RedirectURIs         []string
	DuplicateEmailPolicy string // "allowed", "api_only" or "disallowed"; stored for the dialect and not enforced

	Version              int64
	CreatedAt, UpdatedAt time.Time
}

// SelfManagement says what an account member may change about itself with an
// account management token.
type SelfManagement string

// The values of SelfManagement, as Elastic Path names them.
const (
	SelfManagementDisabled SelfManagement = "disabled"
	SelfManagementUpdate   SelfManagement = "update_only"
)
