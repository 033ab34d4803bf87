package gormstore

import (
	"context"
	"errors"
	"fmt"

	"latchkey/storage"
)

// loginRow is a row of the logins. An update writes the administrator's view of it,
// and leaves what attempts and passwords change.
type loginRow struct {
	Facts loginFacts `gorm:"embedded"`
	Meta  stamps     `gorm:"embedded"`
}

// loginFacts has the columns of a login that a sign-in reads.
type loginFacts struct {
	ID                string     `gorm:"column:id;primaryKey;<-:create" list:"ID"`
	ProfileID         string     `gorm:"column:profile_id" list:"ProfileID"`
	Username          string     `gorm:"column:username" list:"Username,folded"`
	UsernameKey       string     `gorm:"column:username_key" list:"UsernameKey"`
	UserUID           string     `gorm:"column:user_uid" list:"UserUID"`
	Active            bool       `gorm:"column:active" list:"Active"`
	PasswordHash      string     `gorm:"column:password_hash;<-:create"`
	PasswordSetAt     int64      `gorm:"column:password_set_at;<-:create" list:"PasswordSetAt,optional time"`
	LastActiveAt      int64      `gorm:"column:last_active_at;<-:create"`
	SessionsValidFrom int64      `gorm:"column:sessions_valid_from;<-:create" list:"SessionsValidFrom,optional time"`
	KeptSession       string     `gorm:"column:kept_session;<-:create"`
	Lockout           lockoutRow `gorm:"embedded"`
	Code              codeRow    `gorm:"embedded;embeddedPrefix:code_"`
}

// lockoutRow is the failure state in logins and phantoms.
type lockoutRow struct {
	Failures      int        `gorm:"column:failures;<-:create" list:"Lockout.Failures"`
	LastFailureAt int64      `gorm:"column:last_failure_at;<-:create" list:"Lockout.LastFailureAt,optional time"`
	LockedUntil   int64      `gorm:"column:locked_until;<-:create" list:"Lockout.LockedUntil,optional time"`
	Codes         counterRow `gorm:"embedded;embeddedPrefix:codes_"`
	NotifiedAt    int64      `gorm:"column:notified_at;<-:create"`
	Version       int64      `gorm:"column:lockout_version;<-:create"`
}

// counterRow is the counter of guesses at codes or of a source.
type counterRow struct {
	Failures      int   `gorm:"column:failures;<-:create"`
	LastFailureAt int64 `gorm:"column:last_failure_at;<-:create"`
	LockedUntil   int64 `gorm:"column:locked_until;<-:create"`
}

type codeRow struct {
	ID         string `gorm:"column:id;<-:create"`
	RequestID  string `gorm:"column:request_id;<-:create"`
	ClientID   string `gorm:"column:client_id;<-:create"`
	Purpose    string `gorm:"column:purpose;<-:create"`
	PepperID   string `gorm:"column:pepper_id;<-:create"`
	Digest     blob   `gorm:"column:digest;<-:create"`
	NameDigest blob   `gorm:"column:name_digest;<-:create"`
	MailedTo   string `gorm:"column:mailed_to;<-:create"`
	IssuedAt   int64  `gorm:"column:issued_at;<-:create"`
	ExpiresAt  int64  `gorm:"column:expires_at;<-:create"`
	UsedAt     int64  `gorm:"column:used_at;<-:create"`
}

func (*loginRow) TableName() string { return "logins" }
func (r *loginRow) stamp() *stamps  { return &r.Meta }

func (r *loginRow) switched() (id string, on bool, mark, also string) {
	return r.Facts.ID, r.Facts.Active, "sessions_valid_from", ", kept_session = ''"
}

func (r *lockoutRow) record() storage.Lockout {
	return storage.Lockout{
		Failures: r.Failures, LastFailureAt: instant(r.LastFailureAt), LockedUntil: instant(r.LockedUntil),
		Codes: r.Codes.record(), NotifiedAt: instant(r.NotifiedAt), Version: r.Version,
	}
}

func lockoutRowOf(l storage.Lockout) lockoutRow {
	return lockoutRow{
		Failures: l.Failures, LastFailureAt: micros(l.LastFailureAt), LockedUntil: micros(l.LockedUntil),
		Codes: counterRowOf(l.Codes), NotifiedAt: micros(l.NotifiedAt), Version: l.Version,
	}
}

func (r *counterRow) record() storage.Counter {
	return storage.Counter{
		Failures: r.Failures, LastFailureAt: instant(r.LastFailureAt), LockedUntil: instant(r.LockedUntil),
	}
}

