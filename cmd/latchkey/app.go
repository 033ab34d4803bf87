package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"latchkey/config"
	"latchkey/keys"
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
	funnel  *funnel    // nil outside of a server
	auditor *auditor   // likewise

	listener net.Listener // of a server whose port the system chose; nil: not open yet
}

// logger writes JSON lines to the standard error stream.
func (c *cli) logger(cfg config.Config) zerolog.Logger {
	return zerolog.New(jsonWriter{c.stderr}).Level(cfg.LogLevel).With().Timestamp().Logger()
}

// openStore opens the database alone, for commands that touch no secret. The
// caller closes it. The schema may be missing; see requireSchema.
func (c *cli) openStore(ctx context.Context, cfg config.Config) (*gormstore.Store, error) {
	store, err := gormstore.Open(ctx, gormstore.Config{
		URL:      cfg.DatabaseURL.Reveal(),
		MaxConns: cfg.DatabaseMaxConns,
		Now:      c.now,
		Logger:   c.logger(cfg),

		AuditRetention: cfg.AuditRetention,

		OnStatement: c.onStatement,
	})
	if err != nil {
		return nil, fmt.Errorf("database %s: %w", cfg.DatabaseURL, err)
	}
	return store, nil
}

// withStore opens the database, sees that its schema is current, and calls do.
func (c *cli) withStore(ctx context.Context, cfg config.Config, do func(*gormstore.Store) error) error {
	store, err := c.openStore(ctx, cfg)
	if err != nil {
		return err
	}
	if err = requireSchema(ctx, store); err == nil {
		err = do(store)
	}
	return errors.Join(err, store.Close())
}

// requireSchema gives an empty database its schema and refuses one that is not
// the program's: that is for "migrate up" or the start of a server.
func requireSchema(ctx context.Context, store *gormstore.Store) error {
	steps, err := store.MigrationStatus(ctx)
	if err != nil {
		return err
	}
	pending := func(m gormstore.Migration) bool { return m.AppliedAt.IsZero() }
	if !slices.ContainsFunc(steps, pending) {
		return nil
	}
	if empty := pending(steps[0]); empty {
		return store.Migrate(ctx)
	}
	return errors.New("the database has not the schema of this version: run latchkey migrate up")
}

// openApp opens the database, whose schema must be current, and the secrets
// that belong to it. The caller closes the app.
func (c *cli) openApp(ctx context.Context, cfg config.Config) (*app, error) {
	store, err := c.openStore(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := requireSchema(ctx, store); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	a, err := c.newApp(ctx, cfg, store)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return a, nil
}

// newApp puts an app on an open and migrated store.
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
	sealer, err := keys.NewSealer(masterKeys...)
	if err != nil {
		return nil, err
	}
	peppers, err := keys.LoadPeppers(ctx, store, sealer, c.random, c.now())
	if err != nil {
		return nil, err
	}
	store.ChainAuditEvents(peppers)
	return &app{
		cfg: cfg, log: c.logger(cfg), now: c.now, random: c.random,
		store: store, sealer: sealer, peppers: peppers,
	}, nil
}

// withApp opens an app and calls do.
func (c *cli) withApp(ctx context.Context, cfg config.Config, do func(*app) error) error {
	a, err := c.openApp(ctx, cfg)
	if err != nil {
		return err
	}
	return errors.Join(do(a), a.Close())
}

// openRing loads the signing keys and makes the first one of each algorithm
// that has none: the server's, which is ES256 by default, RS256 and ES256, which
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
