package gormstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// connection is a connection of the pool.
type connection struct {
	*stdlib.Conn
	from  *connector
	peer  peer
	epoch uint64
}

// IsValid implements driver.Validator.
func (c *connection) IsValid() bool {
	return c.epoch == c.from.epoch.Load() && !c.Conn.Conn().IsClosed()
}

// ResetSession implements driver.SessionResetter.
func (c *connection) ResetSession(ctx context.Context) error {
	if !c.IsValid() {
		return driver.ErrBadConn
	}
	return c.Conn.ResetSession(ctx)
}

// Close implements driver.Conn. A connection to a lost server is not ended politely: that
// server may never answer.
func (c *connection) Close() error {
	c.from.remove(c)
	if c.epoch == c.from.epoch.Load() {
		return c.Conn.Close()
	}
	_ = c.Conn.Conn().PgConn().Conn().Close()
	_ = c.Conn.Close() // fails at once
	return nil
}

// ExecContext implements driver.ExecerContext.
func (c *connection) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if !c.needsTransaction() {
		result, err := c.Conn.ExecContext(ctx, query, args)
		return result, c.note(ctx, err)
	}
	tx, err := c.BeginTx(ctx, driver.TxOptions{})
	if err != nil {
		return nil, err
	}
	result, err := c.Conn.ExecContext(ctx, query, args)
	if err != nil {
		return nil, errors.Join(c.note(ctx, err), tx.Rollback())
	}
	return result, tx.Commit()
}

// QueryContext implements driver.QueryerContext.
func (c *connection) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if !c.needsTransaction() {
		rows, err := c.Conn.QueryContext(ctx, query, args)
		return rows, c.note(ctx, err)
	}
	tx, err := c.BeginTx(ctx, driver.TxOptions{})
	if err != nil {
		return nil, err
	}
	rows, err := c.Conn.QueryContext(ctx, query, args)
	if err != nil {
		return nil, errors.Join(c.note(ctx, err), tx.Rollback())
	}
	return &committingRows{Rows: rows, tx: tx}, nil
}

// needsTransaction reports whether a single statement must run in a transaction of its own.
// Behind a pooler the isolation level cannot be set for the session, only for a
// transaction.
func (c *connection) needsTransaction() bool {
	return c.peer.pooled && c.peer.isolation != "read committed" && c.Conn.Conn().PgConn().TxStatus() == 'I'
}

// BeginTx implements driver.ConnBeginTx. Behind a pooler the settings are those of the
// transaction.
func (c *connection) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	if !c.peer.pooled {
		tx, err := c.Conn.BeginTx(ctx, options)
		if err != nil {
			return nil, c.note(ctx, err)
		}
		return notingTx{tx, ctx, c}, nil
	}
	begin := "BEGIN ISOLATION LEVEL READ COMMITTED"
	if options.ReadOnly {
		begin += " READ ONLY"
	}
	for _, s := range c.from.settings {
		if !strings.HasPrefix(s.name, "default_") { // those are for the transactions that follow
			begin += "; SET LOCAL " + s.name + " = '" + s.value + "'"
		}
	}
	tx, err := c.Conn.Conn().BeginTx(ctx, pgx.TxOptions{BeginQuery: begin})
	if err != nil {
		return nil, c.note(ctx, err)
	}
	return notingTx{pgxTx{ctx, tx}, ctx, c}, nil
}

// pgxTx is a transaction of pgx as a driver.Tx.
type pgxTx struct {
	ctx context.Context //nolint:containedctx // driver.Tx has no parameter for it
	tx  pgx.Tx
}

// Commit implements driver.Tx.
func (t pgxTx) Commit() error { return t.tx.Commit(t.ctx) }

// Rollback implements driver.Tx.
func (t pgxTx) Rollback() error { return t.tx.Rollback(t.ctx) }

// notingTx passes the error of a commit to note.
type notingTx struct {
	driver.Tx
	ctx context.Context //nolint:containedctx // driver.Tx has no parameter for it
	on  *connection
}

// Commit implements driver.Tx.
func (t notingTx) Commit() error { return t.on.note(t.ctx, t.Tx.Commit()) }

// committingRows are the rows of a statement in a transaction of its own, which is
// committed before the end of the rows is reported.
type committingRows struct {
	driver.Rows
	tx   driver.Tx
	done bool
}

// Next implements driver.Rows.
func (r *committingRows) Next(into []driver.Value) error {
	err := r.Rows.Next(into)
	if !errors.Is(err, io.EOF) || r.done {
		return err
	}
	r.done = true
	if failed := errors.Join(r.Rows.Close(), r.tx.Commit()); failed != nil {
		return failed
	}
	return err
}

// Close implements driver.Rows.
func (r *committingRows) Close() error {
	err := r.Rows.Close()
	if !r.done {
		r.done = true
		err = errors.Join(err, r.tx.Commit())
	}
	return err
}

// lostServer are the codes by which a server says that it takes no more writes:
// read_only_sql_transaction, admin_shutdown, crash_shutdown, cannot_connect_now.
var lostServer = []string{"25006", "57P01", "57P02", "57P03"}

// note replaces the connections of the pool if the error says that their server is lost. A
// connection that pgx closed because the context of a statement ended says nothing.
func (c *connection) note(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	said, ok := errors.AsType[*pgconn.PgError](err)
	if ok && slices.Contains(lostServer, said.Code) || ctx.Err() == nil && c.Conn.Conn().IsClosed() {
		c.from.leave(c.epoch)
	}
	return err
}
