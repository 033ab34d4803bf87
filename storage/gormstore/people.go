package gormstore

import (
	"context"

	"latchkey/storage"
)

type userRow struct {
	UID             string `gorm:"column:uid;primaryKey"`
	RealmID         string `gorm:"column:realm_id"`
	Kind            string `gorm:"column:kind"`
	AccountUID      string `gorm:"column:account_uid"`
	ID              string `gorm:"column:id"`
	FirstName       string `gorm:"column:first_name"`
	LastName        string `gorm:"column:last_name"`
	Email           string `gorm:"column:email"`
	EmailKey        string `gorm:"column:email_key"`
	Phone           string `gorm:"column:phone"`
	Active          bool   `gorm:"column:active"`
	Locale          string `gorm:"column:locale"`
	XP              string `gorm:"column:xp"`
	TokensValidFrom int64  `gorm:"column:tokens_valid_from"`
	Meta            stamps `gorm:"embedded"`
}

const (
	userFacts columns = `realm_id kind account_uid id first_name last_name email email_key phone active
		locale tokens_valid_from`
	userState    = "uid " + userFacts
	userSettable = userFacts + " xp"
	userColumns  = "uid " + userSettable + " version created_at updated_at"
)

func (*userRow) TableName() string                  { return "users" }
func (r *userRow) stamp() *stamps                   { return &r.Meta }
func (r *userRow) identity() (column, value string) { return "uid", r.UID }
func (*userRow) settable() columns                  { return userSettable }

func (r *userRow) record() storage.User {
	return storage.User{
		UID: r.UID, RealmID: r.RealmID, Kind: storage.UserKind(r.Kind), AccountUID: r.AccountUID, ID: r.ID,
		FirstName: r.FirstName, LastName: r.LastName, Email: r.Email, EmailKey: r.EmailKey, Phone: r.Phone,
		Active: r.Active, Locale: r.Locale, XP: raw(r.XP), TokensValidFrom: instant(r.TokensValidFrom),
		Version: r.Meta.Version, CreatedAt: instant(r.Meta.Created), UpdatedAt: instant(r.Meta.Updated),
	}
}

type accountRow struct {
	UID     string `gorm:"column:uid;primaryKey"`
	RealmID string `gorm:"column:realm_id"`
	Kind    string `gorm:"column:kind"`
	ID      string `gorm:"column:id"`
	Name    string `gorm:"column:name"`
	Active  bool   `gorm:"column:active"`
	XP      string `gorm:"column:xp"`
	Meta    stamps `gorm:"embedded"`
}

const (
	accountFacts    columns = "realm_id kind id name active"
	accountState            = "uid " + accountFacts
	accountSettable         = accountFacts + " xp"
	accountColumns          = "uid " + accountSettable + " version created_at updated_at"
)

func (*accountRow) TableName() string                  { return "accounts" }
func (r *accountRow) stamp() *stamps                   { return &r.Meta }
func (r *accountRow) identity() (column, value string) { return "uid", r.UID }
func (*accountRow) settable() columns                  { return accountSettable }

func (r *accountRow) record() storage.Account {
	return storage.Account{
		UID: r.UID, RealmID: r.RealmID, Kind: storage.UserKind(r.Kind), ID: r.ID,
		Name: r.Name, Active: r.Active, XP: raw(r.XP),
		Version: r.Meta.Version, CreatedAt: instant(r.Meta.Created), UpdatedAt: instant(r.Meta.Updated),
	}
}

type membershipRow struct {
	AccountUID string `gorm:"column:account_uid"`
	UserUID    string `gorm:"column:user_uid"`
	Roles      string `gorm:"column:roles"`
	CreatedAt  int64  `gorm:"column:created_at"`
}

// Account reads an account by its identity in the dialects, or answers
// storage.ErrNotFound.
func (s *Store) Account(ctx context.Context, realmID string, kind storage.UserKind, id string) (storage.Account, error) {
	row, err := get[accountRow](ctx, s, "account",
		selecting[accountRow]()+" WHERE realm_id = ? AND kind = ? AND id = ?", realmID, string(kind), id)
	return row.record(), err
}

