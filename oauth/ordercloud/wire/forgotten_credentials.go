package wire

import "latchkey/oauth/surface"

// OneTimePasswordRequest asks for one-time passwords.
type OneTimePasswordRequest struct {
	ClientID string
	Username string
	Email    string
}

// PasswordResetRequest asks for codes to renew forgotten passwords.
type PasswordResetRequest struct {
	ClientID string
	Username string
	Email    string
	URL      *string // page where the password is renewed; in the message
}

// PasswordReset renews a forgotten password.
type PasswordReset struct {
	ClientID string
	Username string
	Password string
}

// Validate returns the faults of the request's URL, as found at path.
func (r PasswordResetRequest) Validate(path string) Faults {
	c := check{path: path}
	if link := surface.ValueOr(r.URL, ""); link != "" {
		c.url("URL", link)
	}
	return c.faults
}

// Validate returns the faults of the new password that do not depend on the rules
// of a password profile, as found at path.
func (r PasswordReset) Validate(path string) Faults {
	c := check{path: path}
	c.newPassword("Password", r.Password)
	return c.faults
}

// TokenPasswordReset is the new password of the user whose token is presented.
type TokenPasswordReset struct{ NewPassword string }

// Validate returns the faults of the new password that do not depend on the rules
// of a password profile, as found at path.
func (r TokenPasswordReset) Validate(path string) Faults {
	c := check{path: path}
	c.newPassword("NewPassword", r.NewPassword)
	return c.faults
}

// newPassword checks a password without the rules of a password profile.
func (c *check) newPassword(field, value string) {
	if value == "" {
		c.fail(field, "is required")
		return
	}
	c.secret(field, &value, "")
}

// UserCodeRequest asks for a one-time password for the user in the path. The resource is
// Latchkey's own.
type UserCodeRequest struct {
	ClientID string // through which the user is going to sign in
}

// Validate returns every fault of the request, as found at path.
func (r UserCodeRequest) Validate(path string) Faults {
	c := check{path: path}
	c.required("ClientID", r.ClientID)
	return c.faults
}
