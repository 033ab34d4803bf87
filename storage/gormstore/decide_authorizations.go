package gormstore

import (
	"context"

	"latchkey/storage"
)

type authorizationRow struct {
	ID           string `gorm:"column:id"`
	PepperID     string `gorm:"column:pepper_id"`
	SecretDigest blob   `gorm:"column:secret_digest"`
	ClientID     string `gorm:"column:client_id"`
	SessionID    string `gorm:"column:session_id"`
	UserUID      string `gorm:"column:user_uid"`
	LoginID      string `gorm:"column:login_id"`
	SourceID     string `gorm:"column:source_id"`
	AccountUID   string `gorm:"column:account_uid"`
	RedirectURI  string `gorm:"column:redirect_uri"`
	Scope        string `gorm:"column:scope"`
	Resources    string `gorm:"column:resources"`
	Nonce        string `gorm:"column:nonce"`
	Challenge    string `gorm:"column:challenge"`
	JKT          string `gorm:"column:jkt"`
	AMR          string `gorm:"column:amr"`
	Purpose      string `gorm:"column:purpose"`
	AuthTime     int64  `gorm:"column:auth_time"`
	CreatedAt    int64  `gorm:"column:created_at"`
	ExpiresAt    int64  `gorm:"column:expires_at"`
	UsedAt       int64  `gorm:"column:used_at"`
	FamilyID     string `gorm:"column:family_id"`
}

func (*authorizationRow) TableName() string { return "authorizations" }

// insertAuthorization returns the statement of a settlement that stores an authorization.
func (s *Store) insertAuthorization(a *storage.Authorization) statement {
	return insertion(&authorizationRow{
		ID: a.ID, PepperID: a.Secret.PepperID, SecretDigest: a.Secret.Sum, ClientID: a.ClientID, SessionID: a.SessionID,
		UserUID: a.UserUID, LoginID: a.LoginID, SourceID: a.SourceID, AccountUID: a.AccountUID,
		RedirectURI: a.RedirectURI, Scope: words(a.Scope), Resources: words(a.Resources), Nonce: a.Nonce,
		Challenge: a.Challenge, JKT: a.JKT, AMR: words(a.AMR), Purpose: string(a.Purpose), AuthTime: micros(a.AuthTime),
		CreatedAt: micros(a.CreatedAt), ExpiresAt: micros(a.ExpiresAt), UsedAt: micros(a.UsedAt), FamilyID: a.FamilyID,
	})
}

func (r *authorizationRow) record() storage.Authorization {
	return storage.Authorization{
		ID: r.ID, Secret: storage.Digest{PepperID: r.PepperID, Sum: r.SecretDigest}, ClientID: r.ClientID, SessionID: r.SessionID,
		UserUID: r.UserUID, LoginID: r.LoginID, SourceID: r.SourceID, AccountUID: r.AccountUID,
		RedirectURI: r.RedirectURI, Scope: list(r.Scope), Resources: list(r.Resources), Nonce: r.Nonce,
		Challenge: r.Challenge, JKT: r.JKT, AMR: list(r.AMR), Purpose: storage.Purpose(r.Purpose), AuthTime: instant(r.AuthTime),
		CreatedAt: instant(r.CreatedAt), ExpiresAt: instant(r.ExpiresAt), UsedAt: instant(r.UsedAt), FamilyID: r.FamilyID,
	}
}

type authorizationStateRow struct {
	Who           principalRow     `gorm:"embedded"`
	Scope         scopeRow         `gorm:"embedded"`
	Authorization authorizationRow `gorm:"embedded;embeddedPrefix:t_"`
	SessionID     string           `gorm:"column:session_id"` // empty: the session has ended
}

// Authorization reads an authorization with its user as they are now, or returns
// storage.ErrNotFound. Principal and Member are as in Family.
func (s *Store) Authorization(ctx context.Context, id string) (storage.AuthorizationState, error) {
	row, err := get[authorizationStateRow](ctx, s, "authorization", s.statements.authorization, id)
	if err != nil {
		return storage.AuthorizationState{}, err
	}
	state := storage.AuthorizationState{
		Authorization: row.Authorization.record(), SessionEnded: row.SessionID == "", Member: row.Scope.record(),
	}
	state.Principal, err = s.principal(ctx, &row.Who, true)
	return state, err
}

// RedeemAuthorization uses an authorization code and begins the token family, or returns
// storage.ErrRefused and changes nothing; see storage.AuthorizationUse. It locks the
// session, so that EndSession runs completely before or after it.
func (s *Store) RedeemAuthorization(ctx context.Context, use storage.AuthorizationUse) error {
	now := micros(use.Now)
	first := statement{
		sql: `UPDATE authorizations SET used_at = ?, family_id = ?
			FROM (SELECT id FROM sessions WHERE id = (SELECT session_id FROM authorizations WHERE id = ?) AND ended_at = 0` + s.dialect.locks() + `) live
			WHERE authorizations.id = ? AND authorizations.session_id = live.id AND authorizations.used_at = 0 AND authorizations.expires_at > ?`,
		args: []any{now, use.Family.ID, use.ID, use.ID, now},
	}
	used, err := s.settle(ctx, "redeem authorization", first, s.insertFamily(use.Family))
	if err == nil && !used {
		err = s.wrap(ctx, "redeem authorization", storage.ErrRefused)
	}
	return err
}
