package signin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"latchkey/storage"
)

// actionRenewal is the action of audit events about renewals.
const actionRenewal = "password.renewed"

// Renewal is a request to replace a forgotten password.
type Renewal struct {
	Username string     // as typed
	Code     string     // the verification code, as typed
	Password string     // the new one
	Source   netip.Addr // the user's address; invalid: unknown
}

// Renew replaces a forgotten password by a verification code, in the client's password
// profile. A password that breaks the rules of the profile is refused before any user
// is looked up. Whatever is wrong with the user or the code, the error is
// ErrVerification after the same work. A wrong code does not count as a failed sign-in,
// because codes of 144 bits cannot be guessed. The code comes from the user's mailbox,
// so a lock from guesses at passwords does not refuse it.
//
// A right code with a password that breaks the user's own rules gives *RuleError or
// ErrPasswordReused. That is recorded, and the code stays good for another password.
// Other errors mean that nothing was decided.
func (s *Passwords) Renew(ctx context.Context, c *storage.Client, r Renewal) error {
	if err := s.checkProfileRules(ctx, c, r.Password); err != nil {
		return err
	}
	began := time.Now()
	err := s.renew(ctx, c, r)
	if errors.Is(err, ErrVerification) {
		delayRefusal(ctx, began)
	}
	return err
}

// checkProfileRules checks a password by the rules of the client's password profile,
// which hold for all its users.
func (s *Passwords) checkProfileRules(ctx context.Context, c *storage.Client, password string) error {
	profile, err := s.store.PasswordProfile(ctx, c.ProfileID)
	if err != nil {
		return fmt.Errorf("read the client's password profile: %w", err)
	}
	return CheckPassword(profile.Rules, password)
}

// renew is Renew without the rules of the profile and the delay of refusals.
func (s *Passwords) renew(ctx context.Context, c *storage.Client, r Renewal) error {
	ticket, p, err := s.begin(ctx, LoginKey(c.ProfileID, r.Username, r.Source))
	if err != nil {
		return err
	}
	defer ticket.leave()
	kept, err := s.store.VerificationCode(ctx, p.Login.ID)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return fmt.Errorf("read verification code: %w", err)
	}
	matches := s.codes.MatchVerification(kept, c.ID, r.Code, s.now()) && !c.CodeEnded(&p, kept.ClientID, kept.IssuedAt)
	if open := c.CodeRefusal(&p, ticket.readAt) == ""; !matches || !open {
		return s.refuse(ctx, c, p, r, ticket.readAt)
	}
	return s.settle(ctx, c, &p, kept.ID, r)
}

// refuse records a failure and returns ErrVerification. Nothing is counted, but the
// write is made for unknown names too.
func (s *Passwords) refuse(ctx context.Context, c *storage.Client, p storage.Principal, r Renewal, readAt time.Time) error {
	e := s.renewalEvent(c, r, cmp.Or(c.CodeRefusal(&p, readAt), "wrong_code"))
	if err := s.recordFailure(ctx, p, e, countNothing); err != nil {
		return err
	}
	return ErrVerification
}

func (s *Passwords) renewalEvent(c *storage.Client, r Renewal, outcome string) event {
	return event{action: actionRenewal, outcome: outcome, clientID: c.ID, source: addressText(r.Source)}
}

// settle sets the new password of a login whose code was right.
func (s *Passwords) settle(ctx context.Context, c *storage.Client, p *storage.Principal, codeID string, r Renewal) error {
	change, err := s.Prepare(ctx, p, r.Password)
	if err != nil {
		s.record(ctx, p, s.renewalEvent(c, r, renewalOutcome(err)))
		return err
	}
	change.CodeID, change.SourceID = codeID, p.Source.ID
	outcome, err := "success", s.store.ChangePassword(ctx, change)
	if errors.Is(err, storage.ErrRefused) {
		outcome, err = "overtaken", ErrVerification
	} else if err != nil {
		outcome, err = notSettled, fmt.Errorf("renew password: %w", err)
	}
	s.record(ctx, p, s.renewalEvent(c, r, outcome))
	return err
}

// renewalOutcome returns the outcome of the audit event for a right code with a
// password that cannot be set because of err.
func renewalOutcome(err error) string {
	var weak *RuleError
	switch {
	case errors.As(err, &weak):
		return insecurePassword
	case errors.Is(err, ErrPasswordReused):
		return "password_reused"
	}
	return notSettled
}
