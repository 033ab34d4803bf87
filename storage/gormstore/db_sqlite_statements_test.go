package gormstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	sqlitedriver "modernc.org/sqlite"
	"modernc.org/sqlite/vtab"
)

// countingConnector counts the statements that its connections prepare and close.
type countingConnector struct {
	driver.Connector
	count *preparations
}

type preparations struct{ begun, closed int }

func (c countingConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &countingConn{conn.(sqliteConn), c.count}, nil
}

type countingConn struct {
	sqliteConn
	count *preparations
}

func (c *countingConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	s, err := c.sqliteConn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	c.count.begun++
	return &countingStatement{s.(sqliteStatement), c.count}, nil
}

type countingStatement struct {
	sqliteStatement
	count *preparations
}

func (s *countingStatement) Close() error {
	s.count.closed++
	return s.sqliteStatement.Close()
}

// preparingDB returns a database with one connection that counts the statements it prepares.
func preparingDB(t *testing.T) (*sql.DB, *preparations) {
	t.Helper()
	base, err := sqlitedriver.NewConnector("file:" + filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	count := new(preparations)
	db := sql.OpenDB(preparingConnector{countingConnector{base, count}})
	db.SetMaxOpenConns(1)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		if count.begun != count.closed {
			t.Errorf("got %d of %d statements closed, want all", count.closed, count.begun)
		}
	})
	if _, err := db.Exec("CREATE TABLE numbers (n INTEGER PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	count.begun, count.closed = 0, 0
	count.closed-- // the statement that created the table is closed with the connection
	return db, count
}

