package wire

import "latchkey/storage"

// TypeLogin is the type of a user authentication password profile info.
const TypeLogin = "user_authentication_password_profile_info"

// LoginBody is a login as it is sent: a username with which a user signs in. An
// absent member keeps its value.
type LoginBody struct {
	Type      *string `json:"type"`
	ID        *string `json:"id"`                  // ignored: clients send ids of several kinds
	ProfileID *string `json:"password_profile_id"` // cannot be changed
	Username  *string `json:"username"`
	Password  *string `json:"password"`
}

// Login is a user authentication password profile info. The password is never
// shown.
type Login struct {
	ID        string `json:"id"`
	Type      string `json:"type"`
	ProfileID string `json:"password_profile_id"`
	Username  string `json:"username"`
	Meta      Times  `json:"meta"`
	Links     *Links `json:"links,omitempty"` // in lists
}

// LoginPath returns the path of a login of the user.
func LoginPath(u storage.User, l storage.Login) string {
	return UserPath(u) + "/user-authentication-password-profile-info/" + l.ID
}

// Check returns an *InvalidError if a member is wrong, or required and absent.
func (b LoginBody) Check(isNew bool) error {
	var c Check
	c.filled("username", b.Username, isNew)
	c.filled("password_profile_id", b.ProfileID, isNew)
	c.secret("password", b.Password, isNew)
	return c.Err()
}

// LoginFromRecord returns a login as it is shown.
func LoginFromRecord(l storage.Login) Login {
	return Login{
		ID: l.ID, Type: TypeLogin, ProfileID: storage.PasswordProfileUUID(l.ProfileID), Username: l.Username,
		Meta: times(l.CreatedAt, l.UpdatedAt),
	}
}
