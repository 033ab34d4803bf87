package statestore

import (
	"context"
	"slices"
	"time"

	"latchkey/storage"
)

const (
	signingKeysKey = "keys.signing"
	peppersKey     = "keys.peppers"
)

// SigningKeys implements keys.KeyStore.
func (s *Store) SigningKeys(ctx context.Context) ([]storage.SigningKey, error) {
	e, err := load[[]storage.SigningKey](ctx, s, signingKeysKey)
	return e.value, err
}

// ChangeSigningKeys implements keys.KeyStore. If two replicas announce a successor at the
// same time, it accepts one of them.
func (s *Store) ChangeSigningKeys(ctx context.Context, c storage.SigningKeyChange) error {
	return repeat(ctx, func() error {
		e, err := load[[]storage.SigningKey](ctx, s, signingKeysKey)
		if err != nil {
			return err
		}
		if e.value, err = changeKeys(e.value, c); err != nil {
			return err
		}
		return e.swap(ctx, s, time.Time{})
	})
}

// changeKeys applies a change to keys. It returns storage.ErrNotFound for the update of
// an unknown key, and storage.ErrConflict for a second key of one ID or a second
// successor of one key.
func changeKeys(present []storage.SigningKey, c storage.SigningKeyChange) ([]storage.SigningKey, error) {
	for _, k := range c.Update {
		at := slices.IndexFunc(present, func(old storage.SigningKey) bool { return old.KID == k.KID })
		if at < 0 {
			return nil, storage.ErrNotFound
		}
		present[at].ActivatesAt, present[at].RetiresAt, present[at].GoneAt = k.ActivatesAt, k.RetiresAt, k.GoneAt
		if present[at].RevokedAt.IsZero() { // a revoked key stays revoked
			present[at].RevokedAt = k.RevokedAt
		}
	}
	for _, k := range c.Add {
		if slices.ContainsFunc(present, func(old storage.SigningKey) bool { return excludes(old, k) }) {
			return nil, storage.ErrConflict
		}
		present = append(present, k)
	}
	return slices.DeleteFunc(present, func(k storage.SigningKey) bool { return slices.Contains(c.Remove, k.KID) }), nil
}

// excludes reports whether the key k cannot be added because of an existing one.
func excludes(old, k storage.SigningKey) bool {
	return old.KID == k.KID || old.Alg == k.Alg && old.Predecessor == k.Predecessor && old.RevokedAt.IsZero()
}

// Peppers implements keys.PepperStore.
func (s *Store) Peppers(ctx context.Context) ([]storage.Pepper, error) {
	e, err := load[[]storage.Pepper](ctx, s, peppersKey)
	return e.value, err
}

// AddFirstPepper implements keys.PepperStore.
func (s *Store) AddFirstPepper(ctx context.Context, p storage.Pepper) error {
	return repeat(ctx, func() error {
		e, err := load[[]storage.Pepper](ctx, s, peppersKey)
		if err != nil {
			return err
		}
		if len(e.value) > 0 {
			return storage.ErrConflict
		}
		e.value = []storage.Pepper{p}
		return e.swap(ctx, s, time.Time{})
	})
}
