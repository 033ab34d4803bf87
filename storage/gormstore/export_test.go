package gormstore

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/pressly/goose/v3"

	"latchkey/storage"
)

// MigrateTo migrates to an older version of the schema.
func (s *Store) MigrateTo(ctx context.Context, version int64) error {
	return s.migrating(ctx, func(p *goose.Provider) error {
		_, err := p.UpTo(ctx, version)
		return err
	})
}

// Exec executes a statement of a test.
func (s *Store) Exec(ctx context.Context, sql string, args ...any) error {
	_, err := s.exec(ctx, "test", sql, args...)
	return err
}

// Grouped returns how many calls wait for the next group of SQLite, and whether a group runs.
func (s *Store) Grouped() (waiting int, running bool) {
	g := &s.dialect.(*sqlite).group
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiting), g.running
}

// SealedColumns names the columns, as "table.column", with the IDs of the master keys of all
// secrets that Reseal knows.
func SealedColumns() []string {
	var names []string
	for _, p := range sealedPlaces() {
		names = append(names, p.table+"."+p.keyID)
	}
	return names
}

// DefaultListConns is how many connections lists use at a time if Config does not say.
const DefaultListConns = defaultMaxConns / listShare

// ListsRunning returns how many lists use a connection.
func (s *Store) ListsRunning() int { return len(s.listConns) }

// OccupyLists takes all connections of lists until release is called.
func (s *Store) OccupyLists() (release func()) {
	for range cap(s.listConns) {
		s.listConns <- struct{}{}
	}
	return func() {
		for range cap(s.listConns) {
			<-s.listConns
		}
	}
}

// Beat sends one heartbeat; see Keep.
func (r *Registration) Beat(ctx context.Context) error { return r.beat(ctx) }

// Look looks for the other servers at the time now; see Keep.
func (r *Registration) Look(ctx context.Context, now time.Time) error { return r.look(ctx, now) }

// Listed reports whether the server is in the list.
func (r *Registration) Listed(ctx context.Context) (bool, error) {
	n, err := get[int](ctx, r.store, "servers", "SELECT count(*) FROM servers WHERE id = ?", r.id)
	return n == 1, err
}

// Kill ends the server as SIGKILL would: its row stays, and its locks end.
func (r *Registration) Kill() { _ = r.unlock() }

// Setting returns a setting of PostgreSQL as statements of the store see it.
func (s *Store) Setting(ctx context.Context, name string) (string, error) {
	return get[string](ctx, s, "setting", "SELECT current_setting(?)", name)
}

// LimitPages limits the size of an SQLite file, as a full disk does. The limit is at least the
// present size.
func (s *Store) LimitPages(ctx context.Context, pages int) error {
	_, err := returning[int](ctx, s, "limit", fmt.Sprintf("PRAGMA max_page_count = %d", pages))
	return err
}

// CountUpTo makes lists count up to n records and estimate larger totals.
func (s *Store) CountUpTo(n int) { s.exactTotal = n }

// ListedIn returns the ID of the server and whether it is in the list. It reads through db, so
// that it works when the server has no free connection.
func (r *Registration) ListedIn(ctx context.Context, db *sql.DB) (id string, listed bool, err error) {
	var n int
	err = db.QueryRowContext(ctx, "SELECT count(*) FROM servers WHERE id = '"+r.id+"'").Scan(&n)
	return r.id, n == 1, err
}

// AddSingly chains audit events without batches, as earlier versions do.
func (s *Store) AddSingly(ctx context.Context, events ...storage.AuditEvent) error {
	return s.InTx(ctx, func(ctx context.Context) error {
		c, err := s.chain(ctx, s.locking(ctx))
		if err != nil {
			return err
		}
		rows := make([]auditRow, len(events))
		for i := range events {
			r := &rows[i]
			*r = s.auditRowOf(&events[i])
			c.Stamp = max(r.Time, c.Stamp+1)
			r.ID, r.Seq, r.KeyID = auditID(c.Stamp, make([]byte, auditIDRandom)), c.Seq+1, s.auditKeys.CurrentID()
			r.MAC, _ = s.auditMAC(r.KeyID, purposeAuditEvent, r.canonical(nil, c.MAC))
			c.Seq, c.MAC = r.Seq, r.MAC
		}
		if err := s.insertAuditEvents(ctx, rows); err != nil {
			return err
		}
		return s.putChain(ctx, c)
	})
}

// CopiedColumns returns the columns that copies have, as "table.column", and the sequences of
// the schema.
func (s *Store) CopiedColumns(ctx context.Context) (columns, sequences []string, err error) {
	tables, err := copiedTables(ctx, s.pools.read, s.dialect.copying())
	for _, t := range tables {
		for _, c := range t.columns {
			columns = append(columns, t.name+"."+c.name)
		}
	}
	if err != nil {
		return nil, nil, err
	}
	query := "SELECT relname FROM pg_class WHERE relkind = 'S' AND relname NOT LIKE 'goose%'"
	if s.dialect.name() == "sqlite" {
		query = "SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%' AND name NOT LIKE 'goose%'"
	}
	rows, err := textRows(ctx, s.pools.read, 1, query)
	for _, row := range rows {
		if !isMomentary(row[0]) {
			sequences = append(sequences, row[0])
		}
	}
	return columns, sequences, err
}
