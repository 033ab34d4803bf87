package wire

import (
	"time"

	"latchkey/oauth/surface"
	"latchkey/storage"
)

// FoundUser is a user that a search of all companies has found, with the login that it was
// found by. The resource is Latchkey's own.
type FoundUser struct {
	UserType          string  // Buyer, Supplier or Admin
	CompanyID         *string // of the buyer or supplier; null: an admin user
	ID                string
	Username          string // of the login; empty: the user has none
	PasswordProfileID string // of the login
	FirstName         string
	LastName          string
	Email             string
	Active            bool
	LockedUntil       *time.Time // for passwords from unknown addresses; null: not locked
}

// FoundUserFromRecord returns the user as /v1/users shows it at the time now. companyID is
// the ID of its buyer or supplier, empty for admin users.
func FoundUserFromRecord(u storage.UserLogin, companyID string, now time.Time) FoundUser {
	w := FoundUser{
		UserType: userType(u.User.Kind), CompanyID: surface.Optional(companyID), ID: u.User.ID, Username: u.Login.Username,
		PasswordProfileID: u.Login.ProfileID, FirstName: u.User.FirstName, LastName: u.User.LastName, Email: u.User.Email, Active: u.User.Active,
	}
	if u.Login.Lockout.Locked(now) {
		w.LockedUntil = &u.Login.Lockout.LockedUntil
	}
	return w
}

func userType(kind storage.UserKind) string {
	switch kind {
	case storage.Supplier:
		return "Supplier"
	case storage.Admin:
		return "Admin"
	case storage.Buyer:
	}
	return "Buyer"
}
