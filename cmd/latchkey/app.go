package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"latchkey/config"
	"latchkey/keys"
	"latchkey/oauth/server/audit"
	"latchkey/storage"
	"latchkey/storage/gormstore"
)

const (
	// maxAccessTokenLife is the longest life of an access token that a client may
	// be given.
	maxAccessTokenLife = 24 * time.Hour
	// maxTokenLife is the longest life of any token: anonymous shoppers and
	// account members may keep theirs for so long. A retired signing key stays
	// published for as long.
	maxTokenLife = 31 * 24 * time.Hour
	// keyMargin is added to the time that others may cache the key set, and to
	// that for which a retired key stays published: a replica learns of a new key
	// up to reloadKeysEvery later, and clocks may be a minute apart.
	keyMargin = 2 * time.Minute
)

// app is what commands work with, opened from one configuration.
type app struct {
	cfg     config.Config
	log     zerolog.Logger
	now     func() time.Time
	random  io.Reader
	store   *gormstore.Store
	sealer  *keys.Sealer
	peppers *keys.Peppers
	ring    *keys.Ring // nil until openRing

	readOnly bool // the command changes nothing

	events *audit.Recorder // of a server; nil outside of one

	registration *gormstore.Registration // of a server; nil outside of one

	listener net.Listener // of a server whose port the system chose; nil: not open yet
}

// logger writes JSON lines to the standard error stream.
func (c *cli) logger(cfg config.Config) zerolog.Logger {
	return zerolog.New(jsonWriter{c.stderr}).Level(cfg.LogLevel).With().Timestamp().Logger()
}

// openStore opens the database, which is created if it is an SQLite file that
// does not exist. The caller closes it. The schema may be missing.
func (c *cli) openStore(ctx context.Context, cfg config.Config) (*gormstore.Store, error) {
	return c.open(ctx, cfg, false)
}

// openToRead opens a database that exists, for a command that changes nothing.
// The caller closes it. The schema may be missing; the error is fs.ErrNotExist if
// there is no SQLite file.
func (c *cli) openToRead(ctx context.Context, cfg config.Config) (*gormstore.Store, error) {
	return c.open(ctx, cfg, true)
}

func (c *cli) open(ctx context.Context, cfg config.Config, readOnly bool) (*gormstore.Store, error) {
	store, err := gormstore.Open(ctx, gormstore.Config{
		URL:      cfg.DatabaseURL.Reveal(),
		ReadOnly: readOnly,
		MaxConns: cfg.DatabaseMaxConns,
		Now:      c.now,
		Logger:   c.logger(cfg),

		AuditRetention: cfg.AuditRetention,

		OnStatement: c.onStatement,
	})
	switch {
	case errors.Is(err, fs.ErrNotExist) && readOnly:
		return nil, missingDatabase{cfg.DatabaseURL}
	case err != nil:
		return nil, fmt.Errorf("database %s: %w", cfg.DatabaseURL, err)
	}
	return store, nil
}

// missingDatabase says that there is no SQLite file. It is fs.ErrNotExist.
type missingDatabase struct{ url config.DatabaseURL }

func (e missingDatabase) Error() string {
	return fmt.Sprintf("The database %s does not exist. Run `latchkey migrate up`.", e.url)
}

func (e missingDatabase) Unwrap() error { return fs.ErrNotExist }

// withStore opens the database for a command that only reads and needs no secret.
// The schema must be that of the program.
func (c *cli) withStore(ctx context.Context, cfg config.Config, do func(*gormstore.Store) error) error {
	store, err := c.openToRead(ctx, cfg)
	if err != nil {
		return err
	}
	if err = store.CheckSchema(ctx); err == nil {
		err = do(store)
	}
	return errors.Join(err, store.Close())
}

// makeSchema gives an empty database its schema, and says so on the standard
// error stream. It refuses any other schema that is not the program's: only
// "serve", "demo" and "migrate up" change a schema that exists.
func (c *cli) makeSchema(ctx context.Context, cfg config.Config, store *gormstore.Store) error {
	err := store.CheckSchema(ctx)
	schema, ok := errors.AsType[gormstore.SchemaError](err)
	if !ok || !schema.Empty() {
		return err
	}
	if err := store.Migrate(ctx); err != nil {
		return err
	}
	return c.notice("the database %s was empty; it has now the schema of version %d", cfg.DatabaseURL, schema.Needs)
}

// notice tells the user something besides the result of a command.
func (c *cli) notice(format string, args ...any) error {
	text := oneLine(fmt.Sprintf(format, args...))
	if c.output == "json" {
		return writeJSON(c.stderr, map[string]string{"notice": text})
	}
	_, err := fmt.Fprintf(c.stderr, "latchkey: %s\n", text)
	return err
}

// openApp opens the database and the secrets that belong to it, for a command
// that writes. The caller closes the app.
func (c *cli) openApp(ctx context.Context, cfg config.Config) (*app, error) {
	store, err := c.openStore(ctx, cfg)
	if err != nil {
		return nil, err
	}
	var a *app
	if err = c.makeSchema(ctx, cfg, store); err == nil {
		a, err = c.newApp(ctx, cfg, store)
	}
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return a, nil
}