func number(t *testing.T, from interface {
	QueryRow(query string, args ...any) *sql.Row
}, query string, args ...any,
) (n int) {
	t.Helper()
	if err := from.QueryRow(query, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

func TestStatementsArePreparedOnce(t *testing.T) {
	t.Parallel()
	db, count := preparingDB(t)
	for i := range 10 {
		if _, err := db.Exec("INSERT INTO numbers VALUES (?)", i); err != nil {
			t.Fatal(err)
		}
		if got := number(t, db, "SELECT n FROM numbers WHERE n = ?", i); got != i {
			t.Fatalf("read %d, want %d", got, i)
		}
	}
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if got := number(t, tx, "SELECT n FROM numbers WHERE n = ?", 3); got != 3 {
		t.Errorf("got %d in a transaction, want 3", got)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if count.begun != 2 {
		t.Errorf("prepared %d statements, want 2", count.begun)
	}
}

// TestPreparedStatementAfterError uses a prepared statement again after it failed.
func TestPreparedStatementAfterError(t *testing.T) {
	t.Parallel()
	db, count := preparingDB(t)
	for i, n := range []int{1, 1, 2} {
		_, err := db.Exec("INSERT INTO numbers VALUES (?)", n)
		if repeated := i == 1; (err != nil) != repeated {
			t.Errorf("insert %d: %v", n, err)
		}
	}
	if count.begun != 1 {
		t.Errorf("prepared %d statements, want 1", count.begun)
	}
	if n := number(t, db, "SELECT count(*) FROM numbers"); n != 2 {
		t.Errorf("got %d rows, want 2", n)
	}
	if _, err := db.Exec("INSERT INTO nothing VALUES (1)"); err == nil {
		t.Error("a statement about a missing table succeeded")
	}
}

// TestPreparedStatementAfterSchemaChange reads a column that did not exist when the
// statement was prepared.
func TestPreparedStatementAfterSchemaChange(t *testing.T) {
	t.Parallel()
	db, _ := preparingDB(t)
	const all = "SELECT * FROM numbers"
	columns := func() int {
		rows, err := db.Query(all)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close() //nolint:errcheck // only read
		names, err := rows.Columns()
		if err != nil || rows.Err() != nil {
			t.Fatal(err, rows.Err())
		}
		return len(names)
	}
	if _, err := db.Exec("INSERT INTO numbers VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	before := columns()
	if _, err := db.Exec("ALTER TABLE numbers ADD COLUMN more TEXT"); err != nil {
		t.Fatal(err)
	}
	if after := columns(); before != 1 || after != 2 {
		t.Errorf("got %d columns before and %d after, want 1 and 2", before, after)
	}
}

// TestStatementWhileItsRowsAreOpen runs a statement again before the rows of its
// first run are closed.
func TestStatementWhileItsRowsAreOpen(t *testing.T) {
	t.Parallel()
	db, _ := preparingDB(t)
	for i := range 3 {
		if _, err := db.Exec("INSERT INTO numbers VALUES (?)", i); err != nil {
			t.Fatal(err)
		}
	}
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback() //nolint:errcheck // only read
	rows, err := tx.Query("SELECT n FROM numbers WHERE n >= ? ORDER BY n", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close() //nolint:errcheck // only read
	var seen []int
	for rows.Next() {
		var n int
		if err := rows.Scan(&n); err != nil {
			t.Fatal(err)
		}
		seen = append(seen, n, number(t, tx, "SELECT n FROM numbers WHERE n >= ? ORDER BY n", 2))
	}
	if got := fmt.Sprint(seen); got != "[0 2 1 2 2 2]" || rows.Err() != nil {
		t.Errorf("got %s, error %v", got, rows.Err())
	}
}

// TestKeptStatementsAreBounded uses more different statements than the store keeps. The one
// that is used all the time stays.
func TestKeptStatementsAreBounded(t *testing.T) {
	t.Parallel()
	db, count := preparingDB(t)
	const often = "SELECT count(*) FROM numbers"
	for i := range 3 * maxPrepared {
		number(t, db, often)
		number(t, db, fmt.Sprintf("SELECT %d", i))
	}
	if want := 3*maxPrepared + 1; count.begun != want {
		t.Errorf("prepared %d statements, want %d", count.begun, want)
	}
	if kept := count.begun - count.closed - 1; kept > maxPrepared {
		t.Errorf("got %d kept statements, want at most %d", kept, maxPrepared)
	}
	long := "SELECT 1 /* " + strings.Repeat("x", maxPreparedText) + " */"
	before := count.begun - count.closed
	if number(t, db, long); count.begun-count.closed != before {
		t.Error("a long statement is kept")
	}
}

// planCounter is a virtual table without rows. SQLite asks it for an index each time it plans a
// statement that reads it.
type planCounter struct{ plans int }

func (p *planCounter) Create(ctx vtab.Context, _ []string) (vtab.Table, error) {
	return p, ctx.Declare("CREATE TABLE counted (n)")
}

func (p *planCounter) Connect(ctx vtab.Context, args []string) (vtab.Table, error) {
	return p.Create(ctx, args)
}
func (p *planCounter) BestIndex(*vtab.IndexInfo) error        { p.plans++; return nil }
func (p *planCounter) Open() (vtab.Cursor, error)             { return p, nil }
func (p *planCounter) Disconnect() error                      { return nil }
func (p *planCounter) Destroy() error                         { return nil }
func (p *planCounter) Filter(int, string, []vtab.Value) error { return nil }
func (p *planCounter) Next() error                            { return nil }
func (p *planCounter) Eof() bool                              { return true } //nolint:revive // the name is that of the interface
func (p *planCounter) Column(int) (vtab.Value, error)         { return nil, nil }
func (p *planCounter) Rowid() (int64, error)                  { return 0, nil }
func (p *planCounter) Close() error                           { return nil }

// countedPlans is registered before any test opens a connection. The driver reads its list of
// modules when a connection opens, and does not lock the list.
var (
	countedPlans     planCounter
	planCounterError = vtab.RegisterModule(nil, "latchkey_plan_counter", &countedPlans)
)

// TestLimitsKeepTheirPlan executes a statement with many values for its LIMIT, in the form that
// this package uses. SQLite plans it once. It plans a plain LIMIT at each call, which costs
// more than most of these statements. So no source file may have a plain LIMIT.
func TestLimitsKeepTheirPlan(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // holds nothing
	db.SetMaxOpenConns(1)
	if planCounterError != nil {
		t.Fatal(planCounterError)
	}
	if _, err := db.Exec("CREATE VIRTUAL TABLE counted USING latchkey_plan_counter"); err != nil {
		t.Fatal(err)
	}
	plans := func(limit string) int {
		countedPlans.plans = 0
		statement, err := db.Prepare("SELECT n FROM counted " + limit)
		if err != nil {
			t.Fatal(err)
		}
		defer statement.Close() //nolint:errcheck // only read
		for n := range 10 {
			rows, err := statement.Query(n)
			if err == nil {
				err = errors.Join(rows.Close(), rows.Err())
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		return countedPlans.plans
	}
	if n := plans("LIMIT CAST(? AS BIGINT)"); n > 2 {
		t.Errorf("a statement that was executed ten times was planned %d times", n)
	}
	if n := plans("LIMIT ?"); n < 10 {
		t.Errorf("a statement with a plain limit was planned %d times: want ten plans; the cast is no longer needed", n)
	}
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range sources {
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(source, "_test.go") && strings.Contains(string(text), "LIMIT ?") {
			t.Errorf("%s has a plain limit", source)
		}
	}
}
