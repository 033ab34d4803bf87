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
	p, member, err := s.userAndMember(ctx, f.LoginID, f.UserUID, f.SourceID, f.AccountUID)
	return storage.FamilyState{Family: f, Principal: p, Member: member}, err
}

// userAndMember reads the current user of a family or a code, and the current membership of
// the user in the account. The membership is nil if accountUID is empty or the user is no
// member.
func (s *Store) userAndMember(ctx context.Context, loginID, userUID, sourceID, accountUID string) (storage.Principal, *storage.Member, error) {
	p, err := s.principal(ctx, loginID, func(l lockout.State) (storage.Source, storage.Lockout) { return l.Of(sourceID) })
	p.Known = p.Known && p.User.UID == userUID && p.Login.ID == loginID
	if err != nil || accountUID == "" || s.member == nil {
		return p, nil, err
	}
	member, err := s.member(ctx, userUID, accountUID)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return p, nil, nil
	case err != nil:
		return p, nil, unavailable("read member", err)
	}
	return p, &member, nil
}

// beginFamily returns the change that stores a new family.
func (s *Store) beginFamily(f *storage.TokenFamily) (Change, error) {
	if f.AccountUID != "" && s.member == nil {
		return Change{}, errors.New("statestore: Config.Member is required for tokens that are scoped to an account")
	}
	e := entry[storage.TokenFamily]{key: familyKey(f.ID), value: *f}
	return e.change(f.ExpiresAt)
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
