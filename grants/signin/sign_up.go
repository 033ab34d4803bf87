package signin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"latchkey/otp"
	"latchkey/storage"
)

// Errors of SignUps.
var (
	// ErrSignUpDisabled says that users cannot sign up by themselves in the realm.
	ErrSignUpDisabled = errors.New("self signup is not enabled")
	// ErrSignUpRefused says that such a user could not sign in through the client with
	// a password.
	ErrSignUpRefused = errors.New("the client may not sign such users in")
	// ErrForeignProfile says that the realm of the user does not have the password
	// profile.
	ErrForeignProfile = errors.New("the password profile is not one of the realm")
)

// NewLoginStore is the part of a store that new logins need.
type NewLoginStore interface {
	// PasswordProfile reads a password profile by its id, or returns storage.ErrNotFound.
	PasswordProfile(ctx context.Context, id string) (storage.PasswordProfile, error)
	// Rules returns what a password of the user must satisfy in the profile.
	Rules(ctx context.Context, profileID string, u storage.User) (storage.PasswordRules, error)
}

// PasswordPreparer checks and hashes the password of a login that does not exist yet;
// *Passwords implements it.
type PasswordPreparer interface {
	Prepare(ctx context.Context, p *storage.Principal, password string) (storage.PasswordChange, error)
}

// SignUps creates logins with permanent passwords, for administrators and for users
// who sign up by themselves. All fields but Admit and MinPasswordLength are required.
type SignUps struct {
	Store     NewLoginStore
	Passwords PasswordPreparer
	Rand      io.Reader

	// Admit returns a *storage.LimitError if too many users have signed up from the
	// address. nil: there is no limit.
	Admit func(ctx context.Context, from netip.Addr) error
	// MinPasswordLength is the least number of characters of a password, whatever the
	// password profile says. 0: the password profile decides.
	MinPasswordLength int
}

// LoginRequest describes the login to create.
type LoginRequest struct {
	ProfileID string
	Username  string
	Password  string
}

// CheckSignUp returns ErrSignUpDisabled unless users may sign up by themselves in the
// realm.
func CheckSignUp(realm storage.Realm) error {
	if !realm.SelfSignup {
		return ErrSignUpDisabled
	}
	return nil
}

// Prepare returns the user with the login that a user who signs up will have. It
// stores nothing. A password hash is expensive, so the limit of the address applies
// before anything is hashed.
//
// Parameters: user is of Realm.NewMember. from is the address of the user. Errors:
// ErrSignUpDisabled, ErrSignUpRefused, *storage.LimitError, and those of NewLogin.
func (s *SignUps) Prepare(
	ctx context.Context, client *storage.Client, realm storage.Realm, user storage.NewUser, login LoginRequest, from netip.Addr,
) (storage.NewUser, error) {
	if err := CheckSignUp(realm); err != nil {
		return user, err
	}
	if !client.Admits(user.User) || !client.Credentials.Password {
		return user, ErrSignUpRefused
	}
	if s.Admit != nil {
		if err := s.Admit(ctx, from); err != nil {
			return user, err
		}
	}
	l, err := s.NewLogin(ctx, user.User, login)
	user.Login = &l
	return user, err
}

// NewLogin returns a new login of a user, who need not be stored yet. It stores
// nothing. Errors: ErrForeignProfile, those of otp.SetUsername, *RuleError, ErrBusy,
// and those of the store.
func (s *SignUps) NewLogin(ctx context.Context, u storage.User, r LoginRequest) (storage.Login, error) {
	p, err := s.Store.PasswordProfile(ctx, r.ProfileID)
	if errors.Is(err, storage.ErrNotFound) || err == nil && p.RealmID != u.RealmID {
		return storage.Login{}, ErrForeignProfile
	}
	if err != nil {
		return storage.Login{}, fmt.Errorf("read password profile: %w", err)
	}
	id, err := storage.NewUUID(s.Rand)
	if err != nil {
		return storage.Login{}, err
	}
	l := storage.Login{ID: id, ProfileID: p.ID, UserUID: u.UID, Active: true}
	if err := otp.SetUsername(&l, p, r.Username); err != nil {
		return l, err
	}
	rules, err := s.Store.Rules(ctx, p.ID, u)
	if err != nil {
		return l, fmt.Errorf("read password rules: %w", err)
	}
	change, err := s.Passwords.Prepare(ctx, &storage.Principal{User: u, Rules: rules.WithMinLength(s.MinPasswordLength)}, r.Password)
	if err != nil {
		return l, err
	}
	l.PasswordHash, l.PasswordSetAt = change.Hash, change.Now
	return l, nil
}
