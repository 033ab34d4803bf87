package gormstore

import (
	"context"
	"strconv"

	"latchkey/storage"
)

// usedFamilyRow has the columns that a token needs of a family that was used.
type usedFamilyRow struct {
	LoginID    string `gorm:"column:id"`
	Username   string `gorm:"column:username"`
	UserUID    string `gorm:"column:uid"`
	Kind       string `gorm:"column:kind"`
	AccountUID string `gorm:"column:account_uid"`
	Scope      string `gorm:"column:scope"`
	SourceID   string `gorm:"column:source_id"`
	SessionID  string `gorm:"column:session_id"`
	AMR        string `gorm:"column:amr"`
	Purpose    string `gorm:"column:purpose"`
	AuthTime   int64  `gorm:"column:auth_time"`
	Rotations  string `gorm:"column:rotations"`
	CreatedAt  int64  `gorm:"column:created_at"`
	Roles      string `gorm:"column:m_roles"`
	Assigned   string `gorm:"column:assigned"`
}

// ofUsedFamily lists the columns of usedFamilyRow except rotations.
const ofUsedFamily = `l.id, l.username, u.uid, u.kind, u.account_uid, t.scope, t.source_id, t.session_id, t.amr, t.purpose, t.auth_time,
			t.created_at, ` + membership + `, ` + assigned

// UseFamily moves a family to the next generation at once if the case is an ordinary one;
// see storage.FamilyUse. It returns the family as it is afterwards, with what tokens and
// audit events name. Otherwise it changes nothing and returns false.
func (s *Store) UseFamily(ctx context.Context, use storage.FamilyUse) (state storage.FamilyState, ok bool, err error) {
	useFamily := s.useFamilyInStatement
	if !s.dialect.writesInWith() {
		useFamily = s.useFamilyInTransaction
	}
	row, err := useFamily(ctx, &use)
	if row == nil || err != nil {
		return state, false, err
	}
	state.Family = storage.TokenFamily{
		ID: use.FamilyID, ClientID: use.ClientID, UserUID: row.UserUID, LoginID: row.LoginID, SourceID: row.SourceID, SessionID: row.SessionID,
		Scope: list(row.Scope), AMR: list(row.AMR), Purpose: storage.Purpose(row.Purpose), AuthTime: instant(row.AuthTime),
		SeedDigest: use.SeedDigest, Generation: use.Generation + 1, RotatedAt: use.Now, Rotations: parseRotations(row.Rotations),
		IdleUntil: use.IdleUntil, CreatedAt: instant(row.CreatedAt),
	}
	state.Principal = storage.Principal{
		Known: true,
		Login: storage.Login{ID: row.LoginID, Username: row.Username, UserUID: row.UserUID, Active: true},
		User:  storage.User{UID: row.UserUID, Kind: storage.UserKind(row.Kind), AccountUID: row.AccountUID, Active: true},
	}
	return state, true, s.addRoles(ctx, &state.Principal, row.Assigned, row.Roles)
}

// useFamilyInStatement takes one round trip.
func (s *Store) useFamilyInStatement(ctx context.Context, use *storage.FamilyUse) (*usedFamilyRow, error) {
	rows, err := returning[usedFamilyRow](ctx, s, "use token family", s.statements.familyUse, familyUseArgs(use)...)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return &rows[0], nil
}

// RestoreFamily undoes a UseFamily, for a caller who could not issue the token. The idle
// limit stays extended.
func (s *Store) RestoreFamily(ctx context.Context, f storage.TokenFamily) error {
	rotations, rotatedAt := f.Rotations, f.CreatedAt
	if n := len(rotations); n > 0 {
		rotatedAt, rotations = rotations[n-1].At, rotations[:n-1]
	}
	_, err := s.exec(ctx, "restore token family",
		"UPDATE families SET generation = ?, rotated_at = ?, rotations = ? WHERE id = ? AND generation = ? AND rotated_at = ?",
		f.Generation-1, micros(rotatedAt), formatRotations(rotations), f.ID, f.Generation, micros(f.RotatedAt))
	return err
}

// maxRotationsText is the longest text of rotations, in bytes, that UseFamily adds to. For
// a longer one UseFamily returns false. The caller then uses AdvanceFamily, which drops
// some rotations.
const maxRotationsText = 1000

// usable is the condition that the family t may be used now.
var usable = `t.id = :family AND l.id = t.login_id AND u.uid = t.user_uid
			AND t.generation = :generation AND t.seed_digest = :seed AND t.client_id = :client
			AND ' ' || :methods || ' ' LIKE '% ' || t.amr || ' %'
			AND t.jkt = '' AND t.resources = '' AND t.account_uid = ''
			AND t.revoked_at = 0 AND t.expires_at > :now AND (t.idle_until = 0 OR t.idle_until > :now)
			AND t.created_at <= :now AND t.created_at >= :valid_from AND t.created_at >= u.valid_from
			AND t.created_at >= u.tokens_valid_from AND t.created_at >= COALESCE(a.valid_from, 0)
			AND (t.created_at >= l.sessions_valid_from OR l.kept_session = t.id)
			AND (t.rotated_at <= :grace_from OR length(t.rotations) < ` + strconv.Itoa(maxRotationsText) + `)
			AND l.active AND u.active AND (u.account_uid = '' OR a.active)
			AND COALESCE((SELECT src.locked_until FROM login_sources src WHERE src.id = t.source_id AND src.login_id = l.id), l.locked_until) <= :now`

// familyUseParams are the names and types of the arguments of usable and of familyUse.
var familyUseParams = []string{
	"now BIGINT", "idle_until BIGINT", "grace_from BIGINT", "valid_from BIGINT", "family TEXT", "generation BIGINT",
	"seed BYTEA", "client TEXT", "methods TEXT", "kinds TEXT", "accounts TEXT",
}

// familyUseArgs returns the arguments for familyUseParams.
func familyUseArgs(use *storage.FamilyUse) []any {
	kinds := make([]string, len(use.Admission.Kinds))
	for i, kind := range use.Admission.Kinds {
		kinds[i] = string(kind)
	}
	return []any{
		micros(use.Now), micros(use.IdleUntil), micros(use.GraceFrom), micros(use.ValidFrom), use.FamilyID, use.Generation,
		blob(use.SeedDigest), use.ClientID, words(use.Methods), words(kinds), words(use.Admission.AccountUIDs),
	}
}

// familyUse returns the statement of UseFamily. It adds a rotation as TokenFamily.Advance
// does, but deletes earlier ones only when all of them are older than the grace period.
func (p *postgres) familyUse() string {
	return numbered(`UPDATE families t SET generation = t.generation + 1, rotated_at = :now, idle_until = :idle_until,
			rotations = CASE WHEN t.generation = 1 THEN '' ELSE
				CASE WHEN t.rotations = '' OR t.rotated_at <= :grace_from THEN '' ELSE t.rotations || ' ' END
				|| (t.generation - 1) || '@' || t.rotated_at END
		FROM logins l JOIN users u ON u.uid = l.user_uid LEFT JOIN accounts a ON a.uid = u.account_uid
		WHERE `+usable+` AND `+admitted+`
		RETURNING t.rotations, `+ofUsedFamily, familyUseParams)
}
