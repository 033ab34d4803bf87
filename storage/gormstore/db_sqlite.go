package gormstore

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"gorm.io/gorm"
	sqlitedriver "modernc.org/sqlite"

	"latchkey/storage"
)

const (
	sqliteReaders     = 4
	sqliteListReaders = 2 // of sqliteReaders
	// watchInterval is how often a process looks whether another one changed
	// the configuration in the file they share.
	watchInterval = 250 * time.Millisecond
	rowsOfInsert  = 1000
)

// Result codes of SQLite (sqlite.org/rescode.html); the extended code keeps
// the primary one in its low byte.
const (
	sqliteBusy       = 5
	sqliteLocked     = 6
	sqliteReadOnly   = 8
	sqliteInterrupt  = 9
	sqliteIOErr      = 10
	sqliteFull       = 13
	sqliteCantOpen   = 14
	sqliteProtocol   = 15
	sqliteForeignKey = 787
	sqlitePrimaryKey = 1555
	sqliteUnique     = 2067
)

type sqlite struct {
	path        string
	synchronous string
	readOnly    bool
	group       group
}

func newSQLite(path string, relaxed, readOnly bool) (dialect, error) {
	if path == "" || path == ":memory:" {
		return nil, errors.New("database URL: sqlite: needs the path of a file")
	}
	if errRegisterRunning != nil {
		return nil, errRegisterRunning
	}
	d := &sqlite{path: path, synchronous: "FULL", readOnly: readOnly}
	if relaxed {
		d.synchronous = "NORMAL"
	}
	return d, nil
}

func (d *sqlite) name() string { return "sqlite" }

// open makes one connection that writes and some that read. The lock protects the switch to
// WAL: if two connections try it at the same time, SQLite returns SQLITE_BUSY at once,
// without the busy timeout.
func (d *sqlite) open(ctx context.Context) (_ pools, err error) {
	if d.readOnly {
		return d.openToRead()
	}
	unlock, err := lockFile(ctx, d.path+".lock")
	if err != nil {
		return pools{}, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	// SQLite would create the file by the umask; its -wal and -shm follow the
	// mode of the file.
	file, err := os.OpenFile(d.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return pools{}, err
	}
	if err := file.Close(); err != nil {
		return pools{}, err
	}
	writer, err := d.pool(1, "journal_mode(WAL)")
	if err != nil {
		return pools{}, err
	}
	if err := writer.PingContext(ctx); err != nil {
		return pools{}, errors.Join(err, writer.Close())
	}
	reader, err := d.pool(sqliteReaders+1, "query_only(1)") // one is for watch
	if err != nil {
		return pools{}, errors.Join(err, writer.Close())
	}
	return pools{write: writer, read: reader, signs: writer}, nil
}

// openToRead returns connections that change nothing, to a file that must exist. They still
// open it for writing if its mode allows that, because a read-only connection would leave
// its -wal and -shm files behind.
func (d *sqlite) openToRead() (pools, error) {
	if _, err := os.Stat(d.path); err != nil {
		return pools{}, err
	}
	reader, err := d.pool(sqliteReaders, "query_only(1)")
	return pools{write: reader, read: reader, signs: reader}, err
}

func (d *sqlite) pool(conns int, pragma string) (*sql.DB, error) {
	q := url.Values{
		"_txlock": {"immediate"},
		"_pragma": {"busy_timeout(5000)", "foreign_keys(1)", "synchronous(" + d.synchronous + ")", pragma},
	}
	if d.readOnly {
		q.Set("mode", "rw") // never creates the file
	}
	path := url.URL{Path: d.path}
	connector, err := sqlitedriver.NewConnector("file:" + path.EscapedPath() + "?" + q.Encode())
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(preparingConnector{connector})
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

func (d *sqlite) listConns() int { return sqliteListReaders }

func (d *sqlite) gorm(pool gorm.ConnPool) gorm.Dialector {
	return sqliteDialector{pool}
}

func (d *sqlite) bind(sql string) string { return sql }

func (d *sqlite) schema() (dir, exists string) {
	return "migrations/sqlite", "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'goose_db_version'"
}

func (d *sqlite) otherTables() string {
	return "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name <> 'goose_db_version' AND name NOT LIKE 'sqlite%'"
}

func (d *sqlite) migrations(ctx context.Context) (migrations, error) {
	unlock, err := lockFile(ctx, d.path+".lock")
	return migrations{dialect: goose.DialectSQLite3, unlock: unlock}, err
}

// unhurried is empty: only contexts end statements.
func (d *sqlite) unhurried() string { return "" }

// reason checks SQLite's result code.
func (d *sqlite) reason(err error) string {
	said, ok := errors.AsType[interface {
		error
		Code() int
	}](err)
	if !ok {
		return ""
	}
	switch said.Code() & 0xff {
	case sqliteFull:
		return reasonFull
	case sqliteIOErr:
		return reasonBroken
	case sqliteReadOnly:
		return reasonReadOnly
	case sqliteBusy, sqliteLocked:
		return reasonSilent
	}
	return ""
}

// repeatable is false: there is one writer at a time, so nothing is undone.
func (d *sqlite) repeatable(error) bool { return false }

// settle executes the settlement in an immediate transaction, possibly together with
// settlements of other callers. From BEGIN on nobody else writes.
func (d *sqlite) settle(ctx context.Context, s *Store, x settlement) (bool, error) {
	if s.tx(ctx) != nil {
		return x.run(ctx, s)
	}
	settled := false
	err := d.group.do(ctx, s, x.what, func(ctx context.Context) (err error) {
		settled, err = x.run(ctx, s)
		return err
	})
	if err != nil {
		return false, err // x may still be running
	}
	return settled, nil
}

func (d *sqlite) together(ctx context.Context, s *Store, what string, fn func(context.Context) error) error {
	if s.tx(ctx) != nil {
		return fn(ctx)
	}
	return d.group.do(ctx, s, what, fn)
}

func (d *sqlite) writesInWith() bool { return false }

// lockServing shares the lock of a file with the other servers of the database. The
// lock ends with the process, so a server that can have it alone is the only one.
func (d *sqlite) lockServing(ctx context.Context, alone func() error) (unlock func() error, err error) {
	started, err := lockFile(ctx, d.path+".lock")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, started()) }()
	shared, first, err := shareFile(d.path + ".serving")
	if err == nil && first {
		err = alone()
	}
	if err != nil {
		return nil, errors.Join(err, shared())
	}
	return shared, nil
}

