package gormstore

import (
	"context"
	"embed"
	"errors"
	"io/fs"

	"github.com/pressly/goose/v3"

	"latchkey/storage"
)

//go:embed migrations
var migrationFiles embed.FS

// Migrate brings the schema up to date and sees that the default realm and the
// default password profile exist. Several replicas may do it at once: one
// works, the others wait for it. The error is a SchemaError if a newer program
// made the schema.
func (s *Store) Migrate(ctx context.Context) error {
	if err := s.refuseNewer(ctx); err != nil {
		return err
	}
	err := s.migrating(ctx, func(p *goose.Provider) error {
		if pending, err := p.HasPending(ctx); err != nil || !pending {
			return err
		}
		_, err := p.Up(ctx)
		return err
	})
	if err == nil {
		err = s.refuseNewer(ctx) // another program may have migrated meanwhile
	}
	if _, refused := errors.AsType[SchemaError](err); refused {
		return err
	}
	if err == nil {
		err = s.addDefaults(ctx)
	}
	return s.wrap(ctx, "migrate", err)
}

// refuseNewer returns a SchemaError if a newer program made the schema: what this
// one would write might break rules that it does not know.
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

// addDefaults leaves records that exist alone, so that an administrator's
// changes survive the next start.
func (s *Store) addDefaults(ctx context.Context) error {
	realm := realmRowOf(storage.Realm{ID: storage.DefaultRealmID, Name: "Default"})
	if err := addMissing(ctx, s, "default realm", &realm); err != nil {
		return err
	}
	profile := passwordProfileRowOf(defaultProfile())
	return addMissing(ctx, s, "default password profile", &profile)
}

// defaultProfile returns the password profile of a new database.
func defaultProfile() storage.PasswordProfile {
	p := storage.NewPasswordProfile(storage.DefaultProfileID, storage.DefaultRealmID)
	p.Name, p.OneTimeCodes = "Default", true
	return p
}
