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
	Name            string `gorm:"column:name"`
	FirstName       string `gorm:"column:first_name"`
	MiddleName      string `gorm:"column:middle_name"`
	LastName        string `gorm:"column:last_name"`
	Email           string `gorm:"column:email"`
	EmailKey        string `gorm:"column:email_key"`
	Phone           string `gorm:"column:phone"`
	Active          bool   `gorm:"column:active"`
	Locale          string `gorm:"column:locale"`
	XP              string `gorm:"column:xp"`
	TermsAccepted   int64  `gorm:"column:terms_accepted"`
	TokensValidFrom int64  `gorm:"column:tokens_valid_from"`
	ValidFrom       int64  `gorm:"column:valid_from"`
	Meta            stamps `gorm:"embedded"`
}

const (
	userFacts columns = `realm_id kind account_uid id name first_name middle_name last_name email email_key phone
		active locale terms_accepted`
	userState    = "uid " + userFacts + " tokens_valid_from valid_from"
	userSettable = userFacts + " xp"
	userColumns  = userState + " xp version created_at updated_at"
)

func (*userRow) TableName() string                  { return "users" }
func (r *userRow) stamp() *stamps                   { return &r.Meta }
func (r *userRow) identity() (column, value string) { return "uid", r.UID }

// settable leaves out from when on tokens are valid: whoever changes a user that
// was read earlier does not bring revoked tokens back.
func (*userRow) settable() columns { return userSettable }

func (r *userRow) switched() (on bool, mark, also string) { return r.Active, "valid_from", "" }

func userRowOf(u storage.User) userRow {
	return userRow{
		UID: u.UID, RealmID: u.RealmID, Kind: string(u.Kind), AccountUID: u.AccountUID, ID: u.ID,
		Name: u.Name, FirstName: u.FirstName, MiddleName: u.MiddleName, LastName: u.LastName,
		Email: u.Email, EmailKey: u.EmailKey, Phone: u.Phone,
		Active: u.Active, Locale: u.Locale, XP: string(u.XP), TermsAccepted: micros(u.TermsAccepted), TokensValidFrom: micros(u.TokensValidFrom), ValidFrom: micros(u.ValidFrom),
		Meta: stamps{Version: u.Version, Created: micros(u.CreatedAt)},
	}
}

func (r *userRow) record() storage.User {
	return storage.User{
		UID: r.UID, RealmID: r.RealmID, Kind: storage.UserKind(r.Kind), AccountUID: r.AccountUID, ID: r.ID,
		Name: r.Name, FirstName: r.FirstName, MiddleName: r.MiddleName, LastName: r.LastName,
		Email: r.Email, EmailKey: r.EmailKey, Phone: r.Phone,
		Active: r.Active, Locale: r.Locale, XP: raw(r.XP), TermsAccepted: instant(r.TermsAccepted), TokensValidFrom: instant(r.TokensValidFrom), ValidFrom: instant(r.ValidFrom),
		Version: r.Meta.Version, CreatedAt: instant(r.Meta.Created), UpdatedAt: instant(r.Meta.Updated),
	}
}

type accountRow struct {
	UID            string `gorm:"column:uid;primaryKey"`
	RealmID        string `gorm:"column:realm_id"`
	Kind           string `gorm:"column:kind"`
	ID             string `gorm:"column:id"`
	Name           string `gorm:"column:name"`
	Active         bool   `gorm:"column:active"`
	XP             string `gorm:"column:xp"`
	LegalName      string `gorm:"column:legal_name"`
	RegistrationID string `gorm:"column:registration_id"`
	ExternalRef    string `gorm:"column:external_ref"`
	ParentUID      string `gorm:"column:parent_uid"`
	ValidFrom      int64  `gorm:"column:valid_from"`
	Meta           stamps `gorm:"embedded"`
}

const (
	accountFacts    columns = "realm_id kind id name active"
	accountState            = "uid " + accountFacts + " valid_from"
	accountSettable         = accountFacts + " xp legal_name registration_id external_ref parent_uid"
	accountColumns          = "uid " + accountSettable + " valid_from version created_at updated_at"
)

func (*accountRow) TableName() string                  { return "accounts" }
func (r *accountRow) stamp() *stamps                   { return &r.Meta }
func (r *accountRow) identity() (column, value string) { return "uid", r.UID }
func (*accountRow) settable() columns                  { return accountSettable }

func (r *accountRow) switched() (on bool, mark, also string) { return r.Active, "valid_from", "" }

func accountRowOf(a storage.Account) accountRow {
	return accountRow{
		UID: a.UID, RealmID: a.RealmID, Kind: string(a.Kind), ID: a.ID, Name: a.Name, Active: a.Active,
		XP: string(a.XP), LegalName: a.LegalName, RegistrationID: a.RegistrationID, ExternalRef: a.ExternalRef,
		ParentUID: a.ParentUID, ValidFrom: micros(a.ValidFrom), Meta: stamps{Version: a.Version, Created: micros(a.CreatedAt)},
	}
}

func (r *accountRow) record() storage.Account {
	return storage.Account{
		UID: r.UID, RealmID: r.RealmID, Kind: storage.UserKind(r.Kind), ID: r.ID,
		Name: r.Name, Active: r.Active, XP: raw(r.XP), LegalName: r.LegalName,
		RegistrationID: r.RegistrationID, ExternalRef: r.ExternalRef, ParentUID: r.ParentUID,
		ValidFrom: instant(r.ValidFrom),
		Version:   r.Meta.Version, CreatedAt: instant(r.Meta.Created), UpdatedAt: instant(r.Meta.Updated),
	}
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
	row := accountRowOf(a)
	if err := put(ctx, s, "put account", &row); err != nil {
		return storage.Account{}, err
	}
	return row.record(), nil
}

// User reads a user by its identity in the dialects (accountUID is empty for
// admin users), or answers storage.ErrNotFound.
func (s *Store) User(ctx context.Context, realmID string, kind storage.UserKind, accountUID, id string) (storage.User, error) {
	row, err := get[userRow](ctx, s, "user",
		"SELECT "+userColumns.list()+" FROM users WHERE realm_id = ? AND kind = ? AND account_uid = ? AND id = ?",
		realmID, string(kind), accountUID, id)
	return row.record(), err
}

// UserByUID reads a user or answers storage.ErrNotFound.
func (s *Store) UserByUID(ctx context.Context, uid string) (storage.User, error) {
	row, err := get[userRow](ctx, s, "user", "SELECT "+userColumns.list()+" FROM users WHERE uid = ?", uid)
	return row.record(), err
}

// AccountByUID reads an account or answers storage.ErrNotFound.
func (s *Store) AccountByUID(ctx context.Context, uid string) (storage.Account, error) {
	row, err := find[accountRow](ctx, s, "account", uid)
	return row.record(), err
}

// PutUser inserts or updates the user with that UID and returns it as stored. A
// new user of an account becomes a member of it, without roles there.
// TokensValidFrom counts for a new user only (see RevokeUserTokens). An
// outdated Version is storage.ErrStale, an ID another user of the account has
// storage.ErrConflict, a new user's unknown account storage.ErrNotFound.
func (s *Store) PutUser(ctx context.Context, u storage.User) (storage.User, error) {
	row := userRowOf(u)
	err := s.InTx(ctx, func(ctx context.Context) error {
		if err := put(ctx, s, "put user", &row); err != nil || row.Meta.Version != 1 {
			return err
		}
		return s.join(ctx, row.AccountUID, &row)
	})
	if err != nil {
		return storage.User{}, err
	}
	return row.record(), nil
}