// insertRows keeps each statement below SQLite's 32,766 parameters.
func (d *sqlite) insertRows(table string, names columns, arrays []any) (inserts []statement) {
	row := "(" + names.marks() + ")"
	for batch := range slices.Chunk(rowsOf(arrays), rowsOfInsert) {
		inserts = append(inserts, statement{
			sql:  "INSERT INTO " + table + " (" + names.list() + ") VALUES " + row + strings.Repeat(", "+row, len(batch)-1),
			args: slices.Concat(batch...),
		})
	}
	return inserts
}

// estimate samples a thousand places in the table and counts those with a row of the
// selection.
func (d *sqlite) estimate(ctx context.Context, s *Store, table, joins string, where statement) (int, error) {
	name, alias, _ := strings.Cut(table, " ")
	return get[int](ctx, s, "estimate", `WITH RECURSIVE i (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM i WHERE n < 999),
			ends (low, high) AS (SELECT min(rowid), max(rowid) FROM `+name+`)
		SELECT count(*) * (SELECT high - low + 1 FROM ends) / 1000
		FROM (SELECT low + (high - low) * n / 999 AS sampled FROM ends, i) CROSS JOIN `+table+` ON `+cmp.Or(alias, name)+`.rowid = sampled`+joins+where.sql,
		where.args...)
}

func (d *sqlite) deletesUpTo(limit int, table, condition, order string) string {
	return "DELETE FROM " + table + " WHERE rowid IN (SELECT rowid FROM " + table + " WHERE " + condition +
		" ORDER BY " + order + " LIMIT " + strconv.Itoa(limit) + ")"
}

// claims is empty: there is one writer at a time.
func (d *sqlite) claims() string { return "" }

// locks is empty: a transaction that writes is alone from its beginning.
func (d *sqlite) locks() string { return "" }

func (d *sqlite) readsBeforeWait() bool { return false }

func (d *sqlite) lockRows(db *gorm.DB) *gorm.DB { return db }

// locksTable is empty for the same reason as locks.
func (d *sqlite) locksTable(string) string { return "" }

func (d *sqlite) bytewise(text string) string { return text }

// like is GLOB: SQLite's LIKE ignores case.
func (d *sqlite) like(text statement, pattern string) statement {
	return text.with(" GLOB ?", strings.NewReplacer("?", "[?]", "[", "[[]").Replace(pattern))
}

func (d *sqlite) likeAny(text statement, pattern []string) statement {
	var glob strings.Builder
	for _, either := range pattern {
		switch {
		case either == "":
			glob.WriteByte('*')
		case len(either) == 1 && !strings.Contains("*?[", either):
			glob.WriteString(either)
		default:
			glob.WriteString("[" + either + "]")
		}
	}
	return text.with(" GLOB ?", glob.String())
}

