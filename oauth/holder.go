package oauth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"latchkey/storage"
)

// clockSkew is how far the clocks of replicas may be apart before a token of
// one is too early for another (RFC 7519 §4.1.5: no more than a few minutes).
const clockSkew = 5 * time.Minute

// holder is whom a token stands for, as the database knows them now.
type holder struct {
	client    *storage.Client
	principal *storage.Principal // nil: the client itself
	member    *storage.Member    // nil: the token is scoped to no account
}

// holder returns whom a verified token of the session stands for, unless
// something ended it before its time. Every use of a token asks here, whatever
// its kind.
func (p *Provider) holder(ctx context.Context, ref storage.TokenRef, session string, c *tokenClaims) (*holder, error) {
	now := p.cfg.Now()
	if c.NotBefore > now.Add(clockSkew).Unix() {
		return nil, fmt.Errorf("%w: not valid yet", ErrInvalidToken)
	}
	client, err := p.cfg.Clients.Client(ctx, c.ClientID)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, fmt.Errorf("%w: the client is gone", ErrInvalidToken)
	}
	if err != nil {
		return nil, fmt.Errorf("read client: %w", err)
	}
	standing, err := p.cfg.Tokens.TokenStatus(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("read token standing: %w", err)
	}
	if err := ended(ref, session, c, &client, &standing, now); err != nil {
		return nil, err
	}
	h := &holder{client: &client, member: standing.Member}
	if ref.UserUID != "" {
		h.principal = &standing.Principal
	}
	return h, nil
}

// ended tells what ended a token before its time; nil: nothing.
func ended(ref storage.TokenRef, session string, c *tokenClaims, client *storage.Client, s *storage.TokenStatus, now time.Time) error {
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
	if reason := client.Refusal(&s.Principal, now); reason != "" {
		return fmt.Errorf("%w: %s", ErrInvalidToken, reason)
	}
	return nil
}

// outdated reports whether the token is older than what ended the tokens of its
// client, user or membership (see storage.TokensValidFrom), or its sign-in older
// than the end of the login's sessions. The sign-in is as old as its family, and
// without one as the token. The session that set the password goes on.
func outdated(session string, c *tokenClaims, client *storage.Client, s *storage.TokenStatus) bool {
	issued := c.issued()
	signedIn := s.FamilyBegan
	if signedIn.IsZero() {
		signedIn = issued
	}
	login := &s.Principal.Login
	return issued.Before(micros(storage.TokensValidFrom(client, &s.Principal, s.Member))) ||
		signedIn.Before(micros(login.SessionsValidFrom)) && session != login.KeptSession
}

// micros cuts a time to what tokens and databases know.
func micros(t time.Time) time.Time { return t.Truncate(time.Microsecond) }
