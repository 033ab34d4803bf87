package gormstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"
)

// ErrNotEmpty is the error for a target that has records already.
var ErrNotEmpty = errors.New("the target database is not empty")

// CopiedTable is the result of copying a table.
type CopiedTable struct {
	Name   string `json:"name"`
	Rows   int64  `json:"rows"`
	Digest string `json:"digest"` // of all rows in any order, the same in both databases
}

// CopyConfig says how CopyFrom works. All fields are optional.
type CopyConfig struct {
	// Expect are the tables that the source must have, with these digests.
	Expect []CopiedTable
	// Progress is called after each batch of rows. done means that the table is complete.
	Progress func(table string, rows int64, done bool)
	// Finish is called in the transaction, when all rows are there. Its error undoes the
	// copy. Methods of the store that get its context read the copied rows.
	Finish func(ctx context.Context, tables []CopiedTable) error
}

// copyParameters bounds the parameters of an INSERT. SQLite allows 32,766.
const copyParameters = 16_000

// CopyFrom copies all records of another database into this one, which must be empty, and
// migrates it first. The source must have the schema of the program. It may serve requests
// meanwhile: the copy is its state at one moment. Secrets stay sealed as they are.
// Afterwards CopyFrom reads the written rows and compares their digests with those of the
// source.
//
// Everything is one transaction, so an interrupted copy leaves an empty database and can
// be repeated. The error is ErrNotEmpty if a record exists.
func (s *Store) CopyFrom(ctx context.Context, source *Store, cfg CopyConfig) ([]CopiedTable, error) {
	if err := source.CheckSchema(ctx); err != nil {
		return nil, err
	}
	if e, wrong := errors.AsType[SchemaError](s.CheckSchema(ctx)); wrong && e.OtherTables > 0 {
		return nil, fmt.Errorf("%w: it has tables of another program", ErrNotEmpty)
	}
	if err := s.Migrate(ctx); err != nil {
		return nil, err
	}
	if cfg.Progress == nil {
		cfg.Progress = func(string, int64, bool) {}
	}
	var c *copier
	err := s.InTx(ctx, func(ctx context.Context) error {
		c = &copier{target: s, conn: s.conn(ctx, s.writer), source: source, cfg: cfg}
		return c.run(ctx)
	})
	if err != nil {
		return nil, err
	}
	return c.copied, nil
}

// copier is one run of CopyFrom in its transaction.
type copier struct {
	target *Store
	conn   gorm.ConnPool // of the transaction
	source *Store
	cfg    CopyConfig
	tables []table
	copied []CopiedTable
}

func (c *copier) run(ctx context.Context) error {
	sqlOf := c.target.dialect.copying()
	err := c.executeAll(ctx, sqlOf.patient)
	if err == nil {
		c.tables, err = copiedTables(ctx, c.conn, sqlOf)
	}
	if err == nil {
		err = c.clear(ctx)
	}
	if err == nil {
		err = c.source.snapshot(ctx, c.copyTables)
	}
	if err == nil {
		err = c.executeAll(ctx, sqlOf.continueSequences)
	}
	if err == nil {
		err = c.verify(ctx)
	}
	if err == nil && c.cfg.Finish != nil {
		err = c.cfg.Finish(ctx, c.copied)
	}
	return err
}

func (c *copier) executeAll(ctx context.Context, statements []string) error {
	for _, statement := range statements {
		if _, err := c.conn.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// freshRow returns the condition for the rows that a table has after the migration.
func freshRow(table string) string {
	switch table {
	case "realms", "password_profiles":
		return "id = 'default' AND version = 1"
	case "audit_chain":
		return "seq = 0 AND swept = 0"
	}
	return "1 = 0"
}

// clear locks the tables against other writers, checks that they have no records, and
// deletes the rows that the migration added.
func (c *copier) clear(ctx context.Context) error {
	for _, t := range c.tables {
		if lock := c.target.dialect.locksTable(t.name); lock != "" {
			if _, err := c.conn.ExecContext(ctx, lock); err != nil {
				return err
			}
		}
		rows, err := textRows(ctx, c.conn, 1, "SELECT 'x' FROM "+t.name+" WHERE NOT ("+freshRow(t.name)+") LIMIT 1") //nolint:gosec // names of the schema
		if err != nil {
			return err
		}
		if len(rows) > 0 {
			return fmt.Errorf("%w: the table %s has rows", ErrNotEmpty, t.name)
		}
	}
	for _, t := range slices.Backward(c.tables) {
		if _, err := c.conn.ExecContext(ctx, "DELETE FROM "+t.name); err != nil { //nolint:gosec // names of the schema
			return err
		}
	}
	return nil
}

// snapshot calls do with a transaction that sees the database as it is now, whatever
// is written meanwhile.
func (s *Store) snapshot(ctx context.Context, do func(ctx context.Context, q queryer) error) (err error) {
	options := &sql.TxOptions{ReadOnly: true}
	if s.dialect.name() != "sqlite" { // whose transactions are snapshots
		options.Isolation = sql.LevelRepeatableRead
	}
	tx, err := s.pools.read.BeginTx(ctx, options)
	if err != nil {
		return s.wrap(ctx, "snapshot", err)
	}
	defer func() {
		if ended := tx.Rollback(); err == nil {
			err = ended
		}
	}()
	for _, statement := range s.dialect.copying().patient {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return s.wrap(ctx, "snapshot", err)
		}
	}
	return do(ctx, tx)
}

// copyTables copies the rows of all tables.
func (c *copier) copyTables(ctx context.Context, q queryer) error {
	for _, t := range c.tables {
		d, err := c.copyTable(ctx, q, t)
		if err != nil {
			return fmt.Errorf("table %s: %w", t.name, err)
		}
		copied := CopiedTable{t.name, d.rows, d.String()}
		if c.cfg.Expect != nil && !slices.Contains(c.cfg.Expect, copied) {
			return fmt.Errorf("table %s: its %d rows are not those that were written", t.name, d.rows)
		}
		c.copied = append(c.copied, copied)
	}
	return nil
}

func (c *copier) copyTable(ctx context.Context, q queryer, t table) (d digest, err error) {
	batch := max(1, copyParameters/len(t.columns))
	args := make([]any, 0, batch*len(t.columns))
	write := func() error {
		rows := len(args) / len(t.columns)
		if rows == 0 {
			return nil
		}
		_, err := c.conn.ExecContext(ctx, c.target.dialect.bind(t.insert(rows)), args...)
		args = args[:0]
		return err
	}
	err = t.eachRow(ctx, q, func(values []any) error {
		d.add(values)
		if args = append(args, values...); len(args) < batch*len(t.columns) {
			return nil
		}
		err := write()
		c.cfg.Progress(t.name, d.rows, false)
		return err
	})
	if err == nil {
		err = write()
	}
	c.cfg.Progress(t.name, d.rows, true)
	return d, err
}

// verify reads what was written, and compares its digests with those of the source.
func (c *copier) verify(ctx context.Context) error {
	for i, t := range c.tables {
		d, err := t.digestOf(ctx, c.conn)
		if err != nil {
			return fmt.Errorf("table %s: %w", t.name, err)
		}
		if was := c.copied[i]; was.Rows != d.rows || was.Digest != d.String() {
			return fmt.Errorf("table %s: the rows that were written differ from those of the source: %d rows with the digest %s, not %d with %s",
				t.name, d.rows, shortDigest(d.String()), was.Rows, shortDigest(was.Digest))
		}
	}
	return nil
}

func shortDigest(hexadecimal string) string { return strings.ToLower(hexadecimal)[:12] }
