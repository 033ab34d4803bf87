package gormstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"gorm.io/gorm"

	"latchkey/storage"
)

// dialect contains all differences between the databases.
type dialect interface {
	opener
	expressions
	// classify returns the sentinel for a driver's error, or nil.
	classify(err error) error
	// refersToNothing reports whether err is a violation of the foreign key of that column.
	// count is a query for the number of rows with the key that the column refers to.
	refersToNothing(ctx context.Context, s *Store, err error, column, count string, key any) bool
	// unhurried returns a statement that removes the time limit of the other statements of
	// its transaction. Empty: they have no limit.
	unhurried() string
	// reason returns a text that says why the database does not work, or "" if the error
	// does not show it.
	reason(err error) string
	// repeatable reports whether the database rolled back a statement or transaction for a
	// temporary reason, such as a deadlock, so that a repetition may succeed.
	repeatable(err error) bool
	// settle executes a settlement and reports whether it took effect.
	settle(ctx context.Context, s *Store, x settlement) (bool, error)
	// together does the same as Store.InTx. It may run fn in one transaction with the
	// functions of other callers, and may call fn again. After an error, fn may still be
	// running.
	together(ctx context.Context, s *Store, what string, fn func(context.Context) error) error
	// writesInWith reports whether WITH may contain statements that write.
	writesInWith() bool
	// redemption and familyUse return the statements of Store.RedeemCode and
	// Store.UseFamily. Without writesInWith they only read.
	redemption() string
	familyUse() string
	// insertRows returns statements that insert rows into a table, with as few of them as
	// the database allows. The values are in arrays; see arraysOf.
	insertRows(table string, names columns, arrays []any) []statement
	// deletesUpTo returns a statement that deletes the first rows of a table that meet a
	// condition, in the order of a column. It has the arguments of the condition. It
	// leaves rows out that another transaction is deleting.
	deletesUpTo(limit int, table, condition, order string) string
	// claims is appended to the selection of rows that a worker claims, so that
	// two workers do not wait for each other.
	claims() string
	// locks is appended to a selection of rows that nobody else may change before
	// the transaction ends.
	locks() string
	// readsBeforeWait reports whether a statement that waited for a row's lock
	// reads other rows as they were before it waited.
	readsBeforeWait() bool
	// lockRows does the same as locks for rows that GORM reads.
	lockRows(db *gorm.DB) *gorm.DB
	// locksTable returns a statement that keeps others from writing to the table until
	// the transaction ends. Empty: none is needed.
	locksTable(name string) string
	// lockServing holds a lock while a server runs. It calls alone first if the lock
	// shows that no other server runs. unlock must be called.
	lockServing(ctx context.Context, alone func() error) (unlock func() error, err error)
	// watch looks for changes of configuration, and calls s.work when another store has
	// called notifyOthers. It returns when ctx ends or the database does not answer.
	watch(ctx context.Context, s *Store) error
	// notifyOthers notifies the watches of other stores that there is work.
	notifyOthers(ctx context.Context, s *Store) error
	// estimate returns about how many rows a selection has, at a cost that does not grow
	// with their number. where begins with WHERE.
	estimate(ctx context.Context, s *Store, table, joins string, where statement) (int, error)
	// running returns a condition that fails once ctx has ended, so that a
	// statement with many rows ends with its context. release is called after
	// the statement.
	running(ctx context.Context) (condition string, release func())
	// copying returns what copies between databases need.
	copying() copying
}

// expressions filter and sort lists.
type expressions interface {
	// bytewise makes text compare and sort by bytes, and lower() change ASCII
	// letters only.
	bytewise(text string) string
	// like compares text with a pattern in which an asterisk stands for any text and
	// no other character is special.
	like(text statement, pattern string) statement
	// likeAny is like for a pattern of sets of characters. Each element matches one of
	// its characters or, if it is empty, any text.
	likeAny(text statement, pattern []string) statement
	// member reads the member at a path in a column of JSON: the text of a string or
	// a boolean, and a number. Each is NULL for another type. A column that is not
	// JSON has no members.
	member(column string, path []string) (text, number statement)
	// number returns an operand to compare with a member's number.
	number(value json.Number) statement
	// precise returns a member's number for jsonArray, which would round it otherwise.
	precise(number statement) statement
	// jsonArray returns expressions, separated by commas, as the text of a JSON array.
	jsonArray(expressions string) string
}

