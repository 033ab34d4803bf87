package storage

import "time"

// Session is the sign-in of one browser at the hosted pages. The browser has a cookie
// with ID and a secret. Tokens name the session by its ID (sid, OpenID Connect
// Back-Channel Logout 1.0 §2.1).
type Session struct {
	ID         string
	Secret     Digest // of the secret in the cookie
	ClientID   string // that the user signed in for
	UserUID    string
	LoginID    string
	SourceID   string   // the known source that the sign-in came from; empty: unknown
	AccountUID string   // the account that the user chose last; empty: none was chosen
	Clients    []string // that codes were issued to in it; they are notified of its end
	AMR        []string
	Purpose    Purpose   // of the one-time password of the sign-in; empty: none, or PurposeSignIn
	AuthTime   time.Time // of the sign-in, in microseconds

	CreatedAt  time.Time
	LastUsedAt time.Time
	IdleUntil  time.Time // it ends then unless it is used; never after ExpiresAt
	ExpiresAt  time.Time
	EndedAt    time.Time // zero: it was not ended
}

// SessionState is a session with the current state of its user.
type SessionState struct {
	Session   Session
	Principal Principal
}

// Live reports whether the session goes on at the time now. It does not if it has
// ended or expired, or if something ended the sessions or tokens of its user since the
// sign-in. Client.Refusal says whether a client admits the user.
func (s *SessionState) Live(now time.Time) bool {
	x, p := &s.Session, &s.Principal
	from := later(p.Login.SessionsValidFrom, p.User.ValidFrom, p.User.TokensValidFrom, p.Account.ValidFrom)
	return p.Known && x.EndedAt.IsZero() && now.Before(x.IdleUntil) && now.Before(x.ExpiresAt) && !x.AuthTime.Before(from)
}

// SessionUse uses a session that has not ended, in one transaction: it goes on until
// IdleUntil, and the code is issued. The store refuses it with ErrRefused if the session
// has ended or expired at that moment.
type SessionUse struct {
	ID         string
	AccountUID string         // that the user has chosen; empty: the earlier choice stays
	IdleUntil  time.Time      // not after ExpiresAt of the session
	Authorize  *Authorization // that is issued; nil: none
	Now        time.Time
}
