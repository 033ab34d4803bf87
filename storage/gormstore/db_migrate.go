package gormstore

import (
	"context"
	"embed"
	"errors"
	"io/fs"

	"github.com/pressly/goose/v3"
)

//go:embed migrations
var migrationFiles embed.FS

// migrating calls do with goose's provider while it holds the migration lock.
func (s *Store) migrating(ctx context.Context, do func(*goose.Provider) error) (err error) {
	m, err := s.dialect.migrations(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.unlock()) }()
	dir, _ := s.dialect.schema()
	files, err := fs.Sub(migrationFiles, dir)
	if err != nil {
		return err
	}
	db := m.db
	if db == nil {
		db = s.pools.write
	}
	provider, err := goose.NewProvider(m.dialect, db, files, goose.WithLogger(goose.NopLogger()), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	return do(provider) // the provider's Close would close the store's pool
}
