package granttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"latchkey/grants/statestore"
	"latchkey/storage"
)

// keyAt returns a key of the maximal length.
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
		return fmt.Errorf("key %s has %s, want %s", key, shown(got), shown(want))
	}
	return nil
}

// shown returns a value for a report. It distinguishes no value from an empty one.
func shown(value []byte) string {
	if value == nil {
		return "no value (nil)"
	}
	return fmt.Sprintf("the value %q", value)
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
			return fmt.Errorf("swap of %s for %s: %s, want %s", shown(step.old), shown(step.next), errorText(err), errorText(step.want))
		}
		if err := holds(ctx, s, key, step.after); err != nil {
			return fmt.Errorf("after the swap of %s for %s: %w", shown(step.old), shown(step.next), err)
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
			return fmt.Errorf("swap of two values, one of them stale: %s, want storage.ErrStale", errorText(err))
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
	far := &slowStore{States: s}
	// add increments a value. Each stale swap means that another writer has incremented it.
	add := func(key string) error {
		for range writers * rounds {
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
		return fmt.Errorf("got %d stale swaps in a row, want at most %d", writers*rounds, (writers-1)*rounds)
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

// checkKeys writes values under keys that differ little. A column that ignores case, or is
// shorter than a key, confuses some of them.
func checkKeys(ctx context.Context, s statestore.States) error {
	key := keyAt(4)
	last, dash := key[:len(key)-1], strings.Index(key, "-")
	alike := []string{
		key, strings.ToLower(key), strings.ToUpper(key), last, last + "0", last + "1", "0" + key[1:],
		key[:dash] + "_" + key[dash+1:], key[:dash] + "." + key[dash+1:],
	}
	for i, k := range alike {
		if err := s.Swap(ctx, statestore.Change{Key: k, New: text(i)}); err != nil {
			return fmt.Errorf("a first value for the key %s, after those for %q: %w", k, alike[:i], err)
		}
	}
	for i, k := range alike {
		if err := holds(ctx, s, k, text(i)); err != nil {
			return err
		}
	}
	return nil
}

// checkUntil checks that a value exists until its time, and that the latest time counts.
func checkUntil(ctx context.Context, s statestore.States) error {
	const short = 3 * time.Second // stores may round a time down to seconds
	ends := time.Now().UTC().Add(short)
	times := []time.Time{ends, ends, {}} // the times of keys 5 to 7
	for i, until := range times {
		if err := s.Swap(ctx, statestore.Change{Key: keyAt(5 + i), New: text(1), Until: until}); err != nil {
			return fmt.Errorf("a value until %s: %w", until, err)
		}
		if err := holds(ctx, s, keyAt(5+i), text(1)); err != nil && time.Now().Before(ends.Add(-short/2)) {
			return fmt.Errorf("%s before its time: %w", time.Until(ends), err)
		}
	}
	for i, until := range []time.Time{ends.Add(time.Hour), {}} {
		change := statestore.Change{Key: keyAt(5 + i), Old: text(1), New: text(2), Until: until}
		if err := s.Swap(ctx, change); err != nil {
			return fmt.Errorf("a later time for a value, %s before the earlier one: %w", time.Until(ends), err)
		}
	}
	select {
	case <-time.After(time.Until(ends) + time.Second):
	case <-ctx.Done():
		return ctx.Err()
	}
	return errors.Join(holds(ctx, s, keyAt(5), text(2)), holds(ctx, s, keyAt(6), text(2)), holds(ctx, s, keyAt(7), text(1)))
}

// checkPast replaces a value after its time. The value may exist or not, but Load and Swap must
// agree. Otherwise no caller could write the key again.
func checkPast(ctx context.Context, s statestore.States) error {
	key, past := keyAt(8), time.Now().UTC().Add(-time.Hour)
	for i := range 3 {
		if err := replace(ctx, s, statestore.Change{Key: key, New: text(i), Until: past}); err != nil {
			return fmt.Errorf("a value after its time: %w", err)
		}
	}
	if err := replace(ctx, s, statestore.Change{Key: key, New: text(9)}); err != nil {
		return fmt.Errorf("a value after its time: %w", err)
	}
	return holds(ctx, s, key, text(9))
}

// replace swaps a value for the one that Load returns. It tries a few times, because the store
// may delete the value in between.
func replace(ctx context.Context, s statestore.States, c statestore.Change) (err error) {
	for range 5 {
		if c.Old, err = s.Load(ctx, c.Key); err != nil {
			return fmt.Errorf("load: %w", err)
		}
		if err = s.Swap(ctx, c); !errors.Is(err, storage.ErrStale) {
			return err
		}
	}
	return fmt.Errorf("swap of %s, which Load returned: %w", shown(c.Old), err)
}
