package granttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"latchkey/grants/statestore"
	"latchkey/storage"
)

// keyAt returns a key of the longest length.
func keyAt(i int) string {
	key := fmt.Sprintf("test_%d.", i)
	return key + strings.Repeat("A-z", statestore.MaxKeyBytes)[:statestore.MaxKeyBytes-len(key)]
}

// holds returns an error unless the key has the value.
func holds(ctx context.Context, s statestore.States, key string, want []byte) error {
	got, err := s.Load(ctx, key)
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	if !bytes.Equal(got, want) || (got == nil) != (want == nil) {
		return fmt.Errorf("key %s has the value %q, want %q", key, got, want)
	}
	return nil
}

func checkCondition(ctx context.Context, s statestore.States) error {
	key := keyAt(1)
	if err := holds(ctx, s, key, nil); err != nil {
		return err
	}
	for _, step := range []struct {
		old, next, after []byte
		want             error
	}{
		{text(0), text(1), nil, storage.ErrStale},
		{nil, text(1), text(1), nil},
		{nil, text(2), text(1), storage.ErrStale},
		{text(0), text(2), text(1), storage.ErrStale},
		{text(1), text(2), text(2), nil},
		{text(1), text(3), text(2), storage.ErrStale},
	} {
		err := s.Swap(ctx, statestore.Change{Key: key, Old: step.old, New: step.next})
		if !errors.Is(err, step.want) {
			return fmt.Errorf("swap of %q for %q: %w, want %w", step.old, step.next, err, step.want)
		}
		if err := holds(ctx, s, key, step.after); err != nil {
			return fmt.Errorf("after the swap of %q for %q: %w", step.old, step.next, err)
		}
	}
	return nil
}

func checkTogether(ctx context.Context, s statestore.States) error {
	if err := s.Swap(ctx, statestore.Change{Key: keyAt(1), New: text(1)}, statestore.Change{Key: keyAt(2), New: text(2)}); err != nil {
		return err
	}
	for _, order := range [][2]int{{1, 2}, {2, 1}} {
		stale := statestore.Change{Key: keyAt(order[1]), Old: text(9), New: text(9)}
		err := s.Swap(ctx, statestore.Change{Key: keyAt(order[0]), Old: text(order[0]), New: text(8)}, stale)
		if !errors.Is(err, storage.ErrStale) {
			return fmt.Errorf("swap of two values, one of them stale: %w", err)
		}
		for i := 1; i <= 2; i++ {
			if err := holds(ctx, s, keyAt(i), text(i)); err != nil {
				return fmt.Errorf("after the swap of two values, one of them stale: %w", err)
			}
		}
	}
	return nil
}

func checkConcurrent(ctx context.Context, s statestore.States) error {
	const writers, rounds = 8, 5
	far := &distant{States: s}
	// add counts one up, as often as it takes.
	add := func(key string) error {
		for {
			old, err := far.Load(ctx, key)
			if err != nil {
				return err
			}
			n := 0
			if old != nil {
				if _, err := fmt.Sscanf(string(old), `{"n":%d`, &n); err != nil {
					return fmt.Errorf("value %q: %w", old, err)
				}
			}
			if err := far.Swap(ctx, statestore.Change{Key: key, Old: old, New: text(n + 1)}); !errors.Is(err, storage.ErrStale) {
				return err
			}
		}
	}
	errs := concurrently(writers, func(int) error {
		for range rounds {
			if err := add(keyAt(3)); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(errors.Join(errs...), holds(ctx, s, keyAt(3), text(writers*rounds)))
}
