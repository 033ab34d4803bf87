package storage

import "time"

// TokensValidFrom returns the time from which on tokens of the client, user and
// membership are valid. Tokens that were issued earlier have ended, because one of
// the records or the user's account was deactivated or activated, because the client
// did not admit the user or the credential for a while, or because RevokeUserTokens was
// called.
//
// Parameters: p is nil for a client that acts for itself. m is nil for a token that
// is scoped to no account. amr is the methods of the sign-in (RFC 8176 §2).
func TokensValidFrom(c *Client, p *Principal, m *Member, amr []string) time.Time {
	from := later(c.ValidFrom, c.acceptsSince(amr))
	if p != nil {
		from = later(from, p.User.ValidFrom, p.User.TokensValidFrom, p.Account.ValidFrom, c.admitsSince(p.User))
	}
	if m != nil { // a user who becomes a member again gets a new membership
		from = later(from, m.Account.ValidFrom, m.Membership.CreatedAt)
	}
	return from
}

// CodesValidFrom is TokensValidFrom for one-time passwords and verification codes.
// RevokeUserTokens does not end those. c is nil for a code that is bound to no
// client.
func CodesValidFrom(c *Client, p *Principal) time.Time {
	from := later(p.User.ValidFrom, p.Account.ValidFrom, p.Login.SessionsValidFrom)
	if c != nil {
		from = later(from, c.ValidFrom, c.admitsSince(p.User), c.PermittedSince[permitCodes])
	}
	return from
}

// IssueTime returns the issue time of a new token or code: now, or validFrom if that
// is later because it was set by a server whose clock is ahead.
func IssueTime(now, validFrom time.Time) time.Time { return later(now, validFrom) }

// CodeEnded reports whether a code of the login has ended because its user, the
// user's account or the client that it is bound to was deactivated since. boundTo
// is the ID of that client, empty for a code that is bound to none. issued is the
// time when the code was issued.
func (c *Client) CodeEnded(p *Principal, boundTo string, issued time.Time) bool {
	if boundTo == "" {
		c = nil
	}
	return issued.Before(CodesValidFrom(c, p))
}

// CodeLive reports whether the login's one-time password can be redeemed through
// the client at the time now.
func (c *Client) CodeLive(p *Principal, now time.Time) bool {
	code := &p.Login.Code
	return code.Live(now) && !c.CodeEnded(p, code.ClientID, code.IssuedAt)
}

// later returns the latest of the times.
func later(first time.Time, others ...time.Time) time.Time {
	for _, t := range others {
		if t.After(first) {
			first = t
		}
	}
	return first
}
