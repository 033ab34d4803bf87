package gormstore

import (
	"context"

	"latchkey/storage"
)

// userRow is a row of the users. An update does not change the time from which tokens are
// valid. Otherwise a change of a user that was read earlier would make revoked tokens valid
// again.
type userRow struct {
	Facts userFacts `gorm:"embedded"`
	XP    string    `gorm:"column:xp" list:"XP,json"`
	Meta  stamps    `gorm:"embedded"`
}

// userFacts has the columns of a user that a sign-in reads.
type userFacts struct {
	UID             string `gorm:"column:uid;primaryKey;<-:create" list:"UID"`
	RealmID         string `gorm:"column:realm_id" list:"RealmID"`
	Kind            string `gorm:"column:kind" list:"Kind"`
	AccountUID      string `gorm:"column:account_uid" list:"AccountUID"`
	ID              string `gorm:"column:id" list:"ID"`
	Name            string `gorm:"column:name"`
	FirstName       string `gorm:"column:first_name" list:"FirstName"`
	MiddleName      string `gorm:"column:middle_name" list:"MiddleName"`
	LastName        string `gorm:"column:last_name" list:"LastName"`
	Email           string `gorm:"column:email" list:"Email,folded"`
	EmailKey        string `gorm:"column:email_key"`
	VerifiedEmail   string `gorm:"column:verified_email"`
	Phone           string `gorm:"column:phone" list:"Phone"`
	Active          bool   `gorm:"column:active" list:"Active"`
	Locale          string `gorm:"column:locale" list:"Locale"`
	TermsAccepted   int64  `gorm:"column:terms_accepted" list:"TermsAccepted,optional time"`
	TokensValidFrom int64  `gorm:"column:tokens_valid_from;<-:create" list:"TokensValidFrom,optional time"`
	ValidFrom       int64  `gorm:"column:valid_from;<-:create"`
}

func (*userRow) TableName() string { return "users" }
func (r *userRow) stamp() *stamps  { return &r.Meta }

func (r *userRow) switched() (id string, on bool, mark, also string) {
	return r.Facts.UID, r.Facts.Active, "valid_from", ""
}

// userRowOf returns the row of a user. It keeps VerifiedEmail only if that is the present
// address. So a change of the address ends the verification.
func userRowOf(u storage.User) userRow {
	if !u.EmailVerified() {
		u.VerifiedEmail = ""
	}
	return userRow{
		Facts: userFacts{
			UID: u.UID, RealmID: u.RealmID, Kind: string(u.Kind), AccountUID: u.AccountUID, ID: u.ID,
			Name: u.Name, FirstName: u.FirstName, MiddleName: u.MiddleName, LastName: u.LastName,
			Email: u.Email, EmailKey: u.EmailKey, VerifiedEmail: u.VerifiedEmail, Phone: u.Phone, Active: u.Active, Locale: u.Locale,
			TermsAccepted: micros(u.TermsAccepted), TokensValidFrom: micros(u.TokensValidFrom), ValidFrom: micros(u.ValidFrom),
		},
		XP: string(u.XP), Meta: stamps{Version: u.Version, Created: micros(u.CreatedAt)},
	}
}

func (r *userFacts) record() storage.User {
	return storage.User{
		UID: r.UID, RealmID: r.RealmID, Kind: storage.UserKind(r.Kind), AccountUID: r.AccountUID, ID: r.ID,
		Name: r.Name, FirstName: r.FirstName, MiddleName: r.MiddleName, LastName: r.LastName,
		Email: r.Email, EmailKey: r.EmailKey, VerifiedEmail: r.VerifiedEmail, Phone: r.Phone, Active: r.Active, Locale: r.Locale,
		TermsAccepted: instant(r.TermsAccepted), TokensValidFrom: instant(r.TokensValidFrom), ValidFrom: instant(r.ValidFrom),
	}
}

func (r *userRow) record() storage.User {
	u := r.Facts.record()
	u.XP, u.Version = raw(r.XP), r.Meta.Version
	u.CreatedAt, u.UpdatedAt = instant(r.Meta.Created), instant(r.Meta.Updated)
	return u
}

// User reads a user by its identity in the dialects (accountUID is empty for
// admin users), or returns storage.ErrNotFound.
func (s *Store) User(ctx context.Context, realmID string, kind storage.UserKind, accountUID, id string) (storage.User, error) {
	row, err := first[userRow](ctx, s, "user",
		"realm_id = ? AND kind = ? AND account_uid = ? AND id = ?", realmID, string(kind), accountUID, id)
	return row.record(), err
}

// UserByUID reads a user or returns storage.ErrNotFound.
func (s *Store) UserByUID(ctx context.Context, uid string) (storage.User, error) {
	row, err := first[userRow](ctx, s, "user", "uid = ?", uid)
	return row.record(), err
}

// PutUser inserts or updates the user with that UID and returns it as stored. A new user of
// an account becomes a member of it, without roles there. TokensValidFrom is stored for a
// new user only (see RevokeUserTokens). Errors: storage.ErrStale for an outdated Version,
// storage.ErrConflict if another user of the account has the ID, storage.ErrNotFound for an
// unknown account of a new user.
func (s *Store) PutUser(ctx context.Context, u storage.User) (storage.User, error) {
	row := userRowOf(u)
	err := s.InTx(ctx, func(ctx context.Context) error {
		if err := put(ctx, s, "put user", &row); err != nil || row.Meta.Version != 1 {
			return err
		}
		return s.join(ctx, u.AccountUID, &row)
	})
	if err != nil {
		return storage.User{}, err
	}
	return row.record(), nil
}
