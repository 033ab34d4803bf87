package gormstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/pressly/goose/v3"
)

const (
	// migrationLock is the key of the advisory lock that a replica holds while it migrates.
	migrationLock = 7_031_946_825_021_934_517
	// migrationLockPause is how long a replica waits before it asks for the lock again. It
	// does not wait in the database, because behind a pooler that takes up a connection
	// which the holder of the lock may need.
	migrationLockPause = 100 * time.Millisecond
	// migrationLockBeat is how often the holder of the lock shows that it is there.
	migrationLockBeat = 5 * time.Second
)

// migrationSettings let a step of the schema take as long as it needs. The lock of a
// replica that hangs ends after four beats.
func migrationSettings() []sessionSetting {
	return []sessionSetting{
		{"default_transaction_isolation", "read committed"},
		{"idle_in_transaction_session_timeout", "20s"},
		{"lock_timeout", "0"},
		{"statement_timeout", "0"},
		{"tcp_user_timeout", "20s"},
	}
}

// migrations returns separate connections for migrations. One of them holds a transaction
// with the advisory lock, because a lock of the session does not work behind a pooler.
func (p *postgres) migrations(ctx context.Context) (migrations, error) {
	c := p.direct.with(migrationSettings())
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(2) // for the lock and for the steps
	tx, err := lockMigrations(ctx, db)
	if err != nil {
		return migrations{}, errors.Join(err, db.Close())
	}
	end := holdMigrationLock(ctx, tx)
	return migrations{
		dialect: goose.DialectPostgres,
		db:      db,
		unlock:  func() error { return errors.Join(end(), tx.Commit(), db.Close()) },
	}, nil
}

// lockMigrations waits for the lock until ctx ends, and returns the transaction that
// holds it.
func lockMigrations(ctx context.Context, db *sql.DB) (*sql.Tx, error) {
	for {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return nil, err
		}
		var locked bool
		err = tx.QueryRowContext(ctx, fmt.Sprintf("SELECT pg_try_advisory_xact_lock(%d)", int64(migrationLock))).Scan(&locked)
		if locked {
			return tx, nil
		}
		if err = errors.Join(err, tx.Rollback()); err != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(migrationLockPause):
		}
	}
}

// holdMigrationLock sends a statement every migrationLockBeat, so that the transaction with
// the lock is not ended for being idle. end stops that, and returns an error if the lock
// was lost.
func holdMigrationLock(ctx context.Context, tx *sql.Tx) (end func() error) {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	lost := make(chan error, 1)
	go func() {
		tick := time.NewTicker(migrationLockBeat)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				lost <- nil
				return
			case <-tick.C:
			}
			if _, err := tx.ExecContext(ctx, "SELECT 1"); err != nil && ctx.Err() == nil {
				lost <- fmt.Errorf("lock of migrations: %w", err)
				return
			}
		}
	}()
	return func() error {
		stop()
		return <-lost
	}
}
