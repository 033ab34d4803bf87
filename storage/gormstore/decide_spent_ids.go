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

// SpendID marks an id as used until expiresAt, for values that may be presented only once.
// id is a digest of the value and of its kind. One of any number of callers gets nil, and
// the others get storage.ErrConflict. After its expiry, when Sweep has deleted it, an id
// may be spent again.
func (s *Store) SpendID(ctx context.Context, id []byte, expiresAt time.Time) error {
	n, err := s.exec(ctx, "spend id",
		"INSERT INTO spent_ids (id, expires_at) VALUES (?, ?) ON CONFLICT DO NOTHING", blob(id), micros(expiresAt))
	return affected(n, err, s.wrap(ctx, "spend id", storage.ErrConflict))
}
