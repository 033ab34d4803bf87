package gormstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	gormpostgres "gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"latchkey/storage"
)

const (
	defaultMaxConns = 16
	listShare       = 8 // lists may use this part of the connections
	connectTimeout  = 5 * time.Second
	// heartbeat is how long the change listener waits for a notice before it
	// asks whether the connection still lives: a replica cut off from the
	// database serves stale configuration no longer than this plus its timeout.
	heartbeat        = 5 * time.Second
	heartbeatTimeout = 3 * time.Second
	// patience of a replica that waits for another one's migration.
	migrationRetries = 600
)

type postgres struct {
	conn      *pgx.ConnConfig
	maxConns  int
	listening atomic.Uint32 // the server's process of the listening connection; 0: none
}

func newPostgres(cfg Config) (dialect, error) {
	conn, err := pgx.ParseConfig(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("database URL: %w", err) // pgx leaves the password out
	}
	if conn.ConnectTimeout == 0 {
		conn.ConnectTimeout = connectTimeout
	}
	if conn.RuntimeParams["application_name"] == "" {
		conn.RuntimeParams["application_name"] = "latchkey"
	}
	if cfg.MaxConns == 0 {
		cfg.MaxConns = defaultMaxConns
	}
	return &postgres{conn: conn, maxConns: cfg.MaxConns}, nil
}

func (p *postgres) name() string { return "postgres" }

func (p *postgres) open(context.Context) (pools, error) {
	db := stdlib.OpenDB(*p.conn)
	db.SetMaxOpenConns(p.maxConns)
	db.SetMaxIdleConns(p.maxConns)
	db.SetConnMaxIdleTime(5 * time.Minute)
	return pools{write: db, read: db}, nil
}

// running is always true: the driver cancels the statement when ctx ends.
func (p *postgres) running(context.Context) (condition string, release func()) {
	return "TRUE", func() {}
}

func (p *postgres) listConns() int { return max(p.maxConns/listShare, 1) }

func (p *postgres) gorm(pool gorm.ConnPool) gorm.Dialector {
	return gormpostgres.New(gormpostgres.Config{Conn: pool})
}

// bind numbers the parameters.
func (p *postgres) bind(sql string) string {
	if !strings.Contains(sql, "?") {
		return sql
	}
	bound := make([]byte, 0, len(sql)+32)
	for n := 1; ; n++ {
		before, after, found := strings.Cut(sql, "?")
		bound = append(bound, before...)
		if !found {
			return string(bound)
		}
		bound = strconv.AppendInt(append(bound, '$'), int64(n), 10)
		sql = after
	}
}

func (p *postgres) schema() (dir, exists string) {
	return "migrations/postgres", "SELECT count(to_regclass('goose_db_version'))"
}

func (p *postgres) otherTables() string {
	return "SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p') AND relname <> 'goose_db_version' " +
		"AND pg_table_is_visible(oid) AND relnamespace <> 'pg_catalog'::regnamespace"
}

func (p *postgres) migrations(context.Context) (migrations, error) {
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, migrationRetries))
	if err != nil {
		return migrations{}, err
	}
	return migrations{
		dialect: goose.DialectPostgres,
		options: []goose.ProviderOption{goose.WithSessionLocker(locker)},
		unlock:  func() error { return nil },
	}, nil
}

// settle is one statement, so that PostgreSQL commits it without being asked.
// All parts of it read what was there when it began. The condition makes the
// first part lock its rows before the others lock theirs.
func (p *postgres) settle(ctx context.Context, s *Store, x settlement) (bool, error) {
	if len(x.then) == 0 {
		rows, err := s.exec(ctx, x.what, x.first.sql, x.first.args...)
		return rows == int64(x.rows), err
	}
	var sql strings.Builder
	sql.WriteString("WITH done AS (" + x.first.sql + " RETURNING 1)")
	args := slices.Clip(x.first.args)
	condition := "(SELECT count(*) FROM done) = " + strconv.Itoa(x.rows)
	for i, then := range x.then {
		sql.WriteString(", then" + strconv.Itoa(i) + " AS (" + strings.ReplaceAll(then.sql, ifSettled, condition) + ")")
		args = append(args, then.args...)
	}
	rows, err := s.exec(ctx, x.what, sql.String()+" SELECT 1 FROM done", args...)
	return rows == int64(x.rows), err
}

func (p *postgres) locks() string { return " FOR UPDATE" }

func (p *postgres) readsBeforeWait() bool { return true }

func (p *postgres) lockRows(db *gorm.DB) *gorm.DB {
	return db.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate})
}

func (p *postgres) locksTable(name string) string {
	return "LOCK TABLE " + name + " IN SHARE ROW EXCLUSIVE MODE"
}

