package gormstore

import (
	"context"
	"database/sql"
	"slices"

	"latchkey/storage"

	"gorm.io/gorm"
)

// pools are the connections of a store. read and write are the same pool where the database
// has many writers. signs has one connection, for the signs of life of a server. Otherwise
// a server whose callers use up all connections would look dead. It is the same pool as
// write if the database has one writer.
type pools struct {
	write, read, signs *sql.DB
}

// all returns each pool once.
func (p pools) all() []*sql.DB {
	all := []*sql.DB{p.write}
	for _, db := range []*sql.DB{p.read, p.signs} {
		if !slices.Contains(all, db) {
			all = append(all, db)
		}
	}
	return all
}

// connections are what GORM and hand-written SQL use, of a pool or of a
// transaction: they report every round trip and keep text storable.
type connections struct {
	gorm.ConnPool
	seen func(sql string)
}

func (c connections) report(sql string) {
	if c.seen != nil {
		c.seen(sql)
	}
}

// ExecContext implements gorm.ConnPool.
func (c connections) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	c.report(query)
	return c.ConnPool.ExecContext(ctx, query, storable(args)...)
}

// QueryContext implements gorm.ConnPool.
func (c connections) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	c.report(query)
	return c.ConnPool.QueryContext(ctx, query, storable(args)...)
}

// QueryRowContext implements gorm.ConnPool.
func (c connections) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	c.report(query)
	return c.ConnPool.QueryRowContext(ctx, query, storable(args)...)
}

// pool is connections outside of a transaction. It repeats statements that the
// database undid.
type pool struct {
	connections
	db         *sql.DB
	repeatable func(error) bool
}

func newPool(db *sql.DB, seen func(string), repeatable func(error) bool) *pool {
	return &pool{connections{db, seen}, db, repeatable}
}

// ExecContext implements gorm.ConnPool.
func (p *pool) ExecContext(ctx context.Context, query string, args ...any) (result sql.Result, err error) {
	err = repeat(ctx, p.repeatable, func() (err error) {
		result, err = p.connections.ExecContext(ctx, query, args...)
		return err
	})
	return result, err
}

// QueryContext implements gorm.ConnPool. PostgreSQL completes a statement that writes
// before it returns the first row, so no row is returned twice.
func (p *pool) QueryContext(ctx context.Context, query string, args ...any) (rows *sql.Rows, err error) {
	err = repeat(ctx, p.repeatable, func() (err error) {
		rows, err = p.connections.QueryContext(ctx, query, args...) //nolint:sqlclosecheck // the caller closes them
		return err
	})
	return rows, err
}

// BeginTx implements gorm.ConnPoolBeginner.
func (p *pool) BeginTx(ctx context.Context, opts *sql.TxOptions) (gorm.ConnPool, error) {
	p.report("BEGIN")
	tx, err := p.db.BeginTx(ctx, opts)
	if err != nil {
		return nil, err
	}
	return &transaction{connections{tx, p.seen}, tx}, nil
}

// transaction is the connection of one transaction.
type transaction struct {
	connections
	tx *sql.Tx
}

// Commit implements gorm.TxCommitter.
func (t *transaction) Commit() error {
	t.report("COMMIT")
	return t.tx.Commit()
}

// Rollback implements gorm.TxCommitter.
func (t *transaction) Rollback() error {
	t.report("ROLLBACK")
	return t.tx.Rollback()
}

// storable replaces the bytes that PostgreSQL's type text cannot hold: NUL and invalid
// UTF-8. Otherwise a statement with such a name would fail, while a statement with any
// other unknown name does not. Both databases get the same text. No login has a name with
// replaced bytes.
func storable(args []any) []any {
	for i, a := range args {
		if s, ok := a.(string); ok && !storage.IsStorable(s) {
			args[i] = storage.StorableText(s)
		}
	}
	return args
}
