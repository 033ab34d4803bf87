package granttest

import (
	"context"
	"errors"
	"fmt"

	"github.com/ory/fosite"

	"latchkey/grants/statestore"
	"latchkey/otp/lockout"
	"latchkey/storage"
)

func checkCodeOnce(ctx context.Context, s statestore.States) error {
	both, err := newReplicas(&slowStore{States: s})
	if err != nil {
		return err
	}
	for round := range 3 {
		if err := both[0].issueCode(ctx); err != nil {
			return err
		}
		errs := concurrently(8, func(i int) error {
			_, err := both[i%2].signIn(ctx, username, codeText)
			return err
		})
		succeeded, _, other := tally(errs, fosite.ErrInvalidGrant)
		if succeeded != 1 || other != nil {
			return fmt.Errorf("round %d: a code was accepted %d times, want once; other errors: %s", round, succeeded, errorText(other))
		}
		if err := both[1].store.Unlock(ctx, username); err != nil {
			return err
		}
	}
	return nil
}

func checkValidSignIns(ctx context.Context, s statestore.States) error {
	both, err := newReplicas(&slowStore{States: s})
	if err != nil {
		return err
	}
	errs := concurrently(16, func(i int) error {
		_, err := both[i%2].signIn(ctx, username, password)
		return err
	})
	return errors.Join(errs...)
}

// checkGuessBudget guesses in parallel, on two replicas. Each replica may compare as many
// guesses at the same time as the budget allows, and no more.
func checkGuessBudget(ctx context.Context, s statestore.States) error {
	both, err := newReplicas(&slowStore{States: s})
	if err != nil {
		return err
	}
	if err := both[0].issueCode(ctx); err != nil {
		return err
	}
	errs := concurrently(60, func(i int) error {
		_, err := both[i%2].signIn(ctx, username, fmt.Sprint("wrong-", i))
		return err
	})
	if succeeded, _, other := tally(errs, fosite.ErrInvalidGrant); succeeded > 0 || other != nil {
		return fmt.Errorf("%d wrong guesses were accepted; other errors: %s", succeeded, errorText(other))
	}
	budget := int64(lockout.DefaultPolicy().Threshold * len(both))
	if n := both[0].hashes.Load(); n > budget {
		return fmt.Errorf("%d guesses were compared, want at most %d", n, budget)
	}
	return isLocked(ctx, both[1])
}

// isLocked returns an error unless the password and the code of Jane are refused.
func isLocked(ctx context.Context, r *replica) error {
	for _, right := range []string{password, codeText} {
		if _, err := r.signIn(ctx, username, right); !errors.Is(err, fosite.ErrInvalidGrant) {
			return fmt.Errorf("after the budget of guesses, a right credential is answered with %s, want invalid_grant", errorText(err))
		}
	}
	return nil
}

func checkCountedFirst(ctx context.Context, s statestore.States) error {
	both, err := newReplicas(s)
	if err != nil {
		return err
	}
	if err := both[0].issueCode(ctx); err != nil {
		return err
	}
	for i := range lockout.DefaultPolicy().Threshold {
		if _, err := both[i%2].signIn(ctx, username, fmt.Sprint("wrong-", i)); !errors.Is(err, fosite.ErrInvalidGrant) {
			return fmt.Errorf("guess %d: %s, want invalid_grant", i, errorText(err))
		}
		p, err := both[1-i%2].store.Principal(ctx, storage.LoginKey{UsernameKey: username})
		if err != nil {
			return err
		}
		if p.Lockout.Failures != i+1 {
			return fmt.Errorf("%d guesses were answered, and %d are counted", i+1, p.Lockout.Failures)
		}
	}
	return isLocked(ctx, both[0])
}

// checkUnknownNames checks that failures of an unknown name are counted. Otherwise its answers
// would cost less, and it would never be locked.
func checkUnknownNames(ctx context.Context, s statestore.States) error {
	both, err := newReplicas(s)
	if err != nil {
		return err
	}
	const nobody = "nobody"
	for i := range lockout.DefaultPolicy().Threshold {
		if _, err := both[i%2].signIn(ctx, nobody, "wrong"); !errors.Is(err, fosite.ErrInvalidGrant) {
			return fmt.Errorf("guess %d: %s, want invalid_grant", i, errorText(err))
		}
		p, err := both[1-i%2].store.Principal(ctx, storage.LoginKey{UsernameKey: nobody})
		if err != nil {
			return err
		}
		if p.Known || p.Lockout.Failures != i+1 {
			return fmt.Errorf("%d guesses at an unknown name were answered, and %d are counted", i+1, p.Lockout.Failures)
		}
	}
	p, err := both[0].store.Principal(ctx, storage.LoginKey{UsernameKey: nobody})
	if err == nil && !p.Locked(both[0].clock.Now()) {
		err = errors.New("an unknown name is not locked after the budget of guesses")
	}
	return err
}

func checkFailedMint(ctx context.Context, s statestore.States) error {
	both, err := newReplicas(s)
	if err != nil {
		return err
	}
	if err := both[0].issueCode(ctx); err != nil {
		return err
	}
	both[0].mintErr = errDown
	if _, err := both[0].signIn(ctx, username, codeText); !errors.Is(err, errDown) {
		return fmt.Errorf("a sign-in whose token cannot be minted: %s, want the error of the signer", errorText(err))
	}
	if _, err := both[1].signIn(ctx, username, codeText); err != nil {
		return fmt.Errorf("the code after a failed mint: %w", err)
	}
	return nil
}

func checkFailedWrite(ctx context.Context, s statestore.States) error {
	far := &slowStore{States: s}
	both, err := newReplicas(far)
	if err != nil {
		return err
	}
	if err := both[0].issueCode(ctx); err != nil {
		return err
	}
	far.failSwaps.Store(true)
	if _, err := both[0].signIn(ctx, username, codeText); !errors.Is(err, storage.ErrUnavailable) {
		return fmt.Errorf("a sign-in while the store cannot write: %s, want storage.ErrUnavailable", errorText(err))
	}
	if _, err := both[0].signIn(ctx, username, "wrong"); !errors.Is(err, storage.ErrUnavailable) {
		return fmt.Errorf("a guess while the store cannot write: %s, want storage.ErrUnavailable", errorText(err))
	}
	far.failSwaps.Store(false)
	if _, err := both[1].signIn(ctx, username, codeText); err != nil {
		return fmt.Errorf("the code after a failed write: %w", err)
	}
	return nil
}
