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

// Refusal is the one gate that every path asks: password, refresh, exchange and
// introspection, and one-time passwords and the requests for them by way of
// CodeRefusal. It answers "" if the user may be served through the client at the
// time now, and otherwise why not.
func (c *Client) Refusal(p *Principal, now time.Time) string {
	return c.refusal(p, p.Locked(now))
}

// CodeRefusal is Refusal for what is proven, or sent, by way of the user's
// mailbox. Guesses at passwords do not lock that, or whoever knows a name could
// keep its owner out.
func (c *Client) CodeRefusal(p *Principal, now time.Time) string {
	return c.refusal(p, p.CodesLocked(now))
}

func (c *Client) refusal(p *Principal, locked bool) string {
	if p.Known && !c.Active {
		return RefusedClientInactive
	}
	if reason := p.refusal(locked); reason != "" {
		return reason
	}
	if !c.Admits(p.User) {
		return RefusedNotAdmitted
	}
	return ""
}

// Locked tells whether the login is locked at the time now for whoever the
// principal was read for: a known source has a lock of its own.
func (p *Principal) Locked(now time.Time) bool {
	if p.Source.ID != "" {
		return p.Lockout.Source.Locked(now)
	}
	return p.Lockout.Locked(now)
}

// CodesLocked is Locked for one-time passwords.
func (p *Principal) CodesLocked(now time.Time) bool {
	if p.Source.ID != "" {
		return p.Lockout.Source.Locked(now)
	}
	return p.Lockout.Codes.Locked(now)
}

// Refusal is the part of the gate that does not depend on a client, for what
// no client in particular was asked for. It answers "" if the user may be
// served at the time now, and otherwise why not.
func (p *Principal) Refusal(now time.Time) string { return p.refusal(p.Locked(now)) }

// CodeRefusal is to Refusal what Client.CodeRefusal is to Client.Refusal.
func (p *Principal) CodeRefusal(now time.Time) string { return p.refusal(p.CodesLocked(now)) }

func (p *Principal) refusal(locked bool) string {
	switch {
	case !p.Known:
		return RefusedUnknown
	case !p.User.Active:
		return RefusedUserInactive
	case !p.Login.Active:
		return RefusedLoginInactive
	case locked:
		return RefusedLocked
	case p.User.AccountUID != "" && !p.Account.Active:
		return RefusedAccountInactive
	}
	return ""
}