func counterRowOf(c storage.Counter) counterRow {
	return counterRow{
		Failures: c.Failures, LastFailureAt: micros(c.LastFailureAt), LockedUntil: micros(c.LockedUntil),
	}
}

func (r *codeRow) record() storage.Code {
	return storage.Code{
		ID: r.ID, RequestID: r.RequestID, ClientID: r.ClientID, Purpose: storage.Purpose(r.Purpose),
		Digest: storage.Digest{PepperID: r.PepperID, Sum: r.Digest}, NameDigest: r.NameDigest, MailedTo: r.MailedTo,
		IssuedAt: instant(r.IssuedAt), ExpiresAt: instant(r.ExpiresAt), UsedAt: instant(r.UsedAt),
	}
}

func (r *loginFacts) record() storage.Login {
	return storage.Login{
		ID: r.ID, ProfileID: r.ProfileID, Username: r.Username, UsernameKey: r.UsernameKey,
		UserUID: r.UserUID, Active: r.Active,
		PasswordHash: r.PasswordHash, PasswordSetAt: instant(r.PasswordSetAt),
		LastActiveAt:      instant(r.LastActiveAt),
		SessionsValidFrom: instant(r.SessionsValidFrom), KeptSession: r.KeptSession,
		Lockout: r.Lockout.record(), Code: r.Code.record(),
	}
}

func (r *loginRow) record() storage.Login {
	l := r.Facts.record()
	l.Version, l.CreatedAt, l.UpdatedAt = r.Meta.Version, instant(r.Meta.Created), instant(r.Meta.Updated)
	return l
}

func loginRowOf(l storage.Login) loginRow {
	return loginRow{
		Facts: loginFacts{
			ID: l.ID, ProfileID: l.ProfileID, Username: l.Username, UsernameKey: l.UsernameKey,
			UserUID: l.UserUID, Active: l.Active,
			PasswordHash: l.PasswordHash, PasswordSetAt: micros(l.PasswordSetAt),
			LastActiveAt:      micros(l.LastActiveAt),
			SessionsValidFrom: micros(l.SessionsValidFrom), KeptSession: l.KeptSession,
			Lockout: lockoutRowOf(l.Lockout),
			Code: codeRow{
				ID: l.Code.ID, RequestID: l.Code.RequestID, ClientID: l.Code.ClientID, Purpose: string(l.Code.Purpose),
				PepperID: l.Code.Digest.PepperID, Digest: l.Code.Digest.Sum, NameDigest: l.Code.NameDigest, MailedTo: l.Code.MailedTo,
				IssuedAt: micros(l.Code.IssuedAt), ExpiresAt: micros(l.Code.ExpiresAt), UsedAt: micros(l.Code.UsedAt),
			},
		},
		Meta: stamps{Version: l.Version, Created: micros(l.CreatedAt)},
	}
}

// Login reads a login by profile and normalised username, or returns
// storage.ErrNotFound.
func (s *Store) Login(ctx context.Context, profileID, usernameKey string) (storage.Login, error) {
	row, err := first[loginRow](ctx, s, "login", "profile_id = ? AND username_key = ?", profileID, usernameKey)
	return row.record(), err
}

// LoginByID reads a login or returns storage.ErrNotFound.
func (s *Store) LoginByID(ctx context.Context, id string) (storage.Login, error) {
	row, err := first[loginRow](ctx, s, "login", "id = ?", id)
	return row.record(), err
}

// LoginsOfUser lists the logins of a user by profile.
func (s *Store) LoginsOfUser(ctx context.Context, uid string) ([]storage.Login, error) {
	rows, err := find[loginRow](ctx, s, "logins of user", "profile_id, username_key", "user_uid = ?", uid)
	return recordsOf(rows, (*loginRow).record), err
}

// PutLogin inserts the login as it is, or updates the administrator's view of the one with
// that ID: profile, username, user and whether it is active. The lockout state, the code
// and the password of an existing login stay. It returns the login as stored. Errors:
// storage.ErrStale for an outdated Version, storage.ErrUsernameTaken if another login of
// the profile has the username, storage.ErrNotFound for an unknown profile or user.
func (s *Store) PutLogin(ctx context.Context, l storage.Login) (storage.Login, error) {
	row := loginRowOf(l)
	if err := taken(put(ctx, s, "put login", &row)); err != nil {
		return storage.Login{}, err
	}
	return row.record(), nil
}

// taken replaces storage.ErrConflict by storage.ErrUsernameTaken. A login's ID is random,
// so a conflict is always about the username.
func taken(err error) error {
	if errors.Is(err, storage.ErrConflict) {
		return fmt.Errorf("%w: %w", storage.ErrUsernameTaken, err)
	}
	return err
}
