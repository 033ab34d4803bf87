package token

import (
	"slices"

	"latchkey/storage"
)

// RolePasswordReset is the role that allows a token without a sign-in to set the
// password of its user: a token that a message has brought to the user, or that a
// client got for the user it acts as (OrderCloud: POST /v1/me/password).
const RolePasswordReset = "PasswordReset"

// MayChangeCredentials reports whether the caller may change the credentials and
// addresses of its own user: password, username, e-mail address, phone number.
//
// Messages to a new address can renew the password, so all of these have the same
// condition. The sign-in must have used the permanent password, or a one-time password
// that was requested to reset it. A one-time password to sign in is never enough,
// whatever the roles are. A token without a sign-in must have RolePasswordReset.
func (c *Caller) MayChangeCredentials() bool {
	if len(c.AMR) == 0 {
		return c.Has(RolePasswordReset)
	}
	return provesOwner(c.AMR, c.Purpose)
}

// KeptSession returns the session that continues after the caller has set its own
// password. It returns "" if there is none: a token without a sign-in allows one
// change only.
func (c *Caller) KeptSession() string {
	if len(c.AMR) == 0 {
		return ""
	}
	return c.SessionID
}

// MayChangeCredentials reports whether the account member may change its own credentials
// and addresses; see Caller.MayChangeCredentials. An account token always has a sign-in.
func (h *AccountHolder) MayChangeCredentials() bool { return provesOwner(h.AMR, h.Purpose) }

// provesOwner reports whether a sign-in with these methods proves more than the
// receipt of a one-time password to sign in.
func provesOwner(amr []string, purpose storage.Purpose) bool {
	return slices.Contains(amr, "pwd") || purpose == storage.PurposeResetPassword
}
