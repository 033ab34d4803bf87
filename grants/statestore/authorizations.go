package statestore

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"time"

	"latchkey/storage"
)

// keepAuthorization is how long an authorization is kept after its code has expired, so
// that a second use of the code ends the tokens of the first one.
const keepAuthorization = 24 * time.Hour

// authorizationKey returns the key of an authorization. It is a digest, because a request
// may name any ID.
func authorizationKey(id string) string {
	sum := sha256.Sum256([]byte(id))
	return "authorization." + base64.RawURLEncoding.EncodeToString(sum[:])
}

// authorization loads an authorization, or returns storage.ErrNotFound.
func (s *Store) authorization(ctx context.Context, id string) (entry[storage.Authorization], error) {
	e, err := load[storage.Authorization](ctx, s, authorizationKey(id))
	if err == nil && e.old == nil {
		err = storage.ErrNotFound
	}
	return e, err
}

// Authorization implements grants.AuthorizationStore. If the name of the login belongs to
// another user now, the principal is not known.
func (s *Store) Authorization(ctx context.Context, id string) (storage.AuthorizationState, error) {
	e, err := s.authorization(ctx, id)
	if err != nil {
		return storage.AuthorizationState{}, err
	}
	a := e.value
	p, member, err := s.userAndMember(ctx, a.LoginID, a.UserUID, a.SourceID, a.AccountUID)
	return storage.AuthorizationState{Authorization: a, Principal: p, Member: member}, err
}

// RedeemAuthorization implements grants.AuthorizationStore.
func (s *Store) RedeemAuthorization(ctx context.Context, use storage.AuthorizationUse) error {
	return repeat(ctx, func() error {
		e, err := s.authorization(ctx, use.ID)
		if err != nil {
			return err
		}
		a := &e.value
		if !a.UsedAt.IsZero() || !use.Now.Before(a.ExpiresAt) {
			return storage.ErrRefused
		}
		family, err := s.beginFamily(use.Family)
		if err != nil {
			return err
		}
		a.UsedAt, a.FamilyID = use.Now, use.Family.ID
		return e.swap(ctx, s, a.ExpiresAt.Add(keepAuthorization), family)
	})
}
