package token

import (
	"context"
	"errors"
	"fmt"
	"time"

	"latchkey/storage"
)

// clockSkew is the difference of the clocks of two replicas up to which one accepts
// fresh tokens of the other (RFC 7519 §4.1.5: no more than a few minutes).
const clockSkew = 5 * time.Minute

// Holder is the client, user and member that a token stands for, as the database
// knows them now.
type Holder struct {
	Client    *storage.Client
	Principal *storage.Principal // nil: the client itself
	Member    *storage.Member    // nil: the token is scoped to no account
}

// holder returns the Holder of a verified token of the session, or an error if
// something ended the token before its time. Every use of a token of any kind calls
// it.
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
	standing, err := v.cfg.Tokens.TokenStatus(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("read token standing: %w", err)
	}
	if err := ended(ref, session, c, &client, &standing, now); err != nil {
		return nil, err
	}
	h := &Holder{Client: &client, Member: standing.Member}
	if ref.UserUID != "" {
		h.Principal = &standing.Principal
	}
	return h, nil
}

// ended returns the reason why a token ended before its time, or nil.
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
	if reason := client.Refusal(&s.Principal, now); reason != "" {
		return fmt.Errorf("%w: %s", ErrInvalidToken, reason)
	}
	return nil
}

// outdated reports whether the token is older than what ended the tokens of its
// client, user or membership (see storage.TokensValidFrom), or its sign-in older
// than the end of the login's sessions. The sign-in is as old as its family, and
// without one as the token. The session that set the password goes on.
func outdated(session string, c *Claims, client *storage.Client, s *storage.TokenStatus) bool {
	issued := c.issued()
	signedIn := s.FamilyBegan
	if signedIn.IsZero() {
		signedIn = issued
	}
	login := &s.Principal.Login
	return issued.Before(micros(storage.TokensValidFrom(client, &s.Principal, s.Member))) ||
		signedIn.Before(micros(login.SessionsValidFrom)) && session != login.KeptSession
}

// micros truncates a time to the precision of tokens and databases.
func micros(t time.Time) time.Time { return t.Truncate(time.Microsecond) }
