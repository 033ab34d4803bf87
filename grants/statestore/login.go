package statestore

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"time"

	"latchkey/otp"
	"latchkey/otp/lockout"
	"latchkey/storage"
)

// keepFor is how long the value of a login is kept after its last change or lock. Then
// its sources are not known any more.
const keepFor = 90 * 24 * time.Hour

// login is the value of a login.
type login struct {
	Lockout lockout.State
	Code    storage.Code
	Hash    *upgradedHash `json:",omitempty"`
}

// upgradedHash replaces a password hash of the server as long as that stays the same.
type upgradedHash struct{ Old, New string }

// loginKey returns the key of a login. It is a digest, so it has one form and length
// whatever was typed.
func loginKey(name string) string {
	sum := sha256.Sum256([]byte(name))
	return "login." + base64.RawURLEncoding.EncodeToString(sum[:])
}

// until returns when the value of a login may be deleted: no failure counts any more
// then, and no code is live.
func (s *Store) until(l *login) time.Time {
	lock := l.Lockout.Lockout
	end := s.now()
	for _, t := range []time.Time{lock.LockedUntil, lock.Codes.LockedUntil} {
		if t.After(end) {
			end = t
		}
	}
	if s.policy.ForgetsAfter <= 0 && lock.Failures > 0 {
		return time.Time{}
	}
	return end.Add(max(keepFor, s.policy.ForgetsAfter))
}

// user returns the user with the name, with User.Name set. known is false if there is
// none: then User.Name is the given name.
func (s *Store) user(ctx context.Context, name string) (u User, known bool, err error) {
	u, err = s.find(ctx, name)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return User{Name: name}, false, nil
	case err != nil:
		return User{}, false, unavailable("read user", err)
	case u.ID == "":
		return User{}, false, errors.New("statestore: Config.User returned a user without User.ID")
	case u.Name != otp.NormalizeUsername(u.Name):
		return User{}, false, errors.New("statestore: Config.User returned a User.Name that is not in the form of otp.NormalizeUsername")
	}
	u.Name = cmp.Or(u.Name, name)
	return u, true, nil
}

// hash returns the password hash of the user.
func (l *login) hash(u *User) string {
	if l.Hash != nil && l.Hash.Old == u.PasswordHash {
		return l.Hash.New
	}
	return u.PasswordHash
}

// principal reads the user with the name and the value of its login. The login is not
// known if the user does not exist. from chooses the source.
func (s *Store) principal(ctx context.Context, typed string, from func(lockout.State) (storage.Source, storage.Lockout)) (storage.Principal, error) {
	u, known, err := s.user(ctx, typed)
	if err != nil {
		return storage.Principal{}, err
	}
	name := u.Name
	e, err := load[login](ctx, s, loginKey(name))
	if err != nil {
		return storage.Principal{}, err
	}
	p := storage.Principal{Key: storage.LoginKey{UsernameKey: typed}, Known: known, Policy: s.policy}
	source, state := from(e.value.Lockout)
	p.Lockout = state
	if !known {
		return p, nil
	}
	p.Source, p.Roles = source, slices.Clone(u.Roles)
	p.User = storage.User{UID: u.ID, Kind: storage.Buyer, Email: u.Email, Phone: u.Phone, Active: !u.Inactive}
	p.Login = storage.Login{
		ID: name, Username: name, UsernameKey: name, UserUID: u.ID, Active: !u.Inactive, Lockout: state, Code: e.value.Code,
		PasswordHash: e.value.hash(&u), PasswordSetAt: u.PasswordSetAt, SessionsValidFrom: u.PasswordSetAt,
	}
	return p, nil
}

// Principal implements signin.Store.
func (s *Store) Principal(ctx context.Context, key storage.LoginKey) (storage.Principal, error) {
	p, err := s.principal(ctx, key.UsernameKey, func(l lockout.State) (storage.Source, storage.Lockout) { return l.From(key.Source) })
	p.Key = key
	return p, err
}

// Recipient implements otp.CodeStore. The source is a known one that is not locked, if
// there is any.
func (s *Store) Recipient(ctx context.Context, key storage.LoginKey) (storage.Principal, error) {
	return s.principal(ctx, key.UsernameKey, func(l lockout.State) (storage.Source, storage.Lockout) { return l.Unlocked(s.now()) })
}

