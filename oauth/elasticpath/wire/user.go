package wire

import (
	"strings"

	"latchkey/oauth/surface"
	"latchkey/otp"
	"latchkey/storage"
)

// TypeUser is the type of a user authentication info.
const TypeUser = "user_authentication_info"

// UserFields are the members of a user that can be written. An absent member keeps
// its value; null empties the last three.
type UserFields struct {
	Name       *string `json:"name"`  // required for a new user
	Email      *string `json:"email"` // required for a new user
	GivenName  *string `json:"given_name"`
	MiddleName *string `json:"middle_name"`
	FamilyName *string `json:"family_name"`
}

// UserBody is a user as it is sent.
type UserBody struct {
	Type *string `json:"type"`
	UserFields
}

// User is a user authentication info. Its id is that of the account member as
// well.
type User struct {
	ID   string `json:"id"`
	Type string `json:"type"`
	UserFields
	Meta  UserMeta `json:"meta"`
	Links *Links   `json:"links,omitempty"` // in lists
}

// UserMeta is the meta of a user. Users are created at once here, so the status is
// always COMPLETE.
type UserMeta struct {
	Times
	CreationStatus string `json:"creation_status"`
}

// UserPath returns the path of a user.
func UserPath(u storage.User) string {
	return RealmPath(u.RealmID) + "/user-authentication-info/" + u.UID
}

// Check returns an *InvalidError if a member is wrong, or required and absent.
func (f UserFields) Check(isNew bool) error {
	var c Check
	c.filled("name", f.Name, isNew)
	c.email("email", f.Email, isNew)
	c.text("given_name", f.GivenName, surface.MaxText)
	c.text("middle_name", f.MiddleName, surface.MaxText)
	c.text("family_name", f.FamilyName, surface.MaxText)
	return c.Err()
}

// Apply writes what was sent into the user. sent may be nil for a new user.
func (f UserFields) Apply(u *storage.User, sent Members) {
	surface.Overwrite(&u.Name, f.Name)
	surface.Overwrite(&u.Email, f.Email)
	u.EmailKey = otp.NormalizeUsername(u.Email)
	takeNullable(&u.FirstName, f.GivenName, sent, "given_name")
	takeNullable(&u.MiddleName, f.MiddleName, sent, "middle_name")
	takeNullable(&u.LastName, f.FamilyName, sent, "family_name")
}

// UserFromRecord returns a user as it is shown.
func UserFromRecord(u storage.User) User {
	return User{
		ID: u.UID, Type: TypeUser, UserFields: userFields(u),
		Meta: UserMeta{Times: times(u.CreatedAt, u.UpdatedAt), CreationStatus: "COMPLETE"},
	}
}

func userFields(u storage.User) UserFields {
	return UserFields{
		Name: new(fullName(u)), Email: &u.Email,
		GivenName: surface.Optional(u.FirstName), MiddleName: surface.Optional(u.MiddleName), FamilyName: surface.Optional(u.LastName),
	}
}

// fullName returns the name of a user. Users of OrderCloud have a first and a last
// name instead.
func fullName(u storage.User) string {
	if u.Name != "" {
		return u.Name
	}
	return strings.TrimSpace(u.FirstName + " " + u.LastName)
}
