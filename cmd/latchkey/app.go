package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/rs/zerolog"

	"latchkey/config"
	"latchkey/keys"
	"latchkey/oauth/server"
	"latchkey/storage/gormstore"
)

// app is an open database with its secrets, as commands use it.
type app struct {
	core    *server.App
	cfg     config.Config
	log     zerolog.Logger
	now     func() time.Time
	random  io.Reader
	store   *gormstore.Store
	sealer  *keys.Sealer
	peppers *keys.Peppers
	ring    *keys.Ring // nil until openRing
}

func newApp(core *server.App) *app {
	return &app{
		core: core, cfg: core.Settings, log: core.Logger, now: core.Now, random: core.Rand,
		store: core.Store, sealer: core.Sealer, peppers: core.Peppers, ring: core.Ring,
	}
}

// openRing loads the signing keys; see server.App.
func (a *app) openRing(ctx context.Context, also ...string) error {
	err := a.core.OpenRing(ctx, also...)
	a.ring = a.core.Ring
	return err
}

// Close closes the database.
func (a *app) Close() error { return a.store.Close() }

// serverConfig returns what a server of this program is assembled from.
func (c *cli) serverConfig(cfg config.Config) server.Config {
	return server.Config{
		Settings: cfg, Version: buildVersion().Version, Log: c.stderr,
		Now: c.now, Rand: c.random, Console: c.stdout, OnStatement: c.onStatement,
		Notify: c.notifier(), Watchdog: c.watchdog(),
	}
}

// withStore opens the database for a command that only reads and needs no secret.
// The schema must be that of the program.
func (c *cli) withStore(ctx context.Context, cfg config.Config, do func(*gormstore.Store) error) error {
	store, err := server.OpenStoreReadOnly(ctx, c.serverConfig(cfg))
	if err != nil {
		return err
	}
	if err = store.CheckSchema(ctx); err == nil {
		err = do(store)
	}
	return errors.Join(err, store.Close())
}

// makeSchema creates the schema of an empty database, and says so on the standard
// error stream. It returns gormstore.SchemaError for a schema of another version:
// only "serve", "demo" and "migrate up" change an existing schema.
func (c *cli) makeSchema(ctx context.Context, cfg config.Config, store *gormstore.Store) error {
	err := store.CheckSchema(ctx)
	schema, ok := errors.AsType[gormstore.SchemaError](err)
	if !ok || !schema.Empty() {
		return err
	}
	if err := store.Migrate(ctx); err != nil {
		return err
	}
	return c.notice("the database %s was empty; it now has the schema of version %d", cfg.DatabaseURL, schema.Needs)
}

// notice prints a line to the standard error stream, besides the result of the
// command.
func (c *cli) notice(format string, args ...any) error {
	text := oneLine(fmt.Sprintf(format, args...))
	if c.output == "json" {
		return writeJSON(c.stderr, map[string]string{"notice": text})
	}
	_, err := fmt.Fprintf(c.stderr, "latchkey: %s\n", text)
	return err
}

// openApp opens the database and its secrets for a command that writes. It creates
// the schema of an empty database. The caller closes the app.
func (c *cli) openApp(ctx context.Context, cfg config.Config) (*app, error) {
	sc := c.serverConfig(cfg)
	store, err := server.OpenStore(ctx, sc)
	if err != nil {
		return nil, err
	}
	var core *server.App
	if err = c.makeSchema(ctx, cfg, store); err == nil {
		core, err = server.NewApp(ctx, sc, store)
	}
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return newApp(core), nil
}

// withReadingApp opens the database and its secrets for a command that changes
// nothing, and calls do.
func (c *cli) withReadingApp(ctx context.Context, cfg config.Config, do func(*app) error) error {
	return c.withStore(ctx, cfg, func(store *gormstore.Store) error {
		core, err := server.NewReadOnlyApp(ctx, c.serverConfig(cfg), store)
		if err != nil {
			return err
		}
		return do(newApp(core))
	})
}

// opensApp is the type of withApp, withExistingApp and withReadingApp.
type opensApp func(context.Context, config.Config, func(*app) error) error

// withExistingApp opens an app for a command that changes what is there already,
// and calls do. The database must exist and have the schema of the program.
func (c *cli) withExistingApp(ctx context.Context, cfg config.Config, do func(*app) error) error {
	if err := c.withStore(ctx, cfg, func(*gormstore.Store) error { return nil }); err != nil {
		return err
	}
	return c.withApp(ctx, cfg, do)
}

// withApp opens an app for a command that adds records, and calls do. It gives an
// empty database its schema.
func (c *cli) withApp(ctx context.Context, cfg config.Config, do func(*app) error) error {
	a, err := c.openApp(ctx, cfg)
	if err != nil {
		return err
	}
	return errors.Join(do(a), a.Close())
}
