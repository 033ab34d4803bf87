package gormstore

import (
	"context"

	"gorm.io/gorm/clause"

	"latchkey/storage"
)

type pepperRow struct {
	ID          string `gorm:"column:id;primaryKey;<-:create"`
	Ordinal     int64  `gorm:"column:ordinal;<-:create"` // unique
	SecretKeyID string `gorm:"column:secret_key_id;<-:create"`
	Secret      blob   `gorm:"column:secret;<-:create"`
	Created     int64  `gorm:"column:created_at;<-:create"`
}

func (*pepperRow) TableName() string { return "peppers" }

func (r *pepperRow) record() storage.Pepper {
	return storage.Pepper{ID: r.ID, Secret: sealed(r.SecretKeyID, r.Secret), CreatedAt: instant(r.Created)}
}

// Peppers lists all peppers, oldest first.
func (s *Store) Peppers(ctx context.Context) ([]storage.Pepper, error) {
	rows, err := find[pepperRow](ctx, s, "peppers", "ordinal", "")
	return recordsOf(rows, (*pepperRow).record), err
}

// AddFirstPepper adds the pepper of a new database. If there is one already it
// returns storage.ErrConflict; of several replicas that try, one succeeds.
func (s *Store) AddFirstPepper(ctx context.Context, p storage.Pepper) error {
	row := pepperRow{
		ID: p.ID, Ordinal: 1, SecretKeyID: p.Secret.KeyID, Secret: p.Secret.Data, Created: micros(p.CreatedAt),
	}
	done := s.writing(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&row)
	err := affected(done.RowsAffected, done.Error, storage.ErrConflict)
	return s.changed(ctx, s.wrap(ctx, "add first pepper", err))
}
