package gormstore

import (
	"context"
	"slices"
	"strings"

	"latchkey/storage"
)

type signingKeyRow struct {
	KID          string `gorm:"column:kid"`
	Alg          string `gorm:"column:alg"`
	Public       []byte `gorm:"column:public"`
	PrivateKeyID string `gorm:"column:private_key_id"`
	Private      []byte `gorm:"column:private"`
	Predecessor  string `gorm:"column:predecessor"`
	CreatedAt    int64  `gorm:"column:created_at"`
	ActivatesAt  int64  `gorm:"column:activates_at"`
	RetiresAt    int64  `gorm:"column:retires_at"`
	GoneAt       int64  `gorm:"column:gone_at"`
	RevokedAt    int64  `gorm:"column:revoked_at"`
}

const signingKeyColumns columns = `kid alg public private_key_id private predecessor created_at activates_at retires_at
	gone_at revoked_at`

// SigningKeys lists all signing keys, oldest first.
func (s *Store) SigningKeys(ctx context.Context) ([]storage.SigningKey, error) {
	rows, err := query[signingKeyRow](ctx, s, "signing keys",
		"SELECT "+signingKeyColumns.list()+" FROM signing_keys ORDER BY created_at, kid")
	keys := make([]storage.SigningKey, 0, len(rows))
	for _, r := range rows {
		keys = append(keys, storage.SigningKey{
			KID: r.KID, Alg: r.Alg, Public: content(r.Public), Private: sealed(r.PrivateKeyID, r.Private),
			Predecessor: r.Predecessor, CreatedAt: instant(r.CreatedAt), ActivatesAt: instant(r.ActivatesAt),
			RetiresAt: instant(r.RetiresAt), GoneAt: instant(r.GoneAt), RevokedAt: instant(r.RevokedAt),
		})
	}
	return keys, err
}

// ChangeSigningKeys makes the change as a whole or not at all. When a KID is in
// use, or a key of the algorithm that is not revoked succeeds the same
// predecessor already, it answers storage.ErrConflict: of many replicas that
// announce a successor at once, one succeeds. An unknown KID to update is
// storage.ErrNotFound. A revocation is never undone.
func (s *Store) ChangeSigningKeys(ctx context.Context, c storage.SigningKeyChange) error {
	// In the order of their names, so that two changes wait for each other
	// instead of both; the updates first, for they make room for the additions.
	update := slices.SortedFunc(slices.Values(c.Update), func(a, b storage.SigningKey) int { return strings.Compare(a.KID, b.KID) })
	err := s.InTx(ctx, func(ctx context.Context) error {
		for _, k := range update {
			if err := s.updateSigningKey(ctx, k); err != nil {
				return err
			}
		}
		for _, k := range c.Add {
			if err := s.addSigningKey(ctx, k); err != nil {
				return err
			}
		}
		for _, kid := range slices.Sorted(slices.Values(c.Remove)) {
			if _, err := s.exec(ctx, "remove signing key", "DELETE FROM signing_keys WHERE kid = ?", kid); err != nil {
				return err
			}
		}
		return nil
	})
	return s.changed(ctx, err)
}

func (s *Store) addSigningKey(ctx context.Context, k storage.SigningKey) error {
	_, err := s.exec(ctx, "add signing key",
		"INSERT INTO signing_keys ("+signingKeyColumns.list()+") VALUES ("+signingKeyColumns.marks()+")",
		k.KID, k.Alg, blob(k.Public), k.Private.KeyID, blob(k.Private.Data), k.Predecessor, micros(k.CreatedAt),
		micros(k.ActivatesAt), micros(k.RetiresAt), micros(k.GoneAt), micros(k.RevokedAt))
	return err
}

// updateSigningKey leaves the private half alone, which Reseal may be changing.
func (s *Store) updateSigningKey(ctx context.Context, k storage.SigningKey) error {
	n, err := s.exec(ctx, "update signing key",
		`UPDATE signing_keys SET activates_at = ?, retires_at = ?, gone_at = ?,
		revoked_at = CASE WHEN revoked_at = 0 THEN ? ELSE revoked_at END WHERE kid = ?`,
		micros(k.ActivatesAt), micros(k.RetiresAt), micros(k.GoneAt), micros(k.RevokedAt), k.KID)
	return affected(n, err, s.wrap(ctx, "update signing key", storage.ErrNotFound))
}

// ClientSigningAlgs lists the JWS algorithms that clients name for their
// tokens, each once.
func (s *Store) ClientSigningAlgs(ctx context.Context) ([]string, error) {
	return query[string](ctx, s, "signing algorithms of clients",
		"SELECT DISTINCT signing_alg FROM clients WHERE signing_alg <> '' ORDER BY signing_alg")
}

type pepperRow struct {
	ID          string `gorm:"column:id"`
	SecretKeyID string `gorm:"column:secret_key_id"`
	Secret      []byte `gorm:"column:secret"`
	CreatedAt   int64  `gorm:"column:created_at"`
}

// Peppers lists all peppers, oldest first.
func (s *Store) Peppers(ctx context.Context) ([]storage.Pepper, error) {
	rows, err := query[pepperRow](ctx, s, "peppers",
		"SELECT id, secret_key_id, secret, created_at FROM peppers ORDER BY ordinal")
	peppers := make([]storage.Pepper, 0, len(rows))
	for _, r := range rows {
		peppers = append(peppers, storage.Pepper{
			ID: r.ID, Secret: sealed(r.SecretKeyID, r.Secret), CreatedAt: instant(r.CreatedAt),
		})
	}
	return peppers, err
}

// AddFirstPepper adds the pepper of a new database. If there is one already it
// answers storage.ErrConflict; of several replicas that try, one succeeds.
func (s *Store) AddFirstPepper(ctx context.Context, p storage.Pepper) error {
	// Two that see no pepper both insert the ordinal 1, which is unique.
	n, err := s.exec(ctx, "add first pepper",
		`INSERT INTO peppers (id, ordinal, secret_key_id, secret, created_at)
		SELECT ?, 1, ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM peppers)`,
		p.ID, p.Secret.KeyID, blob(p.Secret.Data), micros(p.CreatedAt))
	return s.changed(ctx, affected(n, err, s.wrap(ctx, "add first pepper", storage.ErrConflict)))
}
