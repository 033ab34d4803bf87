package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"latchkey/config"
	"latchkey/keys"
	"latchkey/oauth/server/internal/tracing"
	"latchkey/oauth/server/terminal"
	"latchkey/otp/deliver/mailer"
	"latchkey/storage"
	"latchkey/storage/gormstore"
)

const (
	// MaxTokenLife is the longest life of any token: those of anonymous shoppers
	// and of account members may live this long. A retired signing key stays
	// published for this long.
	MaxTokenLife = 31 * 24 * time.Hour
	// KeyMargin is added to the time that others may cache the key set, and to the
	// time that a retired key stays published: a replica learns of a new key up to
	// reloadKeysEvery later, and clocks may differ by a minute.
	KeyMargin = 2 * time.Minute
)

// Config configures a server.
type Config struct {
	Settings config.Config
	Version  string           // of the program, for the OpenAPI document
	Log      io.Writer        // lines of JSON, of the level in Settings; nil: nowhere
	Now      func() time.Time // required
	Rand     io.Reader        // required; read by many goroutines at once
	Console  io.Writer        // console senders write their messages to it; nil: nowhere

	// Listener is open at Settings.Listen already, see Bind. If it is nil, the
	// server opens its listener when everything else is ready.
	Listener net.Listener
	// OpsListener is open at Settings.OpsListen already, see BindBoth. nil: the server
	// opens it.
	OpsListener net.Listener
	// OnStatement is called with each SQL statement. It may be nil.
	OnStatement func(sql string)
	// Notify sends a state to the service manager (sd_notify(3)): READY=1, STOPPING=1 and,
	// each Watchdog, WATCHDOG=1. nil: nothing is sent.
	Notify   func(state string)
	Watchdog time.Duration // 0: WATCHDOG=1 is not sent
	// FastCommits trades the durability of an SQLite database for speed: the last
	// commits are lost if the machine fails.
	FastCommits bool
}

// logger returns a logger that writes to Log. Callers choose parts of some lines, so
// characters that control a terminal are escaped.
func (c Config) logger() zerolog.Logger {
	if c.Log == nil {
		return zerolog.Nop()
	}
	to := terminal.JSON(c.Log)
	if c.Settings.LogFormat == "text" {
		// It quotes values with characters that are not printable.
		to = zerolog.ConsoleWriter{Out: c.Log, NoColor: true, TimeFormat: time.RFC3339}
	}
	return zerolog.New(to).Level(c.Settings.LogLevel).With().Timestamp().Logger()
}

// App is an open database together with the secrets that belong to it. The server
// is assembled from an App, and commands use one.
type App struct {
	Config
	Logger  zerolog.Logger // writes to Log
	Store   *gormstore.Store
	Sealer  *keys.Sealer
	Peppers *keys.Peppers
	Ring    *keys.Ring // nil until OpenRing

	readOnly bool            // nothing may be changed
	tracer   *tracing.Tracer // nil: there are no spans

	mails struct { // see mailTemplates
		once      sync.Once
		templates *mailer.Templates
		err       error
	}
}

// OpenStore opens the database of the settings. It creates an SQLite file that
// does not exist. The caller closes the store. The schema may be missing.
func OpenStore(ctx context.Context, cfg Config) (*gormstore.Store, error) {
	return openStore(ctx, cfg, false)
}

// OpenStoreReadOnly opens a database that exists and refuses every change. The
// caller closes the store. The schema may be missing. The error is fs.ErrNotExist
// if there is no SQLite file.
func OpenStoreReadOnly(ctx context.Context, cfg Config) (*gormstore.Store, error) {
	return openStore(ctx, cfg, true)
}

func openStore(ctx context.Context, cfg Config, readOnly bool) (*gormstore.Store, error) {
	settings := cfg.Settings
	store, err := gormstore.Open(ctx, gormstore.Config{
		URL:            settings.DatabaseURL.Reveal(),
		DirectURL:      settings.DatabaseDirectURL.Reveal(),
		ReadOnly:       readOnly,
		Relaxed:        cfg.FastCommits,
		MaxConns:       settings.DatabaseMaxConns,
		Now:            cfg.Now,
		Logger:         cfg.logger(),
		AuditRetention: settings.AuditRetention,
		OnStatement:    cfg.OnStatement,
	})
	switch {
	case errors.Is(err, fs.ErrNotExist) && readOnly:
		return nil, missingDatabase{settings.DatabaseURL}
	case err != nil:
		return nil, fmt.Errorf("database %s: %w", settings.DatabaseURL, err)
	}
	return store, nil
}

