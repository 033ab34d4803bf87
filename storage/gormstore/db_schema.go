package gormstore

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Migration is one step of the schema.
type Migration struct {
	Version   int64
	Name      string    // empty: a step of a newer program
	AppliedAt time.Time // zero: not yet
}

// SchemaError says that the schema of the database is not the one that the
// program needs.
type SchemaError struct {
	Found int64 // version up to which all steps are applied; 0: there is no schema
	Needs int64 // version of the program

	OtherTables int // tables in a database without a schema, of another program or an extension
}

// Error names both versions and the command or release that helps.
func (e SchemaError) Error() string {
	advice := "Run `latchkey migrate up`."
	if e.Newer() {
		advice = "Use the release that made the schema, or a later one."
	}
	if e.OtherTables > 0 {
		return fmt.Sprintf("The database has tables, but no schema of this program, which needs version %d. If it is the right database, run `latchkey migrate up`.", e.Needs)
	}
	return fmt.Sprintf("The database schema is at version %d; this program needs version %d. %s", e.Found, e.Needs, advice)
}

// Newer reports whether a newer program made the schema.
func (e SchemaError) Newer() bool { return e.Found > e.Needs }

// Empty reports whether the database has no tables.
func (e SchemaError) Empty() bool { return e.Found == 0 && e.OtherTables == 0 }

// CheckSchema returns a SchemaError unless the schema is the one that the program
// needs. It writes nothing.
func (s *Store) CheckSchema(ctx context.Context) error {
	steps, err := s.MigrationStatus(ctx)
	if err != nil {
		return err
	}
	var e SchemaError
	gap := false
	for _, m := range steps {
		if m.Name != "" {
			e.Needs = m.Version
		}
		gap = gap || m.AppliedAt.IsZero()
		if !gap || m.Name == "" {
			e.Found = m.Version
		}
	}
	if e.Found == e.Needs {
		return nil
	}
	if e.Found == 0 {
		if err := s.pools.read.QueryRowContext(ctx, s.dialect.otherTables()).Scan(&e.OtherTables); err != nil {
			return s.wrap(ctx, "other tables", err)
		}
	}
	return e
}

// MigrationStatus lists the steps of the schema, oldest first. It writes
// nothing. Steps that a newer program has applied have no name.
func (s *Store) MigrationStatus(ctx context.Context) ([]Migration, error) {
	dir, exists := s.dialect.schema()
	steps, err := ownMigrations(dir)
	if err != nil {
		return nil, err
	}
	applied, err := s.appliedVersions(ctx, exists)
	if err != nil {
		return nil, s.wrap(ctx, "migration status", err)
	}
	for version, at := range applied {
		i := slices.IndexFunc(steps, func(m Migration) bool { return m.Version == version })
		if i < 0 {
			i, steps = len(steps), append(steps, Migration{Version: version})
		}
		steps[i].AppliedAt = at
	}
	slices.SortFunc(steps, func(a, b Migration) int { return int(a.Version - b.Version) })
	return steps, nil
}

// PendingMigrations lists the steps of the schema for a database of that URL
// which does not exist yet.
func PendingMigrations(url string) ([]Migration, error) {
	d, err := dialectOf(Config{URL: url})
	if err != nil {
		return nil, err
	}
	dir, _ := d.schema()
	return ownMigrations(dir)
}

// ownMigrations lists the steps that the program has, oldest first.
func ownMigrations(dir string) ([]Migration, error) {
	files, err := fs.ReadDir(migrationFiles, dir)
	if err != nil {
		return nil, err
	}
	steps := make([]Migration, len(files))
	for i, file := range files {
		name := strings.TrimSuffix(path.Base(file.Name()), ".sql")
		number, _, _ := strings.Cut(name, "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("migration %s: %w", name, err)
		}
		steps[i] = Migration{Version: version, Name: name}
	}
	return steps, nil
}

// appliedVersions reads goose's table of applied migrations. goose adds a row with version
// 0 when it creates the table.
func (s *Store) appliedVersions(ctx context.Context, exists string) (map[int64]time.Time, error) {
	db := s.pools.read
	var tables int
	if err := db.QueryRowContext(ctx, exists).Scan(&tables); err != nil || tables == 0 {
		return nil, err
	}
	rows, err := db.QueryContext(ctx, "SELECT version_id, is_applied, tstamp FROM goose_db_version WHERE version_id > 0 ORDER BY id")
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err says what matters
	applied := map[int64]time.Time{}
	for rows.Next() {
		var version int64
		var done bool
		var at time.Time
		if err := rows.Scan(&version, &done, &at); err != nil {
			return nil, err
		}
		if delete(applied, version); done {
			applied[version] = at.UTC()
		}
	}
	return applied, rows.Err()
}