// opener makes the connections of a dialect.
type opener interface {
	name() string
	open(ctx context.Context) (pools, error)
	// listConns is how many connections lists may use at a time.
	listConns() int
	gorm(p gorm.ConnPool) gorm.Dialector
	// bind replaces each "?" in hand-written SQL by a parameter in the syntax of the
	// database. The SQL must not contain a "?" with another meaning.
	bind(sql string) string
	// schema returns the directory of the migrations, and a query that returns 1 if goose's
	// table of applied migrations exists, and 0 otherwise.
	schema() (dir, exists string)
	// otherTables returns a query that counts the tables besides goose's.
	otherTables() string
	// migrations returns goose's settings, and a lock that the caller holds while
	// it migrates.
	migrations(ctx context.Context) (migrations, error)
}

// migrations is how a dialect migrates. unlock must be called.
type migrations struct {
	dialect goose.Dialect
	db      *sql.DB // nil: the connections that write
	unlock  func() error
}

// statement is SQL with its arguments, "?" for each.
type statement struct {
	sql  string
	args []any
}

// settlement is a list of statements that take effect together. The first one decides: the
// others are executed only if it wrote the number of rows in the field rows. If it wrote
// fewer, those may stay. The other statements do not see what the ones before them wrote.
// Each contains ifSettled.
type settlement struct {
	what  string
	first statement
	rows  int
	then  []statement
}

// ifSettled is a placeholder in SQL. A dialect replaces it by the condition that the first
// statement of the settlement wrote the required number of rows.
const ifSettled = "{settled}"

// ifRunning is a placeholder in the SQL of lists for the condition of dialect.running.
const ifRunning = "{running}"

// alone returns the SQL of a statement that is executed outside of a settlement.
func (s statement) alone() string { return strings.ReplaceAll(s.sql, ifSettled, "TRUE") }

// with appends SQL and its arguments.
func (s statement) with(sql string, args ...any) statement {
	return statement{sql: s.sql + sql, args: append(s.args[:len(s.args):len(s.args)], args...)}
}

// dialectOf chooses the database by the scheme of its URL.
func dialectOf(cfg Config) (dialect, error) {
	scheme, rest, _ := strings.Cut(cfg.URL, ":")
	switch scheme {
	case "postgres", "postgresql":
		return newPostgres(cfg)
	case "sqlite":
		return newSQLite(rest, cfg.Relaxed, cfg.ReadOnly)
	}
	return nil, errors.New(`database URL must begin with "sqlite:" or "postgres://"`)
}

// wrap names the operation and adds the sentinel for a driver's error. An error that
// has a sentinel keeps it.
func (s *Store) wrap(ctx context.Context, what string, err error) error {
	if err == nil {
		return nil
	}
	if ended := ctx.Err(); ended != nil && !errors.Is(err, ended) && errors.Is(s.dialect.classify(err), storage.ErrUnavailable) {
		err = fmt.Errorf("%w (%w)", ended, err) // the driver reports only the interruption
	}
	if reason := s.dialect.reason(err); reason == reasonFull || reason == reasonBroken {
		s.diskFault.Store(&diskFault{time.Now(), reason, err})
	}
	if kind := s.kindOf(err); kind != nil {
		return fmt.Errorf("%s: %w: %w", what, kind, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

func (s *Store) kindOf(err error) error {
	for _, known := range sentinels() {
		if errors.Is(err, known) {
			return nil
		}
	}
	switch {
	case errors.Is(err, context.Canceled):
		return nil
	case errors.Is(err, gorm.ErrRecordNotFound):
		return storage.ErrNotFound
	case disconnected(err):
		return storage.ErrUnavailable
	}
	return s.dialect.classify(err)
}
