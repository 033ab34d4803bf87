package gormstore

import (
	"context"
	"database/sql"
	"strings"
	"unicode/utf8"

	"gorm.io/gorm"
)

// pools are the connections of a store; read and write are the same pool where
// the database has many writers.
type pools struct {
	write, read *sql.DB
}

// pool is the connection pool GORM sees: it reports every round trip and keeps
// text storable.
type pool struct {
	db   *sql.DB
	seen func(sql string)
}

// transaction is pool for one transaction.
type transaction struct {
	tx   *sql.Tx
	pool *pool
}

func (p *pool) report(sql string) {
	if p.seen != nil {
		p.seen(sql)
	}
}

// PrepareContext implements gorm.ConnPool; with PrepareStmt off nothing calls
// it.
func (p *pool) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	p.report(query)
	return p.db.PrepareContext(ctx, query)
}

// ExecContext implements gorm.ConnPool.
func (p *pool) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	p.report(query)
	return p.db.ExecContext(ctx, query, storable(args)...)
}

// QueryContext implements gorm.ConnPool.
func (p *pool) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	p.report(query)
	return p.db.QueryContext(ctx, query, storable(args)...)
}

// QueryRowContext implements gorm.ConnPool.
func (p *pool) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	p.report(query)
	return p.db.QueryRowContext(ctx, query, storable(args)...)
}

// BeginTx implements gorm.ConnPoolBeginner.
func (p *pool) BeginTx(ctx context.Context, opts *sql.TxOptions) (gorm.ConnPool, error) {
	p.report("BEGIN")
	tx, err := p.db.BeginTx(ctx, opts)
	if err != nil {
		return nil, err
	}
	return &transaction{tx: tx, pool: p}, nil
}

// PrepareContext implements gorm.ConnPool.
func (t *transaction) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	t.pool.report(query)
	return t.tx.PrepareContext(ctx, query)
}

// ExecContext implements gorm.ConnPool.
func (t *transaction) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	t.pool.report(query)
	return t.tx.ExecContext(ctx, query, storable(args)...)
}

// QueryContext implements gorm.ConnPool.
func (t *transaction) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	t.pool.report(query)
	return t.tx.QueryContext(ctx, query, storable(args)...)
}

// QueryRowContext implements gorm.ConnPool.
func (t *transaction) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	t.pool.report(query)
	return t.tx.QueryRowContext(ctx, query, storable(args)...)
}

// Commit implements gorm.TxCommitter.
func (t *transaction) Commit() error {
	t.pool.report("COMMIT")
	return t.tx.Commit()
}

// Rollback implements gorm.TxCommitter.
func (t *transaction) Rollback() error {
	t.pool.report("ROLLBACK")
	return t.tx.Rollback()
}

// storable replaces what PostgreSQL's text cannot hold: a NUL byte or invalid
// UTF-8 in a name that somebody typed would otherwise be an error there, where
// any other unknown name is none. Both databases get the same, and a name so
// changed belongs to nobody.
func storable(args []any) []any {
	for i, a := range args {
		if s, ok := a.(string); ok && !isStorable(s) {
			args[i] = storableText(s)
		}
	}
	return args
}

func isStorable(s string) bool { return strings.IndexByte(s, 0) < 0 && utf8.ValidString(s) }

func storableText(s string) string {
	if isStorable(s) {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
