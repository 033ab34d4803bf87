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

// refuseNewer returns a SchemaError if a newer program made the schema. Writes of
// this program might break rules that it does not know.
func (s *Store) refuseNewer(ctx context.Context) error {
	err := s.CheckSchema(ctx)
	if e, ok := errors.AsType[SchemaError](err); ok && !e.Newer() {
		return nil
	}
	return err
}

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
	options := append(m.options, goose.WithLogger(goose.NopLogger()), goose.WithDisableGlobalRegistry(true))
	provider, err := goose.NewProvider(m.dialect, s.pools.write, files, options...)
	if err != nil {
		return err
	}
	return do(provider) // the provider's Close would close the store's pool
}