// missingDatabase is the error for an SQLite file that does not exist. It is
// fs.ErrNotExist.
type missingDatabase struct{ url config.DatabaseURL }

func (e missingDatabase) Error() string {
	return fmt.Sprintf("The database %s does not exist. Run `latchkey migrate up`.", e.url)
}

func (e missingDatabase) Unwrap() error { return fs.ErrNotExist }

// NewApp returns an App on an open and migrated store. It creates the first
// secrets of a database that has none.
func NewApp(ctx context.Context, cfg Config, store *gormstore.Store) (*App, error) {
	sealed, err := store.Peppers(ctx)
	if err != nil {
		return nil, err
	}
	random := cfg.Rand
	if len(sealed) > 0 {
		random = nil // the database has secrets, so their master key must exist: none is created
	}
	masterKeys, err := cfg.Settings.ResolveMasterKeys(random)
	if err != nil {
		return nil, err
	}
	return newApp(ctx, cfg, store, store, masterKeys)
}

func newApp(ctx context.Context, cfg Config, store *gormstore.Store, secrets keys.PepperStore, masterKeys [][]byte) (*App, error) {
	sealer, err := keys.NewSealer(masterKeys...)
	if err != nil {
		return nil, err
	}
	peppers, err := keys.LoadPeppers(ctx, secrets, sealer, cfg.Rand, cfg.Now())
	if err != nil {
		return nil, err
	}
	store.ChainAuditEvents(peppers)
	return &App{Config: cfg, Logger: cfg.logger(), Store: store, Sealer: sealer, Peppers: peppers}, nil
}

// NewReadOnlyApp is NewApp for callers that change nothing. If the database has no
// secrets yet, the App has temporary ones: nothing in the database was made with
// any.
func NewReadOnlyApp(ctx context.Context, cfg Config, store *gormstore.Store) (*App, error) {
	sealed, err := store.Peppers(ctx)
	if err != nil {
		return nil, err
	}
	var masterKeys [][]byte
	var secrets keys.PepperStore = store
	if len(sealed) > 0 {
		masterKeys, err = cfg.Settings.ResolveMasterKeys(nil)
	} else {
		key := make([]byte, config.KeySize)
		_, err = io.ReadFull(cfg.Rand, key)
		masterKeys, secrets = [][]byte{key}, &memoryPeppers{}
	}
	if err != nil {
		return nil, err
	}
	a, err := newApp(ctx, cfg, store, secrets, masterKeys)
	if err != nil {
		return nil, err
	}
	a.readOnly = true
	return a, nil
}

// memoryPeppers is a keys.PepperStore in memory.
type memoryPeppers struct{ all []storage.Pepper }

// Peppers implements keys.PepperStore.
func (p *memoryPeppers) Peppers(context.Context) ([]storage.Pepper, error) { return p.all, nil }

// AddFirstPepper implements keys.PepperStore.
func (p *memoryPeppers) AddFirstPepper(_ context.Context, first storage.Pepper) error {
	p.all = []storage.Pepper{first}
	return nil
}

// OpenRing loads the signing keys into Ring. Unless the App is read-only, it
// creates the first key of each algorithm that has none. The algorithms are that
// of the settings, by default ES256; RS256 and ES256, which every server has; and
// those in also.
func (a *App) OpenRing(ctx context.Context, also ...string) error {
	var algs []string
	for _, alg := range append([]string{cmp.Or(a.Settings.SigningAlg, keys.ES256), keys.RS256, keys.ES256}, also...) {
		if !slices.Contains(algs, alg) {
			algs = append(algs, alg)
		}
	}
	ring, err := keys.NewRing(ctx, keys.RingConfig{
		Store:        a.Store,
		Sealer:       a.Sealer,
		Algs:         algs,
		PublishAhead: a.Settings.JWKSMaxAge + KeyMargin,
		MaxTokenLife: MaxTokenLife + KeyMargin,
		RotateAfter:  a.Settings.KeyRotation,
		ReadOnly:     a.readOnly,
		Now:          a.Now,
		Rand:         a.Rand,
	})
	if err != nil {
		return err
	}
	a.Ring = ring
	return nil
}

// signingKeys is admin.Status.Signing. It reads the keys as the database has them.
func (a *App) signingKeys(ctx context.Context) (map[string]time.Time, error) {
	all, err := a.Ring.List(ctx)
	signing := map[string]time.Time{}
	for _, k := range all {
		if k.State == keys.StateActive && !k.External {
			signing[k.KID] = k.ActivatesAt
		}
	}
	return signing, err
}

// Close closes the database.
func (a *App) Close() error { return a.Store.Close() }