// newApp puts an app on an open and migrated store, and makes the secrets that
// do not exist yet.
func (c *cli) newApp(ctx context.Context, cfg config.Config, store *gormstore.Store) (*app, error) {
	sealed, err := store.Peppers(ctx)
	if err != nil {
		return nil, err
	}
	random := c.random
	if len(sealed) > 0 {
		random = nil // the database has secrets already, under a key that must be found
	}
	masterKeys, err := cfg.ResolveMasterKeys(random)
	if err != nil {
		return nil, err
	}
	return c.assemble(ctx, cfg, store, store, masterKeys)
}

// assemble returns an app with the secrets of the pepper store.
func (c *cli) assemble(ctx context.Context, cfg config.Config, store *gormstore.Store, secrets keys.PepperStore, masterKeys [][]byte) (*app, error) {
	sealer, err := keys.NewSealer(masterKeys...)
	if err != nil {
		return nil, err
	}
	peppers, err := keys.LoadPeppers(ctx, secrets, sealer, c.random, c.now())
	if err != nil {
		return nil, err
	}
	store.ChainAuditEvents(peppers)
	return &app{
		cfg: cfg, log: c.logger(cfg), now: c.now, random: c.random,
		store: store, sealer: sealer, peppers: peppers,
	}, nil
}

// newReadingApp is newApp for a command that changes nothing. If the database has
// no secrets yet, the app has some of its own that end with it: nothing in the
// database was made with any.
func (c *cli) newReadingApp(ctx context.Context, cfg config.Config, store *gormstore.Store) (a *app, err error) {
	sealed, err := store.Peppers(ctx)
	if err != nil {
		return nil, err
	}
	var masterKeys [][]byte
	var secrets keys.PepperStore = store
	if len(sealed) > 0 {
		masterKeys, err = cfg.ResolveMasterKeys(nil)
	} else {
		key := make([]byte, config.KeySize)
		_, err = io.ReadFull(c.random, key)
		masterKeys, secrets = [][]byte{key}, &unstoredPeppers{}
	}
	if err != nil {
		return nil, err
	}
	if a, err = c.assemble(ctx, cfg, store, secrets, masterKeys); err == nil {
		a.readOnly = true
	}
	return a, err
}

// unstoredPeppers is a keys.PepperStore in memory.
type unstoredPeppers struct{ all []storage.Pepper }

// Peppers implements keys.PepperStore.
func (p *unstoredPeppers) Peppers(context.Context) ([]storage.Pepper, error) { return p.all, nil }

// AddFirstPepper implements keys.PepperStore.
func (p *unstoredPeppers) AddFirstPepper(_ context.Context, first storage.Pepper) error {
	p.all = []storage.Pepper{first}
	return nil
}

// withReadingApp opens an app for a command that changes nothing, and calls do.
func (c *cli) withReadingApp(ctx context.Context, cfg config.Config, do func(*app) error) error {
	return c.withStore(ctx, cfg, func(store *gormstore.Store) error {
		a, err := c.newReadingApp(ctx, cfg, store)
		if err != nil {
			return err
		}
		return do(a)
	})
}

// opensApp is withApp or withReadingApp.
type opensApp func(context.Context, config.Config, func(*app) error) error

// withApp opens an app for a command that writes, and calls do.
func (c *cli) withApp(ctx context.Context, cfg config.Config, do func(*app) error) error {
	a, err := c.openApp(ctx, cfg)
	if err != nil {
		return err
	}
	return errors.Join(do(a), a.Close())
}

// openRing loads the signing keys and, unless the app is for reading, makes the
// first one of each algorithm that has none: the server's, which is ES256 by default, RS256 and ES256, which
// every server has, and those in also.
func (a *app) openRing(ctx context.Context, also ...string) error {
	var algs []string
	for _, alg := range append([]string{cmp.Or(a.cfg.SigningAlg, keys.ES256), keys.RS256, keys.ES256}, also...) {
		if !slices.Contains(algs, alg) {
			algs = append(algs, alg)
		}
	}
	ring, err := keys.NewRing(ctx, keys.RingConfig{
		Store:        a.store,
		Sealer:       a.sealer,
		Algs:         algs,
		PublishAhead: a.cfg.JWKSMaxAge + keyMargin,
		MaxTokenLife: maxTokenLife + keyMargin,
		RotateAfter:  a.cfg.KeyRotation,
		ReadOnly:     a.readOnly,
		Now:          a.now,
		Rand:         a.random,
	})
	if err != nil {
		return err
	}
	a.ring = ring
	return nil
}

// Close closes the database.
func (a *app) Close() error { return a.store.Close() }

// checkSenders refuses what the configuration does not allow: a sender that
// prints one-time passwords to a terminal when the database is one that several
// servers share, and one that sends mail without TLS.
func checkSenders(cfg config.Config, senders []storage.Sender) error {
	var faults config.Faults
	add := func(setting, problem, id string) {
		faults = append(faults, config.Fault{Setting: setting, Problem: fmt.Sprintf(problem, id)})
	}
	for i := range senders {
		s := &senders[i]
		switch {
		case s.Kind == storage.ConsoleSender && cfg.DatabaseURL.Postgres() && !cfg.ConsoleSenderForced:
			add("console_sender_forced", "must be true for the console sender %q with PostgreSQL", s.ID)
		case s.Kind == storage.SMTPSender && s.SMTP.TLS == storage.PlainSMTP && !cfg.SMTPPlaintext:
			add("smtp_plaintext", "must be true for the sender %q, which has TLS none", s.ID)
		}
	}
	if faults == nil {
		return nil
	}
	return faults
}
