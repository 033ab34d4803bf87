package gormstore

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"latchkey/storage"
)

// admittedBySQLite is the condition admitted in the SQL of SQLite.
const admittedBySQLite = `(instr(' ' || :kinds || ' ', ' ' || u.kind || ' ') > 0
	OR u.kind <> '` + string(storage.Admin) + `' AND u.account_uid <> '' AND instr(' ' || :accounts || ' ', ' ' || u.account_uid || ' ') > 0)`

// redeemableRow is a login whose code may be redeemed.
type redeemableRow struct {
	Redeemed redeemedRow `gorm:"embedded"`
	Seen     bool        `gorm:"column:is_seen"` // the source is to be remembered
	Roles    string      `gorm:"column:m_roles"`
	Assigned string      `gorm:"column:assigned"`
}

// redemption returns the query for a redeemableRow.
func (d *sqlite) redemption() string {
	sql := `SELECT l.id, l.username, l.user_uid, u.kind, u.account_uid, l.code_id, l.last_active_at, src.id AS source_id,
			` + isNewSource + ` OR ` + isOldSource + ` AS is_seen, ` + membership + `, ` + assigned + `
		FROM logins l JOIN users u ON u.uid = l.user_uid
			LEFT JOIN accounts a ON a.uid = u.account_uid
			LEFT JOIN login_sources src ON src.login_id = l.id AND src.address = :address
		WHERE ` + strings.ReplaceAll(redeemable, " x.", " l.") + ` AND ` + admittedBySQLite
	return numbered(strings.ReplaceAll(sql, "(x.", "(l."), withoutTypes(redeemableParams))
}

// withoutTypes returns the names of parameters. SQLite needs no types, and would change
// the values.
func withoutTypes(params []string) []string {
	names := slices.Clone(params)
	for i := range names {
		names[i], _, _ = strings.Cut(names[i], " ")
	}
	return names
}

// redeemInTransaction reads on the connection that writes, and then writes. On SQLite that
// connection keeps the pages that it has read. The connections that only read drop theirs
// whenever something was written.
func (s *Store) redeemInTransaction(ctx context.Context, r *storage.Redemption) (*redeemedRow, error) {
	var redeemed *redeemedRow
	err := s.dialect.together(ctx, s, "redeem code", func(ctx context.Context) error {
		redeemed = nil
		rows, err := returning[redeemableRow](ctx, s, "redeem code", s.statements.redemption, redeemableArgs(r)...)
		if err != nil || len(rows) == 0 {
			return err
		}
		row := &rows[0]
		source := roleSource(row.Assigned, row.Roles)
		row.Redeemed.Grant = 1 + slices.IndexFunc(r.Grants, func(g storage.RoleGrant) bool { return g.RoleSource == source })
		if row.Redeemed.Grant == 0 {
			return nil
		}
		written, err := s.redeemed(r, row).run(ctx, s)
		if written {
			redeemed = &row.Redeemed
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return redeemed, nil
}

// redeemed returns the statements that write a redemption.
func (s *Store) redeemed(r *storage.Redemption, row *redeemableRow) settlement {
	now, login, moves := micros(r.Now), row.Redeemed.LoginID, 0
	x := settlement{what: "redeem code", rows: 1}
	if row.Seen {
		moves = 1
		x.then = append(x.then, statement{
			sql:  fmt.Sprintf(rememberSource, "?, ?, ?, 0, 0, 0, ? WHERE TRUE"),
			args: []any{r.NewSourceID, login, r.Key.Source, now},
		})
	}
	x.first = statement{
		sql:  "UPDATE logins SET code_used_at = ?, last_active_at = ?, lockout_version = lockout_version + ? WHERE id = ?",
		args: []any{now, now, moves, login},
	}
	if r.Family != nil {
		family := *r.Family
		family.UserUID, family.LoginID, family.Scope = row.Redeemed.UserUID, login, r.Grants[row.Redeemed.Grant-1].Scope
		if family.SourceID = row.Redeemed.SourceID; family.SourceID == "" {
			family.SourceID = r.NewSourceID
		}
		x.then = append(x.then, s.insertFamily(&family))
	}
	return x
}

// usableFamilyRow is a family that may be used.
type usableFamilyRow struct {
	Used      usedFamilyRow `gorm:"embedded"`
	RotatedAt int64         `gorm:"column:rotated_at"`
}

// familyUse returns the query for a usableFamilyRow.
func (d *sqlite) familyUse() string {
	return numbered(`SELECT t.rotations, t.rotated_at, `+ofUsedFamily+`
		FROM families t JOIN logins l JOIN users u LEFT JOIN accounts a ON a.uid = u.account_uid
		WHERE `+usable+` AND `+admittedBySQLite, withoutTypes(familyUseParams))
}

// useFamilyInTransaction reads and writes as redeemInTransaction does.
func (s *Store) useFamilyInTransaction(ctx context.Context, use *storage.FamilyUse) (*usedFamilyRow, error) {
	var used *usedFamilyRow
	err := s.dialect.together(ctx, s, "use token family", func(ctx context.Context) error {
		used = nil
		rows, err := returning[usableFamilyRow](ctx, s, "use token family", s.statements.familyUse, familyUseArgs(use)...)
		if err != nil || len(rows) == 0 {
			return err
		}
		row := &rows[0]
		family := storage.TokenFamily{Generation: use.Generation, RotatedAt: instant(row.RotatedAt), Rotations: parseRotations(row.Used.Rotations)}
		next := family.Advance(use.Now, use.IdleUntil, use.Now.Sub(use.GraceFrom))
		row.Used.Rotations, used = formatRotations(next.Rotations), &row.Used
		return s.AdvanceFamily(ctx, use.FamilyID, next)
	})
	if err != nil {
		return nil, err
	}
	return used, nil
}
