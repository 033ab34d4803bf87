package gormstore

import (
	"context"
	"database/sql/driver"
	"errors"
)

const (
	// maxPrepared is how many statements a connection keeps.
	maxPrepared = 64
	// maxPreparedText is the longest SQL text, in bytes, of a statement that is kept.
	// Longer ones list values, and hardly any text comes twice.
	maxPreparedText = 8 << 10
)

// preparingConnector opens connections to SQLite that keep their prepared
// statements. The driver itself prepares a statement for each call, and parsing
// took half of the processor time of a refresh.
type preparingConnector struct{ driver.Connector }

// Connect implements driver.Connector.
func (c preparingConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	capable, ok := conn.(sqliteConn)
	if !ok {
		return nil, errors.Join(errors.New("the SQLite driver lacks an interface of database/sql/driver"), conn.Close())
	}
	return &preparingConn{sqliteConn: capable, prepared: map[string]*preparedStatement{}}, nil
}

// sqliteConn is what the driver's connections can do.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// sqliteStatement is what the driver's statements can do.
type sqliteStatement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// preparingConn is a connection that keeps the statements that were used last.
// database/sql calls it from one goroutine at a time.
type preparingConn struct {
	sqliteConn
	prepared map[string]*preparedStatement // by the SQL text
	calls    uint64
}

// preparedStatement is a statement that a connection keeps.
type preparedStatement struct {
	sqliteStatement
	lastCall uint64 // the value of preparingConn.calls when it was last used
	reading  bool   // its rows are open
}

var (
	_ driver.ExecerContext  = (*preparingConn)(nil)
	_ driver.QueryerContext = (*preparingConn)(nil)
)

// ExecContext implements driver.ExecerContext.
func (c *preparingConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	s, err := c.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, args)
}

// QueryContext implements driver.QueryerContext.
func (c *preparingConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	s.reading = true
	return &preparedRows{Rows: rows, of: s}, nil
}

// statement returns the statement with that text, prepared now or before. It
// returns driver.ErrSkip for a statement that is not kept: database/sql then
// prepares it for this one call. A statement whose rows are open is one of these.
func (c *preparingConn) statement(ctx context.Context, query string) (*preparedStatement, error) {
	c.calls++
	if s := c.prepared[query]; s != nil {
		if s.reading {
			return nil, driver.ErrSkip
		}
		s.lastCall = c.calls
		return s, nil
	}
	if len(query) > maxPreparedText {
		return nil, driver.ErrSkip
	}
	stmt, err := c.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	capable, ok := stmt.(sqliteStatement)
	if !ok {
		return nil, errors.Join(driver.ErrSkip, stmt.Close())
	}
	s := &preparedStatement{sqliteStatement: capable, lastCall: c.calls}
	if err := c.makeRoom(); err != nil {
		return nil, errors.Join(err, stmt.Close())
	}
	c.prepared[query] = s
	return s, nil
}

// makeRoom closes the least recently used statement without open rows if maxPrepared
// statements are kept.
func (c *preparingConn) makeRoom() error {
	if len(c.prepared) < maxPrepared {
		return nil
	}
	oldest := ""
	for query, s := range c.prepared {
		if !s.reading && (oldest == "" || s.lastCall < c.prepared[oldest].lastCall) {
			oldest = query
		}
	}
	if oldest == "" {
		return nil
	}
	s := c.prepared[oldest]
	delete(c.prepared, oldest)
	return s.Close()
}

// Close implements driver.Conn. It closes the statements first.
func (c *preparingConn) Close() error {
	var err error
	for _, s := range c.prepared {
		err = errors.Join(err, s.Close())
	}
	clear(c.prepared)
	return errors.Join(err, c.sqliteConn.Close())
}

// preparedRows are the rows of a statement that is kept.
type preparedRows struct {
	driver.Rows
	of *preparedStatement
}

// Close implements driver.Rows. Afterwards the statement can be used again.
func (r *preparedRows) Close() error {
	err := r.Rows.Close()
	r.of.reading = false
	return err
}
