package gormstore

import (
	"cmp"
	"context"

	"latchkey/storage"
)

type realmRow struct {
	ID                string `gorm:"column:id;primaryKey;<-:create" list:"ID"`
	Name              string `gorm:"column:name" list:"Name"`
	SelfSignup        bool   `gorm:"column:self_signup" list:"SelfSignup"`
	AutoCreateAccount bool   `gorm:"column:auto_create_account" list:"AutoCreateAccount"`
	SelfManagement    string `gorm:"column:self_management" list:"SelfManagement"`
	AccountTokenTTL   int64  `gorm:"column:account_token_ttl" list:"AccountTokenTTL,duration"`
	RedirectURIs      string `gorm:"column:redirect_uris"`
	DuplicateEmails   string `gorm:"column:duplicate_email_policy" list:"DuplicateEmailPolicy"`
	Meta              stamps `gorm:"embedded"`
}

func (*realmRow) TableName() string { return "realms" }
func (r *realmRow) stamp() *stamps  { return &r.Meta }

// realmRowOf gives empty settings the value that they have in a new realm.
func realmRowOf(r storage.Realm) realmRow {
	return realmRow{
		ID: r.ID, Name: r.Name, SelfSignup: r.SelfSignup, AutoCreateAccount: r.AutoCreateAccount,
		SelfManagement:  string(cmp.Or(r.SelfManagement, storage.SelfManagementDisabled)),
		AccountTokenTTL: r.AccountTokenTTL.Microseconds(), RedirectURIs: words(r.RedirectURIs),
		DuplicateEmails: cmp.Or(r.DuplicateEmailPolicy, "allowed"),
		Meta:            stamps{Version: r.Version, Created: micros(r.CreatedAt)},
	}
}

func (r *realmRow) record() storage.Realm {
	return storage.Realm{
		ID: r.ID, Name: r.Name, SelfSignup: r.SelfSignup, AutoCreateAccount: r.AutoCreateAccount,
		SelfManagement:  storage.SelfManagement(r.SelfManagement),
		AccountTokenTTL: span(r.AccountTokenTTL), RedirectURIs: list(r.RedirectURIs),
		DuplicateEmailPolicy: r.DuplicateEmails,
		Version:              r.Meta.Version, CreatedAt: instant(r.Meta.Created), UpdatedAt: instant(r.Meta.Updated),
	}
}

// Realm reads a realm or returns storage.ErrNotFound.
func (s *Store) Realm(ctx context.Context, id string) (storage.Realm, error) {
	row, err := first[realmRow](ctx, s, "realm", "id = ?", id)
	return row.record(), err
}

// PutRealm inserts or updates a realm and returns it as stored, with an empty
// SelfManagement as storage.SelfManagementDisabled and an empty
// DuplicateEmailPolicy as "allowed". With a Version other than 0 and than the
// stored one it returns storage.ErrStale.
func (s *Store) PutRealm(ctx context.Context, r storage.Realm) (storage.Realm, error) {
	row := realmRowOf(r)
	if err := s.changed(ctx, put(ctx, s, "put realm", &row)); err != nil {
		return storage.Realm{}, err
	}
	return row.record(), nil
}
