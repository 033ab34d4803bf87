package storage

import "time"

// The reasons why a user is refused; see Client.Refusal. They are outcomes of
// audit events and are never shown to the caller.
const (
	RefusedUnknown         = "no_such_login"
	RefusedClientInactive  = "client_inactive"
	RefusedUserInactive    = "user_inactive"
	RefusedLoginInactive   = "login_inactive"
	RefusedLocked          = "locked"
	RefusedAccountInactive = "account_inactive"
	RefusedNotAdmitted     = "client_does_not_admit"
	RefusedCredential      = "credential_not_allowed"
)

// Refusal returns the reason why the user may not be served through the client at
// the time now, or "" if the user may be. Sign-ins call it. One-time passwords and
// requests for them call CodeRefusal, and everything after a sign-in calls
// SessionRefusal.
func (c *Client) Refusal(p *Principal, now time.Time) string {
	return c.refusal(p, p.Locked(now))
}

// SessionRefusal is Refusal for what an earlier sign-in began: sessions, authorization
// codes and tokens of all kinds. The client must also allow the credential of the
// sign-in, which may have been at another client. amr is the methods of the sign-in
// (RFC 8176 §2); empty: nobody signed in.
func (c *Client) SessionRefusal(p *Principal, amr []string, now time.Time) string {
	if reason := c.Refusal(p, now); reason != "" || c.Credentials.Allow(amr) {
		return reason
	}
	return RefusedCredential
}

// CodeRefusal is Refusal for codes that are sent to the user. It ignores locks
// that wrong passwords cause. Otherwise anybody who knows a username could lock
// its owner out.
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

// Locked reports whether the login is locked at the time now for the source that
// the principal was read for. A known source has its own lock.
func (p *Principal) Locked(now time.Time) bool {
	if p.Source.ID != "" {
		return p.Lockout.Source.Locked(now)
	}
	return p.Lockout.Locked(now)
}

// CodesLocked reports whether the login is locked for one-time passwords. It is
// like Locked otherwise.
func (p *Principal) CodesLocked(now time.Time) bool {
	if p.Source.ID != "" {
		return p.Lockout.Source.Locked(now)
	}
	return p.Lockout.Codes.Locked(now)
}

// Refusal is Client.Refusal without the checks that depend on a client. Requests
// that are bound to no client use it.
func (p *Principal) Refusal(now time.Time) string { return p.refusal(p.Locked(now)) }

// CodeRefusal is Client.CodeRefusal without the checks that depend on a client.
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
