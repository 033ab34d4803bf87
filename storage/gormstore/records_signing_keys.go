package gormstore

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"latchkey/storage"
)

// signingKeyRow is a row of the signing keys. An update leaves the private half as
// it is, which Reseal may be changing.
type signingKeyRow struct {
	KID          string `gorm:"column:kid;primaryKey;<-:create"`
	Alg          string `gorm:"column:alg;<-:create"`
	Public       blob   `gorm:"column:public;<-:create"`
	PrivateKeyID string `gorm:"column:private_key_id;<-:create"`
	Private      blob   `gorm:"column:private;<-:create"`
	Predecessor  string `gorm:"column:predecessor;<-:create"`
	Created      int64  `gorm:"column:created_at;<-:create"`
	ActivatesAt  int64  `gorm:"column:activates_at"`
	RetiresAt    int64  `gorm:"column:retires_at"`
	GoneAt       int64  `gorm:"column:gone_at"`
	RevokedAt    int64  `gorm:"column:revoked_at"`
}

func (*signingKeyRow) TableName() string { return "signing_keys" }

func signingKeyRowOf(k storage.SigningKey) signingKeyRow {
	return signingKeyRow{
		KID: k.KID, Alg: k.Alg, Public: k.Public, PrivateKeyID: k.Private.KeyID, Private: k.Private.Data,
		Predecessor: k.Predecessor, Created: micros(k.CreatedAt), ActivatesAt: micros(k.ActivatesAt),
		RetiresAt: micros(k.RetiresAt), GoneAt: micros(k.GoneAt), RevokedAt: micros(k.RevokedAt),
	}
}

func (r *signingKeyRow) record() storage.SigningKey {
	return storage.SigningKey{
		KID: r.KID, Alg: r.Alg, Public: r.Public, Private: sealed(r.PrivateKeyID, r.Private),
		Predecessor: r.Predecessor, CreatedAt: instant(r.Created), ActivatesAt: instant(r.ActivatesAt),
		RetiresAt: instant(r.RetiresAt), GoneAt: instant(r.GoneAt), RevokedAt: instant(r.RevokedAt),
	}
}

// SigningKeys lists all signing keys, oldest first.
func (s *Store) SigningKeys(ctx context.Context) ([]storage.SigningKey, error) {
	rows, err := find[signingKeyRow](ctx, s, "signing keys", "created_at, kid", "")
	return recordsOf(rows, (*signingKeyRow).record), err
}

// ChangeSigningKeys makes the change in one transaction. It returns storage.ErrConflict if
// a KID is in use, or if the predecessor has a successor already that is not revoked. So if
// many replicas announce a successor at the same time, one of them succeeds. It returns
// storage.ErrNotFound for an unknown KID to update. A revocation is never undone.
func (s *Store) ChangeSigningKeys(ctx context.Context, c storage.SigningKeyChange) error {
	// The order by KID keeps two changes from a deadlock. The updates come first,
	// because they make room for the additions.
	update := slices.SortedFunc(slices.Values(c.Update), func(a, b storage.SigningKey) int { return strings.Compare(a.KID, b.KID) })
	err := s.InTx(ctx, func(ctx context.Context) error {
		for _, k := range update {
			if err := s.updateSigningKey(ctx, k); err != nil {
				return err
			}
		}
		for _, k := range c.Add {
			row := signingKeyRowOf(k)
			if err := s.writing(ctx).Create(&row).Error; err != nil {
				return s.wrap(ctx, "add signing key", err)
			}
		}
		for _, kid := range slices.Sorted(slices.Values(c.Remove)) {
			if err := s.writing(ctx).Delete(&signingKeyRow{}, "kid = ?", kid).Error; err != nil {
				return s.wrap(ctx, "remove signing key", err)
			}
		}
		return nil
	})
	return s.changed(ctx, err)
}

// updateSigningKey writes the times of a key. A revocation stays as it is.
func (s *Store) updateSigningKey(ctx context.Context, k storage.SigningKey) error {
	stored, err := locked[signingKeyRow](ctx, s, "update signing key", "kid = ?", k.KID)
	if err != nil {
		return err
	}
	row := signingKeyRowOf(k)
	row.RevokedAt = cmp.Or(stored.RevokedAt, row.RevokedAt)
	return s.wrap(ctx, "update signing key", s.writing(ctx).Model(&row).Select("*").Updates(&row).Error)
}

// ClientSigningAlgs lists the JWS algorithms that clients name for their
// tokens, each once.
func (s *Store) ClientSigningAlgs(ctx context.Context) ([]string, error) {
	return query[string](ctx, s, "signing algorithms of clients",
		`SELECT signing_alg FROM clients WHERE signing_alg <> ''
		UNION SELECT id_token_alg FROM clients WHERE id_token_alg <> '' ORDER BY 1`)
}
