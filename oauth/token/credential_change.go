package token

import (
	"slices"

	"latchkey/storage"
)

// RolePasswordReset is the role that lets a token of no sign-in set its user's
// password: one that a message has brought to the user, or that a client got for
// the user that it acts as (OrderCloud: POST /v1/me/password).
const RolePasswordReset = "PasswordReset"

// MayChangeCredentials reports whether the caller may change what its own user
// signs in with or is reached by: password, username, e-mail address, phone
// number. Whoever reads the messages to a new address can renew the password, so
// all of these need the same: a sign-in with the permanent password, or with a
// one-time password that was asked for to reset it. A one-time password to sign
// in never does, whatever the roles. Without a sign-in the token must carry
// RolePasswordReset.
func (c *Caller) MayChangeCredentials() bool {
	if len(c.AMR) == 0 {
		return c.Has(RolePasswordReset)
	}
	return provesOwner(c.AMR, c.Purpose)
}

// KeptSession returns the session that goes on when the caller sets its own
// password; empty: none. A token of no sign-in is good for one change only.
func (c *Caller) KeptSession() string {
	if len(c.AMR) == 0 {
		return ""
	}
	return c.SessionID
}

// MayChangeCredentials is Caller.MayChangeCredentials for an account member.
func (h *AccountHolder) MayChangeCredentials() bool { return provesOwner(h.AMR, h.Purpose) }

// provesOwner reports whether a sign-in by these methods proves more than that a
// one-time password to sign in was received.
func provesOwner(amr []string, purpose storage.Purpose) bool {
	return slices.Contains(amr, "pwd") || purpose == storage.PurposeResetPassword
}
