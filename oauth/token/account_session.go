package token

import (
	"cmp"
	"time"

	"latchkey/grants"
	"latchkey/storage"
)

// maxAccountSession is how long the account tokens of a sign-in can be renewed if the
// client has no refresh tokens.
const maxAccountSession = 30 * 24 * time.Hour

// AccountTokenTTL returns the lifetime of the account tokens of a realm. The default
// is a day.
func AccountTokenTTL(r storage.Realm) time.Duration {
	if r.AccountTokenTTL <= 0 {
		return 24 * time.Hour
	}
	return r.AccountTokenTTL
}

// AccountSession is a sign-in for which account management authentication tokens are
// signed. It is not stored; the tokens contain it.
type AccountSession struct {
	Client    *storage.Client // through which the member signed in
	Principal *storage.Principal
	SessionID string          // the same in all tokens of the sign-in
	AMR       []string        // RFC 8176
	Purpose   storage.Purpose // of the one-time password that was presented; empty: none, or to sign in
	AuthTime  time.Time       // of the sign-in
	SourceID  string          // where the sign-in came from; may be empty
	Origin    string          // AccountHolder.Origin of the token that is renewed; empty: none is
	Account   *storage.Member // the only account that gets a token; nil: all accounts of the member do

	// IssuedAt is the iat of the tokens, in UTC and not rounded. It is read before
	// anything is checked, so that whatever ends the session meanwhile ends the new
	// tokens too.
	IssuedAt time.Time
}

// Renew returns the session for which a presented account token can be renewed at the
// time now. It covers all accounts of the member while the sign-in is recent, and
// later the account of the token. ok is false if the session has ended. Renewals do not
// extend the session: it ends when a refresh token of the sign-in would expire, or when
// the first account token expires, whichever is later.
func (h *AccountHolder) Renew(realm storage.Realm, now time.Time) (s AccountSession, ok bool) {
	s = AccountSession{
		Client: h.Client, Principal: h.Principal, SessionID: h.SessionID, AMR: h.AMR, Purpose: h.Purpose,
		AuthTime: h.AuthTime, SourceID: h.SourceID, Origin: h.Origin, IssuedAt: now,
	}
	if !grants.IsRecentSignIn(h.AuthTime, now) {
		s.Account = h.Member
	}
	return s, now.Before(s.end(realm))
}

// TokenExpiry returns when tokens of the session that are signed now expire, in whole
// seconds.
func (s AccountSession) TokenExpiry(realm storage.Realm) time.Time {
	expires := s.IssuedAt.Truncate(time.Second).Add(AccountTokenTTL(realm))
	if end := s.end(realm); end.Before(expires) {
		return end
	}
	return expires
}

func (s AccountSession) end(realm storage.Realm) time.Time {
	life := cmp.Or(s.Client.RefreshTokenTTL, maxAccountSession)
	return s.AuthTime.Truncate(time.Second).Add(max(life, AccountTokenTTL(realm)))
}
