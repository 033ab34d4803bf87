package main

import (
	"context"
	"slices"

	"latchkey/storage"
)

// SigningKeys implements keys.KeyStore.
func (s *store) SigningKeys(context.Context) ([]storage.SigningKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.signing), nil
}

// ChangeSigningKeys implements keys.KeyStore. If two replicas announce a successor at the
// same time, it accepts one of them.
func (s *store) ChangeSigningKeys(_ context.Context, c storage.SigningKeyChange) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	after := slices.Clone(s.signing)
	for _, k := range c.Update {
		at := slices.IndexFunc(after, func(old storage.SigningKey) bool { return old.KID == k.KID })
		if at < 0 {
			return storage.ErrNotFound
		}
		after[at].ActivatesAt, after[at].RetiresAt, after[at].GoneAt = k.ActivatesAt, k.RetiresAt, k.GoneAt
		if after[at].RevokedAt.IsZero() { // a revoked key stays revoked
			after[at].RevokedAt = k.RevokedAt
		}
	}
	for _, k := range c.Add {
		if slices.ContainsFunc(after, func(old storage.SigningKey) bool { return excludes(old, k) }) {
			return storage.ErrConflict
		}
		after = append(after, k)
	}
	s.signing = slices.DeleteFunc(after, func(k storage.SigningKey) bool { return slices.Contains(c.Remove, k.KID) })
	return nil
}

// excludes reports whether the key k cannot be added because of an existing one.
func excludes(old, k storage.SigningKey) bool {
	return old.KID == k.KID || old.Alg == k.Alg && old.Predecessor == k.Predecessor && old.RevokedAt.IsZero()
}

// Peppers implements keys.PepperStore.
func (s *store) Peppers(context.Context) ([]storage.Pepper, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.peppers), nil
}

// AddFirstPepper implements keys.PepperStore.
func (s *store) AddFirstPepper(_ context.Context, p storage.Pepper) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.peppers) > 0 {
		return storage.ErrConflict
	}
	s.peppers = append(s.peppers, p)
	return nil
}
