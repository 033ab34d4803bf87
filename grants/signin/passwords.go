package signin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"latchkey/storage"
)

// PasswordStore is what Passwords asks of a store.
type PasswordStore interface {
	// Principal reads a login by what was typed; see SignInStore.
	Principal(ctx context.Context, key storage.LoginKey) (storage.Principal, error)
	// RecordFailure writes the next lockout state; see SignInStore.
	RecordFailure(ctx context.Context, p storage.Principal, next storage.Lockout, notice *storage.CodeRequest) error
	// PasswordProfile reads the profile of a client.
	PasswordProfile(ctx context.Context, id string) (storage.PasswordProfile, error)
	// VerificationCode reads the code of a login, or answers
	// storage.ErrNotFound.
	VerificationCode(ctx context.Context, loginID string) (storage.VerificationCode, error)
	// FormerPasswords returns the hashes of the last n passwords of a login,
	// newest first, the present one included.
	FormerPasswords(ctx context.Context, loginID string, n int) ([]string, error)
	// ChangePassword lets a change take effect, all or nothing, or answers
	// storage.ErrRefused.
	ChangePassword(ctx context.Context, c storage.PasswordChange) error
}

// VerificationMatcher tells whether what was presented is that verification
// code, live and for that client. It must take the same time for the zero code;
// *otp.Codes is one.
type VerificationMatcher interface {
	MatchVerification(c storage.VerificationCode, clientID, presented string, now time.Time) bool
}

// PasswordsConfig configures Passwords. Store, Hasher and Codes are required.
type PasswordsConfig struct {
	Store    PasswordStore
	Hasher   PasswordVerifier
	Codes    VerificationMatcher
	Recorder storage.Recorder // default: discards
	Now      func() time.Time // default: time.Now
	Rand     io.Reader        // default: crypto/rand.Reader
}

// Passwords sets permanent passwords.
type Passwords struct {
	attempts
	store  PasswordStore
	hasher PasswordVerifier
	codes  VerificationMatcher
}

// NewPasswords returns Passwords, or an error that names what is missing.
func NewPasswords(cfg PasswordsConfig) (*Passwords, error) {
	if cfg.Store == nil || cfg.Hasher == nil || cfg.Codes == nil {
		return nil, errors.New("signin: Passwords needs Store, Hasher and Codes")
	}
	return &Passwords{
		attempts: newAttempts(cfg.Store, cfg.Recorder, cfg.Now, cfg.Rand),
		store:    cfg.Store, hasher: cfg.Hasher, codes: cfg.Codes,
	}, nil
}

// Prepare checks a password that somebody else sets for a login, an
// administrator say, and returns the change that sets it. Nothing is written.
// How young the present password is does not matter.
//
// Parameters: p of the login, as it is now; of one that is yet to be made, only
// p.Rules need be there. Errors: *RuleError, ErrPasswordReused, ErrBusy and the
// store's.
func (s *Passwords) Prepare(ctx context.Context, p *storage.Principal, password string) (storage.PasswordChange, error) {
	if err := CheckPassword(p.Rules, password); err != nil {
		return storage.PasswordChange{}, err
	}
	if err := s.checkHistory(ctx, p, password); err != nil {
		return storage.PasswordChange{}, err
	}
	hash, err := s.hasher.Hash(ctx, password)
	if err != nil {
		return storage.PasswordChange{}, fmt.Errorf("hash password: %w", err)
	}
	return storage.PasswordChange{LoginID: p.Login.ID, Hash: hash, Keep: p.Rules.History, Now: s.now()}, nil
}

// PrepareOwn is Prepare for a user who changes its own password. It also fails
// with ErrPasswordTooSoon if the present one is younger than the rules demand.
func (s *Passwords) PrepareOwn(ctx context.Context, p *storage.Principal, password string) (storage.PasswordChange, error) {
	youngest := p.Login.PasswordSetAt.Add(p.Rules.MinAge)
	if p.Rules.MinAge > 0 && p.Login.PasswordHash != "" && s.now().Before(youngest) {
		return storage.PasswordChange{}, ErrPasswordTooSoon
	}
	return s.Prepare(ctx, p, password)
}

// Change sets the password of a signed-in user, which ends its sessions except
// keepSession; empty: all of them. Errors: those of PrepareOwn, and
// storage.ErrRefused if the login was disabled meanwhile.
func (s *Passwords) Change(ctx context.Context, p *storage.Principal, password, keepSession string) error {
	change, err := s.PrepareOwn(ctx, p, password)
	if err != nil {
		return err
	}
	change.KeepSession = keepSession
	if err := s.store.ChangePassword(ctx, change); err != nil {
		return fmt.Errorf("change password: %w", err)
	}
	s.record(ctx, p, note{action: "password.changed", outcome: "success"})
	return nil
}

// checkHistory answers ErrPasswordReused for one of the last passwords.
func (s *Passwords) checkHistory(ctx context.Context, p *storage.Principal, password string) error {
	if p.Rules.History <= 0 || p.Login.ID == "" {
		return nil
	}
	former, err := s.store.FormerPasswords(ctx, p.Login.ID, p.Rules.History)
	if err != nil {
		return fmt.Errorf("read former passwords: %w", err)
	}
	for _, hash := range former {
		same, _, err := s.hasher.Verify(ctx, hash, password)
		if err != nil && !errors.Is(err, ErrHashRefused) { // a hash that is refused matches nothing
			return fmt.Errorf("compare with former password: %w", err)
		}
		if same {
			return ErrPasswordReused
		}
	}
	return nil
}

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
