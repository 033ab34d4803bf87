package gormstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	gormpostgres "gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"latchkey/storage"
)

const (
	defaultMaxConns = 16
	listShare       = 8 // lists may use this part of the connections
)

type postgres struct {
	connector *connector // of the pool
	direct    *connector // of the watch and of migrations; may be the same
	maxConns  int
	listening atomic.Uint32 // process ID (backend PID) of the listening connection; 0: none
}

func newPostgres(cfg Config) (dialect, error) {
	c, err := newConnector(cfg.URL, servingSettings())
	if err != nil {
		return nil, err
	}
	direct := c
	if cfg.DirectURL != "" {
		if direct, err = newConnector(cfg.DirectURL, servingSettings()); err != nil {
			return nil, fmt.Errorf("direct %w", err)
		}
	}
	if cfg.MaxConns == 0 {
		cfg.MaxConns = defaultMaxConns
	}
	return &postgres{connector: c, direct: direct, maxConns: cfg.MaxConns}, nil
}

func (p *postgres) name() string { return "postgres" }

func (p *postgres) open(context.Context) (pools, error) {
	db := sql.OpenDB(p.connector)
	db.SetMaxOpenConns(p.maxConns)
	db.SetMaxIdleConns(p.maxConns)
	db.SetConnMaxIdleTime(5 * time.Minute)
	signs := sql.OpenDB(p.connector)
	signs.SetMaxOpenConns(1)
	return pools{write: db, read: db, signs: signs}, nil
}

// running is always true: the driver cancels the statement when ctx ends.
func (p *postgres) running(context.Context) (condition string, release func()) {
	return "TRUE", func() {}
}

// estimate returns the number of rows that PostgreSQL's planner expects (EXPLAIN).
func (p *postgres) estimate(ctx context.Context, s *Store, table, joins string, where statement) (int, error) {
	text, err := get[string](ctx, s, "estimate", "EXPLAIN (FORMAT JSON) SELECT 1 FROM "+table+joins+where.sql, where.args...)
	if err != nil {
		return 0, err
	}
	var plans []struct {
		Plan struct {
			Rows float64 `json:"Plan Rows"`
		}
	}
	if err := json.Unmarshal([]byte(text), &plans); err != nil || len(plans) == 0 {
		return 0, fmt.Errorf("estimate: the plan %q: %w", text, err)
	}
	return int(plans[0].Plan.Rows), nil
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

// settle executes the settlement as one statement, so it needs no BEGIN and COMMIT. All
// parts of the statement read the rows as they were when it began. The condition makes the
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

// together runs fn in a separate transaction, because PostgreSQL groups commits itself.
func (p *postgres) together(ctx context.Context, s *Store, _ string, fn func(context.Context) error) error {
	return s.InTx(ctx, fn)
}

func (p *postgres) writesInWith() bool { return true }

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

// insertRows sends one array for each column. So the statement has the same text for any
// number of rows, and PostgreSQL parses it once for each connection. unnest in the list of
// values takes half the time of unnest in FROM, which stores each array first.
func (p *postgres) insertRows(table string, names columns, arrays []any) []statement {
	values := make([]string, len(arrays))
	for i, array := range arrays {
		switch array.(type) {
		case []int64:
			values[i] = "unnest(?::bigint[])"
		case [][]byte:
			values[i] = "unnest(?::bytea[])"
		default:
			values[i] = "unnest(?::text[])"
		}
	}
	return []statement{{
		sql:  "INSERT INTO " + table + " (" + names.list() + ") SELECT " + strings.Join(values, ", "),
		args: arrays,
	}}
}

// deletesUpTo selects rows by ctid, their physical position, which does not change while
// they are locked. The array of positions is computed once, before the rows are deleted. A
// join could compute it again.
func (p *postgres) deletesUpTo(limit int, table, condition, order string) string {
	return "DELETE FROM " + table + " WHERE ctid = ANY (ARRAY(SELECT ctid FROM " + table + " WHERE " + condition +
		" ORDER BY " + order + " LIMIT " + strconv.Itoa(limit) + p.claims() + "))"
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

func (p *postgres) precise(number statement) statement { return number }

func (p *postgres) jsonArray(expressions string) string {
	return "CAST(json_build_array(" + expressions + ") AS TEXT)"
}

func (p *postgres) unhurried() string { return "SET LOCAL statement_timeout = 0" }

// reason checks the SQLSTATE. pgx has no error type for a host that is read-only, so the
// text of that error is checked.
func (p *postgres) reason(err error) string {
	if strings.Contains(err.Error(), "read only connection") {
		return reasonReadOnly
	}
	said, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return ""
	}
	switch said.Code {
	case "25006": // read_only_sql_transaction
		return reasonReadOnly
	case "53100": // disk_full
		return reasonFull
	case "58030": // io_error
		return reasonBroken
	case "53300": // too_many_connections
		return reasonCrowded
	case "57P01", "57P02", "57P03": // admin_shutdown, crash_shutdown, cannot_connect_now
		return reasonUnstarted
	case "57014", "55P03": // query_canceled, lock_not_available
		return reasonSilent
	}
	return ""
}

// repeatable checks the SQLSTATE: serialization_failure, deadlock_detected, and
// read_only_sql_transaction, after which a new connection leads to another server. It also
// returns true for a prepared statement whose result type has changed, because a newer
// release has added a column: it is prepared again. The SQLSTATE of that error has other
// meanings too, so the name of the routine is checked.
func (p *postgres) repeatable(err error) bool {
	said, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (slices.Contains([]string{"40001", "40P01", "25006"}, said.Code) || said.Routine == "RevalidateCachedQuery")
}

// refersToNothing checks the name of the constraint, which is TABLE_COLUMN_fkey. It cannot
// execute count, because the transaction has failed.
func (p *postgres) refersToNothing(_ context.Context, _ *Store, err error, column, _ string, _ any) bool {
	said, ok := errors.AsType[*pgconn.PgError](err)
	return ok && strings.HasSuffix(said.ConstraintName, "_"+column+"_fkey")
}

// classify checks the SQLSTATE (PostgreSQL manual, appendix A).
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
		"25P03", // idle_in_transaction_session_timeout
		"25006": // read_only_sql_transaction: a primary that became a standby
		return storage.ErrUnavailable
	}
	switch said.Code[:min(2, len(said.Code))] {
	case "08", "53", "58": // connection, resources, system
		return storage.ErrUnavailable
	}
	return nil
}
