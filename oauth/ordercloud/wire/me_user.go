package wire

import (
	"encoding/json"
	"time"

	"latchkey/storage"
)

// MeUser is a user as it sees itself. It may change its names, e-mail address,
// phone number, password and xp; the other members are read only.
type MeUser struct {
	ID            string
	Username      string
	Password      *string `json:",omitempty"` // write only
	FirstName     string
	LastName      string
	Email         string
	Phone         *string
	TermsAccepted *time.Time // null: not accepted
	Active        *bool
	XP            json.RawMessage `json:"xp"`

	CompanyID           *string
	AvailableRoles      []string
	Locale              json.RawMessage // always null
	DateCreated         *time.Time
	LastActive          *time.Time // last sign-in
	PasswordLastSetDate *time.Time

	Buyer    *MeBuyer // of a user of a buyer; likewise the next two
	Supplier *MeSupplier
	Seller   *MeSeller

	PasswordProfileID *string `json:",omitempty"` // extra
}

// MeBuyer is the buyer that a user belongs to.
type MeBuyer struct {
	ID               string
	DefaultCatalogID *string // of catalogs, which do not exist here
}

// MeSupplier is the supplier that a user belongs to.
type MeSupplier struct{ ID string }

// MeSeller is the marketplace that an admin user belongs to.
type MeSeller struct{ ID string }

// MeUserFromRecord returns a user as the wire shows it to itself. companyID is the
// ID of its buyer or supplier, empty for an admin user and for a user
// without a company of its own.
func MeUserFromRecord(r storage.User, l storage.Login, companyID string, roles []string) MeUser {
	u := UserFromRecord(r, l, companyID)
	m := MeUser{
		ID: u.ID, Username: u.Username, FirstName: u.FirstName, LastName: u.LastName, Email: u.Email,
		Phone: u.Phone, Active: u.Active, XP: u.XP, CompanyID: u.CompanyID, AvailableRoles: roles,
		TermsAccepted: u.TermsAccepted, LastActive: u.LastActive, DateCreated: u.DateCreated,
		PasswordLastSetDate: u.PasswordLastSetDate, PasswordProfileID: u.PasswordProfileID,
	}
	switch {
	case r.Kind == storage.Admin:
		m.Seller = &MeSeller{ID: r.RealmID}
	case companyID == "":
	case r.Kind == storage.Supplier:
		m.Supplier = &MeSupplier{ID: companyID}
	default:
		m.Buyer = &MeBuyer{ID: companyID}
	}
	return m
}

// ToUser returns the shape in which an administrator would send the same user.
func (m MeUser) ToUser(active bool) User {
	return User{
		ID: m.ID, Username: m.Username, Password: m.Password, FirstName: m.FirstName, LastName: m.LastName,
		Email: m.Email, Phone: m.Phone, TermsAccepted: m.TermsAccepted, Active: &active, XP: m.XP, PasswordProfileID: m.PasswordProfileID,
	}
}
