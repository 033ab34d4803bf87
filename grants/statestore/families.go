package statestore

import (
	"context"
	"errors"
	"time"

	"latchkey/otp/lockout"
	"latchkey/storage"
)

func familyKey(id string) string { return "family." + id }

// Family implements grants.FamilyStore. If the name of the login belongs to another user
// now, the principal is not known.
func (s *Store) Family(ctx context.Context, id string) (storage.FamilyState, error) {
	e, err := s.family(ctx, id)
	if err != nil {
		return storage.FamilyState{}, err
	}
	f := e.value
	p, err := s.principal(ctx, f.LoginID, func(l lockout.State) (storage.Source, storage.Lockout) { return l.Of(f.SourceID) })
	p.Known = p.Known && p.User.UID == f.UserUID && p.Login.ID == f.LoginID
	state := storage.FamilyState{Family: f, Principal: p}
	if err != nil || f.AccountUID == "" || s.member == nil {
		return state, err
	}
	member, err := s.member(ctx, f.UserUID, f.AccountUID)
	switch {
	case err == nil:
		state.Member = &member
	case !errors.Is(err, storage.ErrNotFound):
		return state, unavailable("read member", err)
	}
	return state, nil
}

// family loads a family, or returns storage.ErrNotFound.
func (s *Store) family(ctx context.Context, id string) (entry[storage.TokenFamily], error) {
	e, err := load[storage.TokenFamily](ctx, s, familyKey(id))
	if err == nil && e.old == nil {
		err = storage.ErrNotFound
	}
	return e, err
}

// AdvanceFamily implements grants.FamilyStore.
func (s *Store) AdvanceFamily(ctx context.Context, id string, next storage.FamilyAdvance) error {
	e, err := s.family(ctx, id)
	if err != nil {
		return err
	}
	f := &e.value
	if !f.RevokedAt.IsZero() || f.Generation != next.From {
		return storage.ErrStale
	}
	f.Generation, f.RotatedAt, f.IdleUntil, f.Rotations = next.From+1, next.Now, next.IdleUntil, next.Rotations
	return e.swap(ctx, s, f.ExpiresAt)
}

// RevokeFamily implements grants.FamilyStore.
func (s *Store) RevokeFamily(ctx context.Context, id string, now time.Time) error {
	return repeat(ctx, func() error {
		e, err := s.family(ctx, id)
		if err != nil || !e.value.RevokedAt.IsZero() {
			return err
		}
		e.value.RevokedAt = now
		return e.swap(ctx, s, e.value.ExpiresAt)
	})
}