// lockServing locks nothing: a lock of a session would not survive a pooler.
func (p *postgres) lockServing(context.Context, func() error) (unlock func() error, err error) {
	return func() error { return nil }, nil
}

func (p *postgres) claims() string { return " FOR UPDATE SKIP LOCKED" }

func (p *postgres) bytewise(text string) string { return text + ` COLLATE "C"` }

func (p *postgres) like(text statement, pattern string) statement {
	escaped := strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`, "*", "%").Replace(pattern)
	return text.with(" LIKE ?", escaped)
}

// likeAny is a regular expression. The collation "C" leaves its characters as
// they are.
func (p *postgres) likeAny(text statement, pattern []string) statement {
	expression := "^"
	for _, either := range pattern {
		switch {
		case either == "":
			expression += ".*"
		case len(either) == 1 && !isAlphanumeric(either[0]):
			expression += `\` + either
		default:
			expression += "[" + either + "]"
		}
	}
	return text.with(" ~ ?", expression+"$")
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// member calls functions of 0004_resources.sql.
func (p *postgres) member(column string, path []string) (text, number statement) {
	args := []any{strings.Join(path, ".")}
	text = statement{sql: p.bytewise("latchkey_text(" + column + ", ?)"), args: args}
	return text, statement{sql: "latchkey_number(" + column + ", ?)", args: args}
}

func (p *postgres) number(value json.Number) statement {
	return statement{sql: "CAST(CAST(? AS TEXT) AS NUMERIC)", args: []any{string(value)}}
}

// The channels of NOTIFY: configuration changed (see the triggers of
// 0001_init.sql), and there is work.
const (
	configChannel = "latchkey_config"
	workChannel   = "latchkey_work"
)

// watch listens for notices.
func (p *postgres) watch(ctx context.Context, _ *Store, hear hearing) error {
	conn, err := pgx.ConnectConfig(ctx, p.conn.Copy())
	if err != nil {
		return err
	}
	defer func() {
		ended, cancel := context.WithTimeout(context.WithoutCancel(ctx), heartbeatTimeout)
		defer cancel()
		_ = conn.Close(ended) // nothing depends on a polite goodbye
	}()
	for _, channel := range []string{configChannel, workChannel} {
		if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
			return err
		}
	}
	p.listening.Store(conn.PgConn().PID())
	defer p.listening.Store(0)
	hear.changes()
	for {
		notice, err := p.await(ctx, conn)
		if err != nil {
			return err
		}
		switch {
		case notice == nil:
		case notice.Channel != workChannel:
			hear.changes()
		case notice.Payload != p.signature():
			hear.work()
		}
	}
}

// signature marks this store's notices of work, which it need not hear itself.
func (p *postgres) signature() string { return strconv.FormatUint(uint64(p.listening.Load()), 10) }

// tell notifies in a transaction of its own: a commit that notifies takes a lock
// of the whole server, and no other commit shall wait for it.
func (p *postgres) tell(ctx context.Context, s *Store) error {
	_, err := s.exec(ctx, "tell of work", "SELECT pg_notify(?, ?)", workChannel, p.signature())
	return err
}

// await waits for one notice or sees that the connection still lives.
func (p *postgres) await(ctx context.Context, conn *pgx.Conn) (*pgconn.Notification, error) {
	beat, cancel := context.WithTimeout(ctx, heartbeat)
	defer cancel()
	notice, err := conn.WaitForNotification(beat)
	if err == nil {
		return notice, nil
	}
	if ctx.Err() != nil || beat.Err() == nil {
		return nil, err
	}
	alive, cancelAlive := context.WithTimeout(ctx, heartbeatTimeout)
	defer cancelAlive()
	return nil, conn.Ping(alive)
}

// classify goes by SQLSTATE (PostgreSQL manual, appendix A).
func (p *postgres) classify(err error) error {
	var said *pgconn.PgError
	if !errors.As(err, &said) {
		var unreachable *pgconn.ConnectError
		if errors.As(err, &unreachable) || pgconn.SafeToRetry(err) {
			return storage.ErrUnavailable
		}
		return nil
	}
	switch said.Code {
	case "23505": // unique_violation
		return storage.ErrConflict
	case "23503": // foreign_key_violation
		return storage.ErrNotFound
	case "40001", "40P01", // serialization_failure, deadlock_detected
		"55P03", "57014", // lock_not_available, query_canceled
		"57P01", "57P02", "57P03", "57P05", // shutting down, starting up
		"25006": // read_only_sql_transaction: a primary that became a standby
		return storage.ErrUnavailable
	}
	switch said.Code[:min(2, len(said.Code))] {
	case "08", "53", "58": // connection, resources, system
		return storage.ErrUnavailable
	}
	return nil
}
