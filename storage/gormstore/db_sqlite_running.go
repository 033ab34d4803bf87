package gormstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"strconv"
	"sync"

	sqlitedriver "modernc.org/sqlite"
)

// runningContexts are the contexts of the SQLite statements that may take long,
// by number. It is shared by all stores because functions of the driver are.
var runningContexts = struct {
	mu   sync.Mutex
	last int64
	of   map[int64]context.Context
}{of: map[int64]context.Context{}}

// errRegisterRunning is nil once SQLite has the function latchkey_running. The
// driver looks at a context before the first row only, so a statement that
// computes for long asks for every row whether its context has ended.
var errRegisterRunning = sqlitedriver.RegisterScalarFunction("latchkey_running", 1,
	func(_ *sqlitedriver.FunctionContext, args []driver.Value) (driver.Value, error) {
		number, _ := args[0].(int64)
		runningContexts.mu.Lock()
		ctx := runningContexts.of[number]
		runningContexts.mu.Unlock()
		if ctx == nil {
			return nil, errors.New("latchkey_running: the statement has ended")
		}
		return true, ctx.Err()
	})

// running returns a condition in SQL that holds until ctx ends and fails
// afterwards. It is not deterministic, so SQLite evaluates it for each row.
// release must be called after the statement.
func (d *sqlite) running(ctx context.Context) (condition string, release func()) {
	r := &runningContexts
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	number := r.last
	r.of[number] = ctx
	return "latchkey_running(" + strconv.FormatInt(number, 10) + ")", func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.of, number)
	}
}
