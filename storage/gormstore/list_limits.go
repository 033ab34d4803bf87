package gormstore

import (
	"context"
	"fmt"
	"strings"
	"time"

	"latchkey/storage"
)

const defaultListTimeout = 5 * time.Second

// asList runs the statements of a list within Config.ListTimeout. The wait for a connection
// has a separate limit of the same length. PostgreSQL ignores the cancellation of a
// statement that has not begun, so no statement may begin after its time is over. Lists use
// only some of the connections at a time (dialect.listConns), so that sign-ins never wait
// for lists. A list in a transaction already has its connection and does not wait.
//
// It fails with a storage.QueryLimitError if the statements took too long, and
// with storage.ErrUnavailable if no connection became free in time.
func (s *Store) asList(ctx context.Context, read func(context.Context) error) error {
	if s.tx(ctx) == nil {
		waiting, stop := context.WithTimeout(ctx, s.listTimeout)
		defer stop()
		select {
		case s.listConns <- struct{}{}:
			defer func() { <-s.listConns }()
		case <-waiting.Done():
			return s.wrap(waiting, "wait for other lists", waiting.Err())
		}
	}
	limited, cancel := context.WithTimeout(ctx, s.listTimeout)
	defer cancel()
	err := read(limited)
	// The database may report the end of the time before the context does.
	deadline, _ := limited.Deadline()
	if err != nil && ctx.Err() == nil && !time.Now().Before(deadline) {
		return fmt.Errorf("%w: %w", &storage.QueryLimitError{Timeout: s.listTimeout}, err)
	}
	return err
}

// checkCost returns an error for a query that costs more than storage.MaxQueryCost.
func (l *listing) checkCost(q storage.Query) error {
	cost := 0
	for _, by := range q.Sort {
		a, err := l.fields.find(by.Field)
		if err != nil {
			return err
		}
		cost += a.cost()
	}
	for _, condition := range q.Where {
		one, err := l.fields.cost(condition)
		if err != nil {
			return err
		}
		cost += one
	}
	if cost > storage.MaxQueryCost {
		return fmt.Errorf("cost %d: %w", cost, &storage.QueryLimitError{})
	}
	return nil
}

// cost returns the cost of a condition: every test applies to every field.
func (f fields) cost(c storage.Condition) (int, error) {
	perTest, tests := 0, 0
	for _, name := range c.Fields {
		a, err := f.find(name)
		if err != nil {
			return 0, err
		}
		perTest += a.cost()
	}
	for _, t := range c.Tests {
		tests++
		if t.Op == storage.OpLike || t.Op == storage.OpLikeFold {
			tests += max(strings.Count(t.Value, "*")-1, 0)
		}
	}
	return perTest * tests, nil
}

// cost returns the cost of one comparison with the field, or of a sort by it. A member
// of JSON needs the whole column parsed, and a field of another table a lookup.
func (a attribute) cost() int {
	if a.kind == free || a.within != "" || a.sort != "" {
		return storage.ExpensiveFieldCost
	}
	return 1
}
