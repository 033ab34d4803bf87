package admin

import (
	"context"
	"errors"
	"time"

	"latchkey/storage"
)

// LockoutStore keeps the failed attempts of logins; *gormstore.Store is one.
type LockoutStore interface {
	// LoginsOfUser returns the logins of a user by profile.
	LoginsOfUser(ctx context.Context, uid string) ([]storage.Login, error)
	// PrincipalOf returns all that a decision about the user of a login needs, or
	// storage.ErrNotFound.
	PrincipalOf(ctx context.Context, loginID string) (storage.Principal, error)
	// Sources returns the known addresses of a login with their own failed attempts.
	Sources(ctx context.Context, loginID string) ([]storage.SourceState, error)
	// Unlock clears all failed attempts of a login.
	Unlock(ctx context.Context, loginID string, now time.Time) error
}

// Lockouts shows and ends locks. All fields are required.
type Lockouts struct {
	Store LockoutStore
	Now   func() time.Time
}

// OfUser returns the lock states of the logins of a user, by password profile.
func (l *Lockouts) OfUser(ctx context.Context, userUID string) ([]storage.LoginLockout, error) {
	logins, err := l.Store.LoginsOfUser(ctx, userUID)
	if err != nil {
		return nil, err
	}
	all := make([]storage.LoginLockout, 0, len(logins))
	for _, login := range logins {
		one, err := l.OfLogin(ctx, login.ID)
		switch {
		case errors.Is(err, storage.ErrNotFound): // deleted meanwhile
		case err != nil:
			return nil, err
		default:
			all = append(all, one)
		}
	}
	return all, nil
}

// OfLogin returns the lock state of a login, or storage.ErrNotFound.
func (l *Lockouts) OfLogin(ctx context.Context, loginID string) (storage.LoginLockout, error) {
	p, err := l.Store.PrincipalOf(ctx, loginID)
	if err != nil {
		return storage.LoginLockout{}, err
	}
	sources, err := l.Store.Sources(ctx, loginID)
	p.Login.Lockout = p.Lockout
	return storage.LoginLockout{Login: p.Login, Policy: p.Policy, Sources: sources}, err
}

// UnlockUser clears the failed attempts of all logins of a user, at all addresses.
func (l *Lockouts) UnlockUser(ctx context.Context, userUID string) error {
	logins, err := l.Store.LoginsOfUser(ctx, userUID)
	for _, login := range logins {
		err = errors.Join(err, l.UnlockLogin(ctx, login.ID))
	}
	return err
}

// UnlockLogin clears the failed attempts of a login, at all addresses.
func (l *Lockouts) UnlockLogin(ctx context.Context, loginID string) error {
	return l.Store.Unlock(ctx, loginID, l.Now().UTC())
}
