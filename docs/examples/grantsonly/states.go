package main

import (
	"context"
	"database/sql"
	"errors"

	"latchkey/grants/statestore"
	"latchkey/storage"
)

// schema is the one table that the store of sign-ins needs. until is in Unix seconds; NULL: never.
const schema = `CREATE TABLE IF NOT EXISTS sign_ins (key TEXT PRIMARY KEY, value TEXT NOT NULL, until BIGINT)`

// states implements statestore.States on SQLite and PostgreSQL.
type states struct{ db *sql.DB }

// Load implements statestore.States.
func (s states) Load(ctx context.Context, key string) ([]byte, error) {
	var value []byte
	err := s.db.QueryRowContext(ctx, "SELECT value FROM sign_ins WHERE key = $1", key).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return value, err
}

// Swap implements statestore.States. The condition on the old value is in the statement
// that writes, so the database compares and swaps in one step.
func (s states) Swap(ctx context.Context, changes ...statestore.Change) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it does nothing
	for _, c := range changes {
		query := "UPDATE sign_ins SET value = $1, until = $2 WHERE key = $3 AND value = $4"
		until := sql.NullInt64{Int64: c.Until.Unix(), Valid: !c.Until.IsZero()}
		args := []any{string(c.New), until, c.Key, string(c.Old)}
		if c.Old == nil {
			query, args = "INSERT INTO sign_ins (value, until, key) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", args[:3]
		}
		result, err := tx.ExecContext(ctx, query, args...)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n != 1 {
			return errors.Join(storage.ErrStale, err)
		}
	}
	return tx.Commit()
}
