package token

import (
	"context"
	"errors"
	"fmt"
	"time"

	"latchkey/storage"
)

// clockSkew is how far the clocks of two replicas may differ so that one accepts new
// tokens of the other (RFC 7519 §4.1.5: a few minutes at most).
const clockSkew = 5 * time.Minute

// Holder is the client, user and member of a token, with their current records.
type Holder struct {
	Client    *storage.Client
	Principal *storage.Principal // nil: the client itself
	Member    *storage.Member    // nil: the token is scoped to no account
}

// holder returns the Holder of a verified token of the session, or an error if
// something ended the token before it expired. It is called for every use of a token
// of any kind.
func (v *Verifier) holder(ctx context.Context, ref storage.TokenRef, session string, c *Claims) (*Holder, error) {
	now := v.cfg.Now()
	if c.NotBefore > now.Add(clockSkew).Unix() {
		return nil, fmt.Errorf("%w: not valid yet", ErrInvalidToken)
	}
	client, err := v.cfg.Clients.Client(ctx, c.ClientID)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, fmt.Errorf("%w: the client is gone", ErrInvalidToken)
	}
	if err != nil {
		return nil, fmt.Errorf("read client: %w", err)
	}
	status, err := v.cfg.Tokens.TokenStatus(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("read token status: %w", err)
	}
	if err := ended(ref, session, c, &client, &status, now); err != nil {
		return nil, err
	}
	h := &Holder{Client: &client, Member: status.Member}
	if ref.UserUID != "" {
		h.Principal = &status.Principal
	}
	return h, nil
}

// ended returns the reason why a token ended before it expired, or nil.
func ended(ref storage.TokenRef, session string, c *Claims, client *storage.Client, s *storage.TokenStatus, now time.Time) error {
	switch {
	case s.Revoked, s.FamilyRevoked:
		return ErrTokenRevoked
	case !client.Active:
		return fmt.Errorf("%w: %s", ErrInvalidToken, storage.RefusedClientInactive)
	case outdated(session, c, client, s):
		return ErrTokenRevoked
	case ref.UserUID == "":
		return nil
	case !s.Principal.Known: // the user was deleted, or the login
		return ErrTokenRevoked
	case ref.AccountUID != "" && (s.Member == nil || !s.Member.Account.Active):
		return fmt.Errorf("%w: not a member any more", ErrInvalidToken)
	}
	if reason := client.SessionRefusal(&s.Principal, c.AMR, now); reason != "" {
		return fmt.Errorf("%w: %s", ErrInvalidToken, reason)
	}
	return nil
}

// outdated reports whether the token is older than the event that ended the tokens of
// its client, user or membership (see storage.TokensValidFrom), or its sign-in is
// older than the end of the login's sessions. A sign-in is as old as its refresh
// family, or as the token if there is none. The session that set the password
// continues.
func outdated(session string, c *Claims, client *storage.Client, s *storage.TokenStatus) bool {
	issued := c.issued()
	signedIn := s.FamilyBegan
	if signedIn.IsZero() {
		signedIn = issued
	}
	login := &s.Principal.Login
	return issued.Before(micros(storage.TokensValidFrom(client, &s.Principal, s.Member, c.AMR))) ||
		signedIn.Before(micros(login.SessionsValidFrom)) && session != login.KeptSession
}

// micros truncates a time to the precision of tokens and databases.
func micros(t time.Time) time.Time { return t.Truncate(time.Microsecond) }
