package gormstore

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/rs/zerolog"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"latchkey/storage"
)

// Config configures a Store. URL is required.
type Config struct {
	// URL is "sqlite:PATH" or "postgres://…" (also "postgresql://…").
	URL string
	// DirectURL is a URL of the same PostgreSQL database that does not lead through a
	// connection pooler. Run and Migrate use it. Empty: URL.
	DirectURL string
	// Relaxed lets SQLite acknowledge a commit before it is on disk
	// (synchronous=NORMAL). For throwaway databases only.
	Relaxed bool
	// ReadOnly opens a database that exists and changes nothing in it; Open returns
	// fs.ErrNotExist if an SQLite file is missing. SQLite refuses every write.
	// PostgreSQL does not: such a store must be used for reading alone.
	ReadOnly bool
	// MaxConns bounds the connections to PostgreSQL; 0 means 16. Lists use an
	// eighth of them, but at least one. Run takes one more.
	MaxConns int
	// ListTimeout bounds the time of a list; 0 means 5 s.
	ListTimeout time.Duration
	// Now returns the current time where no caller passes it, for example for CreatedAt and
	// UpdatedAt of records. nil means time.Now.
	Now func() time.Time
	// Rand makes the ids of audit events and memberships; nil means crypto/rand.
	Rand io.Reader
	// AuditRetention is the age after which Sweep deletes audit events; 0 means 90 days.
	AuditRetention time.Duration
	// Logger logs a lost change listener and a broken chain of audit events, and
	// nothing else.
	Logger zerolog.Logger
	// OnStatement is called before every round trip to the database on behalf
	// of a caller, BEGIN, COMMIT and ROLLBACK included, with the SQL but never
	// with its arguments. It may be called concurrently. Migrations and Run are
	// not reported.
	OnStatement func(sql string)
}

// Store keeps records in one database. It is safe for concurrent use; make one
// with Open.
type Store struct {
	dialect    dialect
	pools      pools
	writer     *gorm.DB
	reader     *gorm.DB
	signs      *gorm.DB // see pools
	statements statements
	cache      *cache
	now        func() time.Time
	rand       io.Reader
	log        zerolog.Logger

	listTimeout time.Duration
	exactTotal  int           // see defaultExactTotal
	listConns   chan struct{} // one element for each list that uses a connection

	auditRetention time.Duration
	auditKeys      storage.AuditKeys // nil until ChainAuditEvents
	auditSeen      atomic.Int64      // the last event of the chain that this store wrote
	auditStamp     atomic.Int64      // the time in the last id that it gave, in microseconds

	observer   atomic.Pointer[Observer]
	hearsBy    atomic.Value // HearsBy
	diskFault  atomic.Pointer[diskFault]
	mu         sync.Mutex
	onChange   []func()
	onWork     []func()
	onRecovery []func()

	server atomic.Pointer[Registration] // nil until RegisterServer
}

// Open connects to the database of cfg.URL. It does not migrate; see Migrate.
// A new SQLite file is created with mode 0600. The caller must Close the store.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	d, err := dialectOf(cfg)
	if err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if cfg.AuditRetention == 0 {
		cfg.AuditRetention = defaultAuditRetention
	}
	if cfg.ListTimeout == 0 {
		cfg.ListTimeout = defaultListTimeout
	}
	s := &Store{
		dialect: d, cache: newCache(), now: cfg.Now, rand: cfg.Rand, log: cfg.Logger,
		listTimeout: cfg.ListTimeout, exactTotal: defaultExactTotal, listConns: make(chan struct{}, d.listConns()),
		auditRetention: cfg.AuditRetention,
	}
	s.statements = newStatements(d)
	if s.pools, err = d.open(ctx); err != nil {
		return nil, s.wrap(ctx, "open", err)
	}
	if err := s.attach(ctx, cfg.OnStatement); err != nil {
		return nil, errors.Join(s.wrap(ctx, "open", err), s.Close())
	}
	return s, nil
}

// attach gives the pools to GORM and pings the database.
func (s *Store) attach(ctx context.Context, seen func(string)) (err error) {
	if err = s.pools.write.PingContext(ctx); err != nil {
		return err
	}
	if s.writer, err = s.over(s.pools.write, seen); err != nil {
		return err
	}
	s.reader = s.writer
	if s.pools.read != s.pools.write {
		s.reader, err = s.over(s.pools.read, seen)
	}
	if err == nil {
		s.signs, err = s.over(s.pools.signs, nil)
	}
	return err
}

// over opens GORM on a pool. All pools of a store share GORM's cache of row types.
func (s *Store) over(db *sql.DB, seen func(string)) (*gorm.DB, error) {
	config := &gorm.Config{
		SkipDefaultTransaction: true, // every method is one statement or says InTx
		DisableAutomaticPing:   true,
		QueryFields:            true, // each column by name
		NamingStrategy:         naming,
		Logger:                 logger.Discard, // its slow-query log would print arguments
	}
	if s.writer != nil {
		shared := *s.writer.Config
		config = &shared
	}
	return gorm.Open(s.dialect.gorm(newPool(db, seen, s.dialect.repeatable)), config)
}

// Migrate brings the schema up to date and adds the default realm and the default
// password profile where they are missing. Several replicas may call it at once:
// one works, the others wait. The error is a SchemaError if a newer program made
// the schema.
func (s *Store) Migrate(ctx context.Context) error {
	err := s.CheckSchema(ctx)
	if e, wrong := errors.AsType[SchemaError](err); wrong && !e.Newer() {
		err = s.migrating(ctx, func(p *goose.Provider) error {
			_, err := p.Up(ctx)
			return err
		})
		if err == nil {
			err = s.CheckSchema(ctx) // a newer program may have migrated meanwhile
		}
	}
	if _, wrong := errors.AsType[SchemaError](err); wrong {
		return err
	}
	if err == nil {
		err = s.addDefaults(ctx)
	}
	return s.wrap(ctx, "migrate", err)
}

// Observer is called after each named statement: with the context of its caller, its name,
// which contains no argument, the time it began, and its error.
type Observer func(ctx context.Context, name string, began time.Time, err error)

// Observe sets the observer. It is also called for the statements that GORM makes.
func (s *Store) Observe(o Observer) { s.observer.Store(&o) }

// observed reports a statement to the observer.
func (s *Store) observed(ctx context.Context, name string, began time.Time, err error) {
	if o := s.observer.Load(); o != nil {
		(*o)(ctx, name, began, err)
	}
}

// PoolStats returns the statistics of the connection pools by name: "write", and "read" if
// reading has a pool of its own.
func (s *Store) PoolStats() map[string]func() sql.DBStats {
	stats := map[string]func() sql.DBStats{"write": s.pools.write.Stats}
	if s.pools.read != s.pools.write {
		stats["read"] = s.pools.read.Stats
	}
	return stats
}

// Close closes the connections. Running calls fail with storage.ErrUnavailable.
func (s *Store) Close() error {
	var err error
	for _, db := range s.pools.all() {
		err = errors.Join(err, db.Close())
	}
	if err != nil {
		return fmt.Errorf("close database: %w", err)
	}
	return nil
}

// Ping checks that the database answers.
func (s *Store) Ping(ctx context.Context) error {
	_, err := get[int](ctx, s, "ping", "SELECT 1")
	return err
}

// Dialect is "sqlite" or "postgres".
func (s *Store) Dialect() string { return s.dialect.name() }
