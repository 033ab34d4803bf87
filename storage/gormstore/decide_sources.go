package gormstore

import (
	"context"
	"strconv"

	"latchkey/storage"
)

// sourceRow is an address that is known for a login, with its own failures.
type sourceRow struct {
	ID      string     `gorm:"column:id"`
	Address string     `gorm:"column:address"`
	Counter counterRow `gorm:"embedded"`
	SeenAt  int64      `gorm:"column:seen_at"`
}

func (r *sourceRow) record() storage.Source {
	return storage.Source{ID: r.ID, Address: r.Address, SeenAt: instant(r.SeenAt)}
}

// Sources reads the addresses that are known for a login, each with its own failures, those
// that were used last first.
func (s *Store) Sources(ctx context.Context, loginID string) ([]storage.SourceState, error) {
	rows, err := query[sourceRow](ctx, s, "sources of login",
		"SELECT "+columnsOf[sourceRow]().list()+" FROM login_sources WHERE login_id = ? ORDER BY seen_at DESC, id", loginID)
	return recordsOf(rows, func(r *sourceRow) storage.SourceState {
		return storage.SourceState{Source: r.record(), Counter: r.Counter.record()}
	}), err
}

// anySource is a join with a known source that is not locked at a time. The time is its
// only parameter.
const anySource = `
	LEFT JOIN login_sources src ON src.id = (SELECT k.id FROM login_sources k
		WHERE k.login_id = l.id AND k.locked_until <= ? ORDER BY k.seen_at DESC, k.id LIMIT 1)`

// countAt returns the statement of a settlement that writes the counter of a source, if the
// source is still known.
func countAt(id, loginID string, c storage.Counter) statement {
	row := counterRowOf(c)
	return statement{
		sql: `UPDATE login_sources SET failures = ?, last_failure_at = ?, locked_until = ?
			WHERE id = ? AND login_id = ? AND ` + ifSettled,
		args: []any{row.Failures, row.LastFailureAt, row.LockedUntil, id, loginID},
	}
}

// forgive returns the statement of a settlement that clears the failures of one source of a
// login, or of all its sources if id is empty.
func forgive(id, loginID string) statement {
	x := statement{
		sql: `UPDATE login_sources SET failures = 0, last_failure_at = 0, locked_until = 0
			WHERE login_id = ? AND (failures <> 0 OR locked_until <> 0) AND ` + ifSettled,
		args: []any{loginID},
	}
	if id != "" {
		x = x.with(" AND id = ?", id)
	}
	return x
}

// remember returns the statements of a settlement that make an address a known source of a
// login, without failures. An address that is known already keeps its id. If the login has
// too many sources, the least recently used ones are deleted.
func remember(loginID string, x storage.Source) []statement {
	const others = "login_id = ? AND address <> ?"
	seen := micros(x.SeenAt)
	return []statement{
		{
			sql: `UPDATE login_sources SET failures = 0, last_failure_at = 0, locked_until = 0, seen_at = ?
				WHERE login_id = ? AND address = ? AND ` + ifSettled,
			args: []any{seen, loginID, x.Address},
		},
		{
			sql: "DELETE FROM login_sources WHERE " + others + ` AND id NOT IN (SELECT id FROM login_sources
				WHERE ` + others + " ORDER BY seen_at DESC, id LIMIT " + strconv.Itoa(storage.MaxSources-1) + ") AND " + ifSettled,
			args: []any{loginID, x.Address, loginID, x.Address},
		},
		{
			sql: `INSERT INTO login_sources (id, login_id, address, failures, last_failure_at, locked_until, seen_at)
				SELECT ?, ?, ?, 0, 0, 0, ? WHERE ` + ifSettled + " ON CONFLICT DO NOTHING",
			args: []any{x.ID, loginID, x.Address, seen},
		},
	}
}