// RecordFailure implements signin.Store. It stores no notice: the server sends no
// messages about locks.
func (s *Store) RecordFailure(ctx context.Context, p storage.Principal, next storage.Lockout, _ *storage.CodeRequest) error {
	e, err := load[login](ctx, s, loginKey(cmp.Or(p.Login.UsernameKey, p.Key.UsernameKey)))
	if err != nil {
		return err
	}
	if e.value.Lockout.Lockout.Version != p.Lockout.Version {
		return storage.ErrStale
	}
	e.value.Lockout = e.value.Lockout.Record(p.Source.ID, next)
	return e.swap(ctx, s, s.until(&e.value))
}

// SettleLogin implements signin.Store. It keeps no session (Settlement.BeginSession):
// those of browsers are the server's own.
func (s *Store) SettleLogin(ctx context.Context, x storage.Settlement) error {
	return repeat(ctx, func() error { return s.settle(ctx, &x) })
}

func (s *Store) settle(ctx context.Context, x *storage.Settlement) error {
	u, known, err := s.user(ctx, x.LoginID)
	if err != nil {
		return err
	}
	e, err := load[login](ctx, s, loginKey(x.LoginID))
	if err != nil {
		return err
	}
	l := &e.value
	if !known || u.Inactive || !l.allows(&u, x) || !isLoginOf(&u, x) {
		return storage.ErrRefused
	}
	var accepted bool
	l.Lockout, accepted = lockout.Apply(s.policy, l.Lockout, lockout.Outcome{
		Kind: lockout.Succeeded, SourceID: x.SourceID, Code: x.CodeID != "", Resumed: x.Resumed, Remember: x.Remember,
	}, x.Now)
	if !accepted {
		return storage.ErrRefused
	}
	if x.CodeID != "" {
		l.Code.UsedAt = x.Now
	}
	if x.NewHash != "" && x.OldHash == l.hash(&u) {
		l.Hash = &upgradedHash{Old: u.PasswordHash, New: x.NewHash}
	}
	var begun []Change
	if x.BeginFamily != nil {
		family, err := s.beginFamily(x.BeginFamily)
		if err != nil {
			return err
		}
		begun = append(begun, family)
	}
	if x.Authorize != nil {
		code := entry[storage.Authorization]{key: authorizationKey(x.Authorize.ID), value: *x.Authorize}
		issued, err := code.change(x.Authorize.ExpiresAt.Add(keepAuthorization))
		if err != nil {
			return err
		}
		begun = append(begun, issued)
	}
	return e.swap(ctx, s, s.until(l), begun...)
}

// isLoginOf reports whether the login of the settlement is still the user's. A name can
// have become another name of somebody else since the login was read.
func isLoginOf(u *User, x *storage.Settlement) bool {
	return u.Name == x.LoginID && (x.BeginFamily == nil || x.BeginFamily.UserUID == u.ID) &&
		(x.Authorize == nil || x.Authorize.UserUID == u.ID)
}

// allows reports whether the credential of the settlement is still valid: the code is
// live, or the password is unchanged.
func (l *login) allows(u *User, x *storage.Settlement) bool {
	if x.CodeID != "" {
		return l.Code.ID == x.CodeID && l.Code.Live(x.Now)
	}
	same := x.OldHash == l.hash(u) || x.OldHash == u.PasswordHash || x.Resumed
	return same && u.PasswordSetAt.Equal(x.PasswordSetAt)
}

// IssueCode implements otp.CodeStore.
func (s *Store) IssueCode(ctx context.Context, loginID string, code storage.Code) error {
	return repeat(ctx, func() error {
		e, err := load[login](ctx, s, loginKey(loginID))
		if err != nil {
			return err
		}
		e.value.Code = code
		return e.swap(ctx, s, s.until(&e.value))
	})
}

// Unlock clears the failures and locks of a user, for support. name is any name of the
// user, or an unknown name, in the form of otp.NormalizeUsername.
func (s *Store) Unlock(ctx context.Context, name string) error {
	return repeat(ctx, func() error {
		u, _, err := s.user(ctx, name)
		if err != nil {
			return err
		}
		e, err := load[login](ctx, s, loginKey(u.Name))
		if err != nil {
			return err
		}
		e.value.Lockout, _ = lockout.Apply(s.policy, e.value.Lockout, lockout.Outcome{Kind: lockout.Cleared}, s.now())
		return e.swap(ctx, s, s.until(&e.value))
	})
}
