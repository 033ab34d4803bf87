package wire

import (
	"encoding/json"
	"time"

	"latchkey/oauth/surface"
	"latchkey/otp"
	"latchkey/storage"
)

// User is a user of a buyer, of a supplier, or an admin user. In OrderCloud the
// names and the e-mail address are required.
type User struct {
	ID            string
	Username      string
	Password      *string `json:",omitempty"` // write only
	FirstName     string
	LastName      string
	Email         string
	Phone         *string
	TermsAccepted *time.Time      // null: not accepted
	Active        *bool           // default true
	XP            json.RawMessage `json:"xp"`

	CompanyID           *string         // read only
	AvailableRoles      []string        `openapi:"nullable"` // ignored in requests; in answers, the roles of the user
	Locale              json.RawMessage // likewise
	DateCreated         *time.Time      // ignored in requests
	LastActive          *time.Time      // last sign-in; accepted for a new user only
	PasswordLastSetDate *time.Time      // ignored in requests
	FailedLoginAttempts int             // ignored in requests

	// EmailVerified is Latchkey's own. It is shown if true. An absent member leaves it as it
	// is. A request that changes the Email of a user cannot set it.
	EmailVerified *bool `json:",omitempty"` // extra: the Email is known to be the user's

	PasswordProfileID *string `json:",omitempty"` // extra: of the login with the Username; default "default"
}

// Validate returns every fault of the user, as found at path.
func (u User) Validate(path string) Faults {
	c := check{path: path}
	c.id("ID", u.ID)
	c.required("Username", u.Username)
	c.visible("Username", u.Username)
	c.secret("Password", u.Password, "leave it out for a user without a permanent password")
	c.text("FirstName", u.FirstName)
	c.text("LastName", u.LastName)
	if u.Email != "" {
		c.email("Email", u.Email)
	}
	c.text("Phone", surface.ValueOr(u.Phone, ""))
	c.xp(u.XP)
	c.reference("PasswordProfileID", u.PasswordProfileID)
	return c.faults
}

// ToRecord returns base with the members of the user. The name in full, which /v1
// does not have, is removed if the other names change.
func (u User) ToRecord(base storage.User) storage.User {
	r := base
	if u.FirstName != r.FirstName || u.LastName != r.LastName {
		r.Name = ""
	}
	r.ID, r.FirstName, r.LastName = u.ID, u.FirstName, u.LastName
	r.Email, r.EmailKey = u.Email, otp.NormalizeUsername(u.Email)
	r.VerifiedEmail = u.verifiedEmail(base)
	r.Phone = surface.ValueOr(u.Phone, "")
	r.TermsAccepted = surface.ValueOr(u.TermsAccepted, time.Time{}).UTC()
	r.Active = surface.ValueOr(u.Active, true)
	r.XP = u.XP
	return r
}

// verifiedEmail returns the address that is verified after the request. Clients send back
// what they have read, with another address in it. So a change of the address ends the
// verification, whatever else the request says.
func (u User) verifiedEmail(base storage.User) string {
	key := otp.NormalizeUsername(u.Email)
	switch {
	case base.EmailKey != "" && base.EmailKey != key:
		return ""
	case u.EmailVerified == nil:
		return base.VerifiedEmail
	case *u.EmailVerified:
		return key
	}
	return ""
}

// ToLogin returns base with the username.
func (u User) ToLogin(base storage.Login) storage.Login {
	r := base
	r.ProfileID = storage.PasswordProfileID(surface.ValueOr(u.PasswordProfileID, storage.DefaultProfileID))
	r.Username, r.UsernameKey = u.Username, otp.NormalizeUsername(u.Username)
	if base.ID == "" {
		r.LastActiveAt = surface.ValueOr(u.LastActive, time.Time{}).UTC()
	}
	return r
}

// UserFromRecord returns the user as the wire shows it. companyID is the ID of its
// buyer or supplier, empty for admin users. It does not set AvailableRoles and Locale.
func UserFromRecord(r storage.User, l storage.Login, companyID string) User {
	u := User{
		ID:                  r.ID,
		Username:            l.Username,
		FirstName:           r.FirstName,
		LastName:            r.LastName,
		Email:               r.Email,
		Phone:               surface.Optional(r.Phone),
		Active:              &r.Active,
		XP:                  present(r.XP),
		CompanyID:           surface.Optional(companyID),
		DateCreated:         surface.Optional(r.CreatedAt),
		TermsAccepted:       surface.Optional(r.TermsAccepted),
		LastActive:          surface.Optional(l.LastActiveAt),
		PasswordLastSetDate: surface.Optional(l.PasswordSetAt),
		FailedLoginAttempts: l.Lockout.Failures,
	}
	if r.EmailVerified() {
		u.EmailVerified = new(true)
	}
	if l.ProfileID != storage.DefaultProfileID {
		u.PasswordProfileID = surface.Optional(l.ProfileID)
	}
	return u
}
