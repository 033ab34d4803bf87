package gormstore

import (
	"context"
	"strconv"
	"strings"
	"time"

	"latchkey/storage"
)

type familyRow struct {
	ID         string `gorm:"column:id"`
	ClientID   string `gorm:"column:client_id"`
	UserUID    string `gorm:"column:user_uid"`
	LoginID    string `gorm:"column:login_id"`
	AccountUID string `gorm:"column:account_uid"`
	SourceID   string `gorm:"column:source_id"`
	SessionID  string `gorm:"column:session_id"`
	Scope      string `gorm:"column:scope"`
	Resources  string `gorm:"column:resources"`
	JKT        string `gorm:"column:jkt"`
	AMR        string `gorm:"column:amr"`
	Purpose    string `gorm:"column:purpose"`
	AuthTime   int64  `gorm:"column:auth_time"`
	SeedDigest blob   `gorm:"column:seed_digest"`
	Generation int64  `gorm:"column:generation"`
	RotatedAt  int64  `gorm:"column:rotated_at"`
	Rotations  string `gorm:"column:rotations"`
	ExpiresAt  int64  `gorm:"column:expires_at"`
	IdleUntil  int64  `gorm:"column:idle_until"`
	RevokedAt  int64  `gorm:"column:revoked_at"`
	CreatedAt  int64  `gorm:"column:created_at"`
}

func (*familyRow) TableName() string { return "families" }

func familyRowOf(f *storage.TokenFamily) familyRow {
	return familyRow{
		ID: f.ID, ClientID: f.ClientID, UserUID: f.UserUID, LoginID: f.LoginID, AccountUID: f.AccountUID,
		SourceID: f.SourceID, SessionID: f.SessionID, Scope: words(f.Scope), Resources: words(f.Resources), JKT: f.JKT, AMR: words(f.AMR),
		Purpose: string(f.Purpose), AuthTime: micros(f.AuthTime), SeedDigest: f.SeedDigest, Generation: f.Generation,
		RotatedAt: micros(f.RotatedAt), Rotations: formatRotations(f.Rotations), ExpiresAt: micros(f.ExpiresAt),
		IdleUntil: micros(f.IdleUntil), RevokedAt: micros(f.RevokedAt), CreatedAt: micros(f.CreatedAt),
	}
}

func (r *familyRow) record() storage.TokenFamily {
	return storage.TokenFamily{
		ID: r.ID, ClientID: r.ClientID, UserUID: r.UserUID, LoginID: r.LoginID, AccountUID: r.AccountUID,
		SourceID: r.SourceID, SessionID: r.SessionID, Scope: list(r.Scope), Resources: list(r.Resources), JKT: r.JKT, AMR: list(r.AMR), Purpose: storage.Purpose(r.Purpose), AuthTime: instant(r.AuthTime),
		SeedDigest: r.SeedDigest, Generation: r.Generation, RotatedAt: instant(r.RotatedAt), Rotations: parseRotations(r.Rotations),
		ExpiresAt: instant(r.ExpiresAt), IdleUntil: instant(r.IdleUntil),
		RevokedAt: instant(r.RevokedAt), CreatedAt: instant(r.CreatedAt),
	}
}

// insertFamily returns the statement of a settlement that stores a new family.
func (s *Store) insertFamily(f *storage.TokenFamily) statement {
	row := familyRowOf(f)
	return insertion(&row)
}

// formatRotations writes rotations as GENERATION@MICROSECONDS, separated by spaces.
func formatRotations(rotations []storage.Rotation) string {
	formatted := make([]string, len(rotations))
	for i, r := range rotations {
		formatted[i] = strconv.FormatInt(r.Generation, 10) + "@" + strconv.FormatInt(micros(r.At), 10)
	}
	return strings.Join(formatted, " ")
}

// parseRotations reads what formatRotations wrote.
func parseRotations(formatted string) []storage.Rotation {
	var rotations []storage.Rotation
	for text := range strings.FieldsSeq(formatted) {
		generation, at, _ := strings.Cut(text, "@")
		var r storage.Rotation
		r.Generation, _ = strconv.ParseInt(generation, 10, 64)
		at64, _ := strconv.ParseInt(at, 10, 64)
		r.At = instant(at64)
		rotations = append(rotations, r)
	}
	return rotations
}

