package gormstore

import (
	"context"
	"time"

	"latchkey/storage"
)

// IsSpent reports whether SpendID has used the id up.
func (s *Store) IsSpent(ctx context.Context, id []byte) (bool, error) {
	rows, err := query[int64](ctx, s, "spent id", "SELECT expires_at FROM spent_ids WHERE id = ?", blob(id))
	return len(rows) > 0, err
}

// SpendID uses up what may be presented once only until expiresAt, under a
// digest of what it is: of any number of callers one gets nil, and the others
// storage.ErrConflict. An id may be spent again after its expiry, when Sweep has
// taken it.
func (s *Store) SpendID(ctx context.Context, id []byte, expiresAt time.Time) error {
	n, err := s.exec(ctx, "spend id",
		"INSERT INTO spent_ids (id, expires_at) VALUES (?, ?) ON CONFLICT DO NOTHING", blob(id), micros(expiresAt))
	return affected(n, err, s.wrap(ctx, "spend id", storage.ErrConflict))
}
