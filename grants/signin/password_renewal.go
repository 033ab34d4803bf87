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

const actionRenewal = "password.renewed"

// Renewal is what somebody presents to renew a forgotten password.
type Renewal struct {
	Username string // as typed
	Code     string // that was sent to the user
	Password string // the new one
	Source   netip.Addr
}

// Renew sets a forgotten password by a verification code, in the client's
// password profile. A password that breaks the rules of the profile is refused
// before anybody is looked for. Whatever is wrong with the user or the code, the
// answer is ErrVerification after the same work. It does not count as a failed
// sign-in: codes of 144 bits cannot be guessed. Only whoever has the right code
// learns that the password breaks stricter rules of the user; that is recorded
// and does not use the code up, so that another password can be chosen. The code
// comes from the user's mailbox, so passwords that somebody else has guessed do
// not lock it.
//
// Errors: ErrVerification, *RuleError, ErrPasswordReused, and others, which mean
// that nothing was decided.
func (s *Passwords) Renew(ctx context.Context, c *storage.Client, r Renewal) error {
	if err := s.checkProfileRules(ctx, c, r.Password); err != nil {
		return err
	}
	began := time.Now()
	err := s.renew(ctx, c, r)
	if errors.Is(err, ErrVerification) {
		holdRefusal(ctx, began)
	}
	return err
}

// checkProfileRules checks a password by the rules that hold for everybody in the
// client's password profile.
func (s *Passwords) checkProfileRules(ctx context.Context, c *storage.Client, password string) error {
	profile, err := s.store.PasswordProfile(ctx, c.ProfileID)
	if err != nil {
		return fmt.Errorf("read the client's password profile: %w", err)
	}
	return CheckPassword(profile.Rules, password)
}

func (s *Passwords) renew(ctx context.Context, c *storage.Client, r Renewal) error {
	turn, p, err := s.takeTurn(ctx, keyOf(c.ProfileID, r.Username, r.Source))
	if err != nil {
		return err
	}
	defer turn.leave()
	kept, err := s.store.VerificationCode(ctx, p.Login.ID)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return fmt.Errorf("read verification code: %w", err)
	}
	matches := s.codes.MatchVerification(kept, c.ID, r.Code, s.now()) && !c.CodeEnded(&p, kept.ClientID, kept.IssuedAt)
	if open := c.CodeRefusal(&p, turn.seen) == ""; !matches || !open {
		return s.refused(ctx, c, p, r, turn.seen)
	}
	return s.settle(ctx, c, &p, kept.ID, r)
}

// refused records a failure, which counts nothing but costs a write whoever is
// named, and returns ErrVerification.
func (s *Passwords) refused(ctx context.Context, c *storage.Client, p storage.Principal, r Renewal, seen time.Time) error {
	n := s.renewalNote(c, r, cmp.Or(c.CodeRefusal(&p, seen), "wrong_code"))
	if err := s.write(ctx, p, n, unmoved); err != nil {
		return err
	}
	return ErrVerification
}

func (s *Passwords) renewalNote(c *storage.Client, r Renewal, outcome string) note {
	return note{action: actionRenewal, outcome: outcome, clientID: c.ID, source: shown(r.Source.Unmap())}
}

// settle sets the password of somebody who has the right code.
func (s *Passwords) settle(ctx context.Context, c *storage.Client, p *storage.Principal, codeID string, r Renewal) error {
	change, err := s.Prepare(ctx, p, r.Password)
	if err != nil {
		s.record(ctx, p, s.renewalNote(c, r, renewalOutcome(err)))
		return err
	}
	change.CodeID, change.SourceID = codeID, p.Source.ID
	outcome, err := "success", s.store.ChangePassword(ctx, change)
	if errors.Is(err, storage.ErrRefused) {
		outcome, err = "overtaken", ErrVerification
	} else if err != nil {
		outcome, err = notSettled, fmt.Errorf("renew password: %w", err)
	}
	s.record(ctx, p, s.renewalNote(c, r, outcome))
	return err
}

// renewalOutcome is what the audit event says of a right code with a password
// that cannot be set.
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
