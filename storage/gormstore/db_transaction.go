package gormstore

import (
	"context"

	"gorm.io/gorm"

	"latchkey/storage"
)

type txKey struct{ store *Store }

// txState is the transaction that a context carries.
type txState struct {
	db      *gorm.DB
	changes []configChange // of configuration in it
}

// InTx runs fn in one transaction, which commits when fn returns nil and rolls back
// otherwise. Every method of the store that is called with fn's context takes part; none of
// them takes a second connection. An inner InTx joins the outer transaction and cannot roll
// back alone. So the outer fn must return the error of an inner InTx. On PostgreSQL the
// first error ends the transaction. After a deadlock or the like fn is called again, in a
// new transaction, so it must not depend on what it changed outside of the database.
func (s *Store) InTx(ctx context.Context, fn func(ctx context.Context) error) error {
	if s.tx(ctx) != nil {
		return fn(ctx)
	}
	return s.inTxOf(ctx, s.writer, fn)
}

// inTxOf is InTx on the connections of db.
func (s *Store) inTxOf(ctx context.Context, db *gorm.DB, fn func(ctx context.Context) error) error {
	var state *txState
	err := repeat(ctx, s.dialect.repeatable, func() error {
		state = &txState{}
		return db.WithContext(ctx).Transaction(func(db *gorm.DB) error {
			state.db = db
			return fn(context.WithValue(ctx, txKey{s}, state))
		})
	})
	if len(state.changes) > 0 {
		s.cache.drop(state.changes...)
	}
	return s.wrap(ctx, "transaction", err)
}

func (s *Store) tx(ctx context.Context) *txState {
	state, _ := ctx.Value(txKey{s}).(*txState)
	return state
}

// writing and reading are GORM on the context's transaction or, without one, on
// the connections that write or read.
func (s *Store) writing(ctx context.Context) *gorm.DB { return s.within(ctx, s.writer) }
func (s *Store) reading(ctx context.Context) *gorm.DB { return s.within(ctx, s.reader) }

func (s *Store) within(ctx context.Context, db *gorm.DB) *gorm.DB {
	if tx := s.tx(ctx); tx != nil {
		db = tx.db
	}
	return db.WithContext(ctx)
}

// conn returns a connection of the context's transaction or, without one, of db.
func (s *Store) conn(ctx context.Context, db *gorm.DB) gorm.ConnPool {
	if tx := s.tx(ctx); tx != nil {
		db = tx.db
	}
	return db.Statement.ConnPool
}

// exec writes with hand-written SQL and counts the rows. Hand-written SQL uses
// GORM's connections and takes part in its transactions. It is bound and scanned
// without GORM, which would cost about as much as the database.
func (s *Store) exec(ctx context.Context, what, sql string, args ...any) (int64, error) {
	began := s.now()
	res, err := s.conn(ctx, s.writer).ExecContext(ctx, s.dialect.bind(sql), args...)
	s.observed(ctx, what, began, err)
	if err != nil {
		return 0, s.wrap(ctx, what, err)
	}
	n, err := res.RowsAffected()
	return n, s.wrap(ctx, what, err)
}

// query reads rows with hand-written SQL.
func query[R any](ctx context.Context, s *Store, what, sql string, args ...any) ([]R, error) {
	return read[R](ctx, s, what, s.reader, sql, args)
}

// returning writes with hand-written SQL and reads what it returns.
func returning[R any](ctx context.Context, s *Store, what, sql string, args ...any) ([]R, error) {
	return read[R](ctx, s, what, s.writer, sql, args)
}

func read[R any](ctx context.Context, s *Store, what string, db *gorm.DB, sql string, args []any) ([]R, error) {
	began := s.now()
	rows, err := s.conn(ctx, db).QueryContext(ctx, s.dialect.bind(sql), args...)
	var all []R
	if err == nil {
		all, err = scan[R](rows)
	}
	s.observed(ctx, what, began, err)
	return all, s.wrap(ctx, what, err)
}

// get reads one row or returns storage.ErrNotFound.
func get[R any](ctx context.Context, s *Store, what, sql string, args ...any) (R, error) {
	rows, err := query[R](ctx, s, what, sql, args...)
	if err == nil && len(rows) == 0 {
		err = s.wrap(ctx, what, storage.ErrNotFound)
	}
	if err != nil {
		var none R
		return none, err
	}
	return rows[0], nil
}
