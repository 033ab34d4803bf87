package granttest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ory/fosite"

	"latchkey/grants"
	"latchkey/grants/statestore"
	"latchkey/storage"
)

// begin signs Jane in. It returns the refresh token and the ID of its family.
func begin(ctx context.Context, r *replica) (token, familyID string, err error) {
	if token, err = r.signIn(ctx, username, password); err != nil {
		return "", "", err
	}
	parsed, err := r.refresh.RefreshTokens.Parse(token)
	return token, parsed.FamilyID, err
}

// checkRotation lets replicas advance a family at the same time. Refreshes within the grace
// period must all return the same next token.
func checkRotation(ctx context.Context, s statestore.States) error {
	both, err := newReplicas(&slowStore{States: s})
	if err != nil {
		return err
	}
	token, familyID, err := begin(ctx, both[0])
	if err != nil {
		return err
	}
	now := both[0].clock.Now()
	for generation := int64(1); generation <= 3; generation++ {
		errs := concurrently(8, func(i int) error {
			return both[i%2].store.AdvanceFamily(ctx, familyID, storage.FamilyAdvance{From: generation, Now: now})
		})
		if advanced, _, other := tally(errs, storage.ErrStale); advanced != 1 || other != nil {
			return fmt.Errorf("%d of 8 calls advanced a family from generation %d, want 1; other errors: %s", advanced, generation, errorText(other))
		}
	}
	current, err := both[0].use(ctx, token)
	if err != nil {
		return fmt.Errorf("a replaced refresh token within the grace period: %w", err)
	}
	next := make([]string, 8)
	errs := concurrently(8, func(i int) (err error) {
		next[i], err = both[i%2].use(ctx, current)
		return err
	})
	for _, other := range next {
		if other != next[0] {
			errs = append(errs, errors.New("concurrent refreshes got different tokens"))
		}
	}
	return errors.Join(errs...)
}

func checkReuse(ctx context.Context, s statestore.States) error {
	both, err := newReplicas(s)
	if err != nil {
		return err
	}
	stolen, _, err := begin(ctx, both[0])
	if err != nil {
		return err
	}
	next, err := both[1].use(ctx, stolen)
	if err != nil {
		return fmt.Errorf("a refresh token: %w", err)
	}
	both[0].clock.advance(time.Minute)
	if _, err := both[0].use(ctx, stolen); !errors.Is(err, grants.ErrRefreshToken) {
		return fmt.Errorf("the reuse of a refresh token after the grace period: %s, want grants.ErrRefreshToken", errorText(err))
	}
	if _, err := both[1].use(ctx, next); !errors.Is(err, fosite.ErrInvalidGrant) {
		return fmt.Errorf("the current refresh token after the reuse of an older one: %s, want invalid_grant", errorText(err))
	}
	return nil
}

// checkRevoked revokes a family while refreshes advance it.
func checkRevoked(ctx context.Context, s statestore.States) error {
	both, err := newReplicas(&slowStore{States: s})
	if err != nil {
		return err
	}
	for range 4 {
		_, familyID, err := begin(ctx, both[0])
		if err != nil {
			return err
		}
		now := both[0].clock.Now()
		errs := concurrently(4, func(i int) error {
			if i == 0 {
				return both[0].store.RevokeFamily(ctx, familyID, now)
			}
			return both[i%2].store.AdvanceFamily(ctx, familyID, storage.FamilyAdvance{From: 1, Now: now})
		})
		if _, _, other := tally(errs, storage.ErrStale); other != nil || errs[0] != nil {
			return fmt.Errorf("revoke while others refresh: %w", errors.Join(other, errs[0]))
		}
		state, err := both[1].store.Family(ctx, familyID)
		if err != nil || state.Family.RevokedAt.IsZero() {
			return fmt.Errorf("a revoked family is read as revoked at %s, with %s", state.Family.RevokedAt, errorText(err))
		}
	}
	return nil
}