type familyStateRow struct {
	Who    principalRow `gorm:"embedded"`
	Scope  scopeRow     `gorm:"embedded"`
	Family familyRow    `gorm:"embedded;embeddedPrefix:t_"`
}

// Family reads a family with its user as they are now, or returns storage.ErrNotFound. The
// principal is unknown if the user or the login was deleted. Its account is the user's own.
// Member is the membership in the active account of the family's AccountUID. The source is
// the family's, if that is still known for the login.
func (s *Store) Family(ctx context.Context, id string) (storage.FamilyState, error) {
	row, err := get[familyStateRow](ctx, s, "token family", s.statements.family, id)
	if err != nil {
		return storage.FamilyState{}, err
	}
	state := storage.FamilyState{Family: row.Family.record(), Member: row.Scope.record()}
	state.Principal, err = s.principal(ctx, &row.Who, row.Family.LoginID != "")
	return state, err
}

// AdvanceFamily moves a family from one generation to the next. If it has another
// generation already, or was revoked or never existed, it returns storage.ErrStale.
func (s *Store) AdvanceFamily(ctx context.Context, id string, next storage.FamilyAdvance) error {
	done, err := s.settle(ctx, "advance token family", statement{
		sql: `UPDATE families SET generation = generation + 1, rotated_at = ?, rotations = ?, idle_until = ?
			WHERE id = ? AND generation = ? AND revoked_at = 0`,
		args: []any{micros(next.Now), formatRotations(next.Rotations), micros(next.IdleUntil), id, next.From},
	})
	if err == nil && !done {
		err = s.wrap(ctx, "advance token family", storage.ErrStale)
	}
	return err
}

// RevokeFamily ends a family for good. One that ended before, or never
// existed, is no error.
func (s *Store) RevokeFamily(ctx context.Context, id string, now time.Time) error {
	_, err := s.exec(ctx, "revoke token family",
		"UPDATE families SET revoked_at = ? WHERE id = ? AND revoked_at = 0", micros(now), id)
	return err
}

// RevokeToken ends an access token, which is remembered until it would have
// expired. Doing so again changes nothing.
func (s *Store) RevokeToken(ctx context.Context, jti string, expiresAt time.Time) error {
	_, err := s.exec(ctx, "revoke token",
		"INSERT INTO revoked_tokens (jti, expires_at) VALUES (?, ?) ON CONFLICT DO NOTHING", jti, micros(expiresAt))
	return err
}

type tokenStatusRow struct {
	Who             principalRow `gorm:"embedded"`
	Scope           scopeRow     `gorm:"embedded"`
	RevokedJTI      string       `gorm:"column:revoked_jti"`
	FamilyID        string       `gorm:"column:family_id"`
	FamilyRevokedAt int64        `gorm:"column:family_revoked_at"`
	FamilyCreatedAt int64        `gorm:"column:family_created_at"`
}

// TokenStatus reads what can end an access token before its time, in one statement. Empty
// ids are left out: then no family is revoked, the principal is unknown, or there is no
// member. A login that is not the user's makes the principal unknown. A source of another
// login, or a deleted one, is not known. Member is the user's membership in an active
// account.
func (s *Store) TokenStatus(ctx context.Context, of storage.TokenRef) (storage.TokenStatus, error) {
	row, err := get[tokenStatusRow](ctx, s, "token status", s.statements.tokenStatus,
		of.UserUID, of.LoginID, of.SourceID, of.AccountUID, of.FamilyID, of.JTI)
	if err != nil {
		return storage.TokenStatus{}, err
	}
	tokenStatus := storage.TokenStatus{
		Revoked:       row.RevokedJTI != "",
		FamilyRevoked: of.FamilyID != "" && (row.FamilyID == "" || row.FamilyRevokedAt != 0),
		FamilyBegan:   instant(row.FamilyCreatedAt),
		Member:        row.Scope.record(),
	}
	tokenStatus.Principal, err = s.principal(ctx, &row.Who, of.LoginID != "")
	return tokenStatus, err
}
