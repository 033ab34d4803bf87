package signin

import (
	"context"
	"errors"
	"fmt"
	"io"
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
