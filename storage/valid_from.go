package storage

import "time"

// TokensValidFrom returns the time before which tokens of that client, user and
// membership were issued in vain: switching one of them, or the user's account,
// off or on ends every token from before, and so does RevokeUserTokens.
//
// Parameters: p is nil for a client that acts for itself, m is nil for a token
// that is scoped to no account.
func TokensValidFrom(c *Client, p *Principal, m *Member) time.Time {
	from := c.ValidFrom
	if p != nil {
		from = later(from, p.User.ValidFrom, p.User.TokensValidFrom, p.Account.ValidFrom)
	}
	if m != nil { // a membership that is given again is a new one
		from = later(from, m.Account.ValidFrom, m.Membership.CreatedAt)
	}
	return from
}

// CodesValidFrom is TokensValidFrom for one-time passwords and verification
// codes. RevokeUserTokens does not end them. c is nil for a code that was asked
// for through no client in particular.
func CodesValidFrom(c *Client, p *Principal) time.Time {
	from := later(p.User.ValidFrom, p.Account.ValidFrom, p.Login.SessionsValidFrom)
	if c != nil {
		from = later(from, c.ValidFrom)
	}
	return from
}

// IssueTime returns the time of issue of something new: now, or validFrom if the
// server that set the mark has a clock ahead of this one's.
func IssueTime(now, validFrom time.Time) time.Time { return later(now, validFrom) }

// CodeEnded reports whether a code of the login ended when its user, the user's
// account or the client that it is bound to was switched off. boundTo is the ID
// of that client, empty for a code that is good for any; issued is the time when
// the code was issued.
func (c *Client) CodeEnded(p *Principal, boundTo string, issued time.Time) bool {
	if boundTo == "" {
		c = nil
	}
	return issued.Before(CodesValidFrom(c, p))
}

// CodeLive reports whether the login's one-time password can still be redeemed
// through the client at the time now.
func (c *Client) CodeLive(p *Principal, now time.Time) bool {
	code := &p.Login.Code
	return code.Live(now) && !c.CodeEnded(p, code.ClientID, code.IssuedAt)
}

func later(first time.Time, others ...time.Time) time.Time {
	for _, t := range others {
		if t.After(first) {
			first = t
		}
	}
	return first
}
