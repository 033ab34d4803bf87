package signin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"latchkey/storage"
)

// PasswordStore is the part of a store that Passwords needs.
type PasswordStore interface {
	// Principal reads a login by its key; see Store.
	Principal(ctx context.Context, key storage.LoginKey) (storage.Principal, error)
	// RecordFailure writes the next lockout state; see Store.
	RecordFailure(ctx context.Context, p storage.Principal, next storage.Lockout, notice *storage.CodeRequest) error
	// PasswordProfile reads a password profile by its id.
	PasswordProfile(ctx context.Context, id string) (storage.PasswordProfile, error)
	// VerificationCode reads the verification code of a login. It returns
	// storage.ErrNotFound if there is none.
	VerificationCode(ctx context.Context, loginID string) (storage.VerificationCode, error)
	// FormerPasswords returns the hashes of the last n passwords of a login, the
	// newest first, with the present one.
	FormerPasswords(ctx context.Context, loginID string, n int) ([]string, error)
	// ChangePassword lets a change take effect, all or nothing. It returns
	// storage.ErrRefused if the login was disabled or the code used since they were read.
	ChangePassword(ctx context.Context, c storage.PasswordChange) error
}

// VerificationMatcher checks verification codes; *otp.Codes implements it.
type VerificationMatcher interface {
	// MatchVerification reports whether presented is that code, live and for that
	// client. It must take the same time for the zero code.
	MatchVerification(c storage.VerificationCode, clientID, presented string, now time.Time) bool
}

// PasswordsConfig configures Passwords. Store, Hasher and Codes are required.
type PasswordsConfig struct {
	Store    PasswordStore
	Hasher   PasswordVerifier
	Codes    VerificationMatcher
	Recorder storage.Recorder // default: discards events
	Now      func() time.Time // default: time.Now
	Rand     io.Reader        // default: crypto/rand.Reader
}

// Passwords sets permanent passwords: for an administrator, for a signed-in user, and
// for a user who forgot the old one.
type Passwords struct {
	attempts
	store  PasswordStore
	hasher PasswordVerifier
	codes  VerificationMatcher
}

// NewPasswords returns Passwords, or an error if a required field is missing.
func NewPasswords(cfg PasswordsConfig) (*Passwords, error) {
	if cfg.Store == nil || cfg.Hasher == nil || cfg.Codes == nil {
		return nil, errors.New("signin: Passwords needs Store, Hasher and Codes")
	}
	return &Passwords{
		attempts: newAttempts(cfg.Store, cfg.Recorder, cfg.Now, cfg.Rand),
		store:    cfg.Store, hasher: cfg.Hasher, codes: cfg.Codes,
	}, nil
}

// Prepare checks a password that an administrator sets for a login, and returns the
// change that sets it. It writes nothing. The minimum age of the present password does
// not apply.
//
// Parameters: p is the login as it is now. For a login that does not exist yet, only
// p.Rules is needed. Errors: *RuleError, ErrPasswordReused, ErrBusy, and those of the
// store.
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

// PrepareOwn is Prepare for users who change their own password. It also fails with
// ErrPasswordTooSoon if the present one is younger than the rules demand.
func (s *Passwords) PrepareOwn(ctx context.Context, p *storage.Principal, password string) (storage.PasswordChange, error) {
	youngest := p.Login.PasswordSetAt.Add(p.Rules.MinAge)
	if p.Rules.MinAge > 0 && p.Login.PasswordHash != "" && s.now().Before(youngest) {
		return storage.PasswordChange{}, ErrPasswordTooSoon
	}
	return s.Prepare(ctx, p, password)
}

// Change sets the password of a signed-in user and ends the user's sessions, except
// the one with the id keepSession; empty: all of them. Errors: those of PrepareOwn, and
// storage.ErrRefused if the login was disabled since it was read.
func (s *Passwords) Change(ctx context.Context, p *storage.Principal, password, keepSession string) error {
	change, err := s.PrepareOwn(ctx, p, password)
	if err != nil {
		return err
	}
	change.KeepSession = keepSession
	if err := s.store.ChangePassword(ctx, change); err != nil {
		return fmt.Errorf("change password: %w", err)
	}
	s.record(ctx, p, event{action: "password.changed", outcome: "success"})
	return nil
}

// checkHistory returns ErrPasswordReused if the password is one of the last ones, as
// many as the rules say.
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
		if err != nil && !errors.Is(err, ErrHashRefused) { // an unsupported hash matches no password
			return fmt.Errorf("compare with former password: %w", err)
		}
		if same {
			return ErrPasswordReused
		}
	}
	return nil
}
