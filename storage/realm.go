package storage

import "time"

// DefaultRealmID and DefaultProfileID name the realm and the password profile
// that every new database has.
const (
	DefaultRealmID   = "default"
	DefaultProfileID = "default"
)

// Realm is a namespace of users (OrderCloud: marketplace; Elastic Path:
// authentication realm).
type Realm struct {
	ID   string
	Name string

	// The settings of sign-ins by account members (Elastic Path: account
	// authentication settings).
	SelfSignup        bool           // whoever comes may make a login
	AutoCreateAccount bool           // each new member gets an account of its own
	SelfManagement    SelfManagement // what a member may change about itself
	AccountTokenTTL   time.Duration  // of account-member tokens; 0: a day

	RedirectURIs         []string
	DuplicateEmailPolicy string // "allowed", "api_only" or "disallowed"; kept for the dialect

	Version              int64
	CreatedAt, UpdatedAt time.Time
}

// SelfManagement is what an account member may change about itself with an
// account-member token.
type SelfManagement string

// The settings of SelfManagement, by their Elastic Path names.
const (
	SelfManagementDisabled SelfManagement = "disabled"
	SelfManagementUpdate   SelfManagement = "update_only"
)
