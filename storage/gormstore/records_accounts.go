package gormstore

import (
	"context"

	"latchkey/storage"
)

type accountRow struct {
	Facts          accountFacts `gorm:"embedded"`
	XP             string       `gorm:"column:xp" list:"XP,json"`
	LegalName      string       `gorm:"column:legal_name" list:"LegalName"`
	RegistrationID string       `gorm:"column:registration_id" list:"RegistrationID"`
	ExternalRef    string       `gorm:"column:external_ref" list:"ExternalRef"`
	ParentUID      string       `gorm:"column:parent_uid" list:"ParentUID"`
	Meta           stamps       `gorm:"embedded"`
}

// accountFacts has the columns of an account that a sign-in reads.
type accountFacts struct {
	UID       string `gorm:"column:uid;primaryKey;<-:create" list:"UID"`
	RealmID   string `gorm:"column:realm_id" list:"RealmID"`
	Kind      string `gorm:"column:kind" list:"Kind"`
	ID        string `gorm:"column:id" list:"ID"`
	Name      string `gorm:"column:name" list:"Name"`
	Active    bool   `gorm:"column:active" list:"Active"`
	ValidFrom int64  `gorm:"column:valid_from;<-:create"`
}

func (*accountRow) TableName() string { return "accounts" }
func (r *accountRow) stamp() *stamps  { return &r.Meta }

func (r *accountRow) switched() (id string, on bool, mark, also string) {
	return r.Facts.UID, r.Facts.Active, "valid_from", ""
}

func accountRowOf(a storage.Account) accountRow {
	return accountRow{
		Facts: accountFacts{
			UID: a.UID, RealmID: a.RealmID, Kind: string(a.Kind), ID: a.ID, Name: a.Name, Active: a.Active,
			ValidFrom: micros(a.ValidFrom),
		},
		XP: string(a.XP), LegalName: a.LegalName, RegistrationID: a.RegistrationID, ExternalRef: a.ExternalRef,
		ParentUID: a.ParentUID, Meta: stamps{Version: a.Version, Created: micros(a.CreatedAt)},
	}
}

func (r *accountFacts) record() storage.Account {
	return storage.Account{
		UID: r.UID, RealmID: r.RealmID, Kind: storage.UserKind(r.Kind), ID: r.ID, Name: r.Name, Active: r.Active,
		ValidFrom: instant(r.ValidFrom),
	}
}

func (r *accountRow) record() storage.Account {
	a := r.Facts.record()
	a.XP, a.LegalName, a.RegistrationID = raw(r.XP), r.LegalName, r.RegistrationID
	a.ExternalRef, a.ParentUID, a.Version = r.ExternalRef, r.ParentUID, r.Meta.Version
	a.CreatedAt, a.UpdatedAt = instant(r.Meta.Created), instant(r.Meta.Updated)
	return a
}

// Account reads an account by its identity in the dialects, or returns
// storage.ErrNotFound.
func (s *Store) Account(ctx context.Context, realmID string, kind storage.UserKind, id string) (storage.Account, error) {
	row, err := first[accountRow](ctx, s, "account", "realm_id = ? AND kind = ? AND id = ?", realmID, string(kind), id)
	return row.record(), err
}

// AccountByUID reads an account or returns storage.ErrNotFound.
func (s *Store) AccountByUID(ctx context.Context, uid string) (storage.Account, error) {
	row, err := first[accountRow](ctx, s, "account", "uid = ?", uid)
	return row.record(), err
}

// PutAccount inserts or updates the account with that UID and returns it as stored. Errors:
// storage.ErrStale for an outdated Version, storage.ErrConflict if another account has the
// ID.
func (s *Store) PutAccount(ctx context.Context, a storage.Account) (storage.Account, error) {
	row := accountRowOf(a)
	if err := put(ctx, s, "put account", &row); err != nil {
		return storage.Account{}, err
	}
	return row.record(), nil
}