func (d *sqlite) member(column string, path []string) (text, number statement) {
	at := `$."` + strings.Join(path, `"."`) + `"`
	of := func(cases string) statement {
		sql := "CASE WHEN json_valid(" + column + ") THEN CASE json_type(" + column + ", ?) " + cases + " END END"
		return statement{sql: "(" + sql + ")", args: []any{at}}
	}
	extract := "json_extract(" + column + ", ?)"
	text = of("WHEN 'text' THEN " + extract + " WHEN 'true' THEN 'true' WHEN 'false' THEN 'false'")
	number = of("WHEN 'integer' THEN " + extract + " WHEN 'real' THEN " + extract)
	return text.with("", at), number.with("", at, at)
}

// number returns a whole number as an integer. SQLite compares integers and floats by
// value.
func (d *sqlite) number(value json.Number) statement {
	if whole, err := value.Int64(); err == nil {
		return statement{sql: "?", args: []any{whole}}
	}
	f, _ := value.Float64() // parseNumber made it
	return statement{sql: "?", args: []any{f}}
}

// precise writes a float with 17 digits, because SQLite's JSON has 15 only.
func (d *sqlite) precise(number statement) statement {
	return statement{
		sql:  "CASE typeof(" + number.sql + ") WHEN 'real' THEN printf('%!.17g', " + number.sql + ") ELSE " + number.sql + " END",
		args: slices.Repeat(number.args, 3),
	}
}

func (d *sqlite) jsonArray(expressions string) string { return "json_array(" + expressions + ")" }

// watch asks for the counter that every commit of another connection moves
// (PRAGMA data_version costs no I/O) and, when it moved, for the changes of
// configuration, because most commits are attempts.
func (d *sqlite) watch(ctx context.Context, s *Store) error {
	conn, err := s.pools.read.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // it only goes back to its pool
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	w := changeWatch{store: s}
	var commits, last int64
	for {
		before, asked := commits, time.Now()
		if err := conn.QueryRowContext(ctx, "PRAGMA data_version").Scan(&commits); err != nil {
			return err
		}
		var changes []configChange
		if w.asked.IsZero() {
			err = conn.QueryRowContext(ctx, "SELECT coalesce(max(id), 0) FROM config_changes").Scan(&last)
		} else if commits != before {
			changes, last, err = changesAfter(ctx, conn, last)
		}
		if err != nil {
			return err
		}
		w.learn(asked, changes)
		s.hearsBy.Store(HearsByAsking)
		w.deleteOld(ctx, "DELETE FROM config_changes WHERE changed_at < unixepoch() - "+seconds(keepChanges))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		case <-s.cache.dropped:
		}
	}
}

// changesAfter reads the changes with a higher number than last, and returns the highest.
// Here transactions end in the order of the numbers.
func changesAfter(ctx context.Context, conn *sql.Conn, last int64) (changes []configChange, highest int64, err error) {
	rows, err := conn.QueryContext(ctx, "SELECT id, kind, key FROM config_changes WHERE id > ? ORDER BY id", last)
	if err != nil {
		return nil, last, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var c configChange
		if err := rows.Scan(&last, &c.kind, &c.key); err != nil {
			return nil, last, err
		}
		changes = append(changes, c)
	}
	return changes, last, rows.Err()
}

// notifyOthers does nothing: other processes with the same file look for work every second.
func (d *sqlite) notifyOthers(context.Context, *Store) error { return nil }

// refersToNothing executes count, because SQLite's error does not name the column.
func (*sqlite) refersToNothing(ctx context.Context, s *Store, _ error, _, count string, key any) bool {
	var n int64
	err := s.writing(ctx).Raw(count, key).Scan(&n).Error
	return err == nil && n == 0
}

func (d *sqlite) classify(err error) error {
	var said interface {
		error
		Code() int
	}
	if !errors.As(err, &said) {
		return nil
	}
	switch said.Code() {
	case sqliteUnique, sqlitePrimaryKey:
		return storage.ErrConflict
	case sqliteForeignKey:
		return storage.ErrNotFound
	}
	switch said.Code() & 0xff {
	case sqliteBusy, sqliteLocked, sqliteReadOnly, sqliteInterrupt, sqliteIOErr,
		sqliteFull, sqliteCantOpen, sqliteProtocol:
		return storage.ErrUnavailable
	}
	return nil
}