// PutAccount inserts or updates the account with that UID and returns it as
// stored. An outdated Version is storage.ErrStale, an ID another account has
// storage.ErrConflict.
func (s *Store) PutAccount(ctx context.Context, a storage.Account) (storage.Account, error) {
	row := accountRow{
		UID: a.UID, RealmID: a.RealmID, Kind: string(a.Kind), ID: a.ID, Name: a.Name, Active: a.Active,
		XP: string(a.XP), Meta: stamps{Version: a.Version, Created: micros(a.CreatedAt)},
	}
	if err := put(ctx, s, "put account", &row); err != nil {
		return storage.Account{}, err
	}
	return row.record(), nil
}

// User reads a user by its identity in the dialects (accountUID is empty for
// admin users), or answers storage.ErrNotFound.
func (s *Store) User(ctx context.Context, realmID string, kind storage.UserKind, accountUID, id string) (storage.User, error) {
	row, err := get[userRow](ctx, s, "user",
		selecting[userRow]()+" WHERE realm_id = ? AND kind = ? AND account_uid = ? AND id = ?",
		realmID, string(kind), accountUID, id)
	return row.record(), err
}

// UserByUID reads a user or answers storage.ErrNotFound.
func (s *Store) UserByUID(ctx context.Context, uid string) (storage.User, error) {
	row, err := find[userRow](ctx, s, "user", uid)
	return row.record(), err
}

// PutUser inserts or updates the user with that UID and returns it as stored.
// An outdated Version is storage.ErrStale, an ID another user of the account
// has storage.ErrConflict.
func (s *Store) PutUser(ctx context.Context, u storage.User) (storage.User, error) {
	row := userRow{
		UID: u.UID, RealmID: u.RealmID, Kind: string(u.Kind), AccountUID: u.AccountUID, ID: u.ID,
		FirstName: u.FirstName, LastName: u.LastName, Email: u.Email, EmailKey: u.EmailKey, Phone: u.Phone,
		Active: u.Active, Locale: u.Locale, XP: string(u.XP), TokensValidFrom: micros(u.TokensValidFrom),
		Meta: stamps{Version: u.Version, Created: micros(u.CreatedAt)},
	}
	if err := put(ctx, s, "put user", &row); err != nil {
		return storage.User{}, err
	}
	return row.record(), nil
}

// Membership reads a user's membership in an account or answers
// storage.ErrNotFound.
func (s *Store) Membership(ctx context.Context, accountUID, userUID string) (storage.Membership, error) {
	row, err := get[membershipRow](ctx, s, "membership",
		"SELECT account_uid, user_uid, roles, created_at FROM memberships WHERE account_uid = ? AND user_uid = ?",
		accountUID, userUID)
	return storage.Membership{
		AccountUID: row.AccountUID, UserUID: row.UserUID, Roles: list(row.Roles), CreatedAt: instant(row.CreatedAt),
	}, err
}

// PutMembership makes a user a member of an account or replaces its roles
// there; CreatedAt counts for a new membership only. An unknown account or
// user is storage.ErrNotFound.
func (s *Store) PutMembership(ctx context.Context, m storage.Membership) error {
	if m.CreatedAt.IsZero() {
		m.CreatedAt = s.now()
	}
	_, err := s.exec(ctx, "put membership",
		`INSERT INTO memberships (account_uid, user_uid, roles, created_at) VALUES (?, ?, ?, ?)
		ON CONFLICT (account_uid, user_uid) DO UPDATE SET roles = excluded.roles`,
		m.AccountUID, m.UserUID, words(m.Roles), micros(m.CreatedAt))
	return err
}

// DeleteMembership ends a membership or answers storage.ErrNotFound.
func (s *Store) DeleteMembership(ctx context.Context, accountUID, userUID string) error {
	n, err := s.exec(ctx, "delete membership",
		"DELETE FROM memberships WHERE account_uid = ? AND user_uid = ?", accountUID, userUID)
	return affected(n, err, s.wrap(ctx, "delete membership", storage.ErrNotFound))
}
