package gormstore

import (
	"context"
	"time"

	"latchkey/storage"
)

// Charge takes one place from each of the budgets at the time now, in one
// statement, if all of them have one; else none is taken and the error is a
// *storage.LimitError. The keys differ from each other.
func (s *Store) Charge(ctx context.Context, now time.Time, charges ...storage.Charge) error {
	if len(charges) == 0 {
		return nil
	}
	c := charge(now, charges)
	n, err := s.exec(ctx, "charge", c.sql, c.args...)
	if err != nil || n == int64(len(charges)) {
		return err
	}
	return s.exhausted(ctx, now, charges)
}
