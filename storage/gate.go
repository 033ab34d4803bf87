package storage

import "time"

// Why a user is kept out; see Client.Refusal. They are outcomes of audit
// events, and never shown to the caller.
const (
	RefusedUnknown         = "no_such_login"
	RefusedClientInactive  = "client_inactive"
	RefusedUserInactive    = "user_inactive"
	RefusedLoginInactive   = "login_inactive"
	RefusedLocked          = "locked"
	RefusedAccountInactive = "account_inactive"
	RefusedNotAdmitted     = "client_does_not_admit"
)

// Refusal is the one gate that every path asks: password, one-time password
// and the request for one, refresh and introspection. It answers "" if the
// user may be served through the client at the time now, and otherwise why
// not.
func (c *Client) Refusal(p *Principal, now time.Time) string {
	if p.Known && !c.Active {
		return RefusedClientInactive
	}
	if reason := p.Refusal(now); reason != "" {
		return reason
	}
	if !c.Admits(p.User) {
		return RefusedNotAdmitted
	}
	return ""
}

// Refusal is the part of the gate that does not depend on a client, for what
// no client in particular was asked for. It answers "" if the user may be
// served at the time now, and otherwise why not.
func (p *Principal) Refusal(now time.Time) string {
	switch {
	case !p.Known:
		return RefusedUnknown
	case !p.User.Active:
		return RefusedUserInactive
	case !p.Login.Active:
		return RefusedLoginInactive
	case p.Lockout.Locked(now):
		return RefusedLocked
	case p.User.AccountUID != "" && !p.Account.Active:
		return RefusedAccountInactive
	}
	return ""
}
