package signin

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/storage"
)

var (
	bob       = storage.LoginKey{ProfileID: "default", UsernameKey: "bob"}
	bobAtHome = storage.LoginKey{ProfileID: "default", UsernameKey: "bob", Source: "192.0.2.1"}
	bobAway   = storage.LoginKey{ProfileID: "default", UsernameKey: "bob", Source: "203.0.113.9"}
)

// enter takes a turn of an attempt that finds that budget. Home is known.
func (t *turns) enter(ctx context.Context, key storage.LoginKey, budget int) (*turn, error) {
	turn := t.visit(key)
	err := turn.await(ctx, func() (standing, error) {
		return standing{known: key == bobAtHome, budget: budget}, nil
	})
	if err != nil {
		turn.leave()
		return nil, err
	}
	return turn, nil
}

// TestTurnsKeepWithinBudget runs hundreds of attempts in each lane against
// budgets that each of them lowers, as failures do, and watches how many run at
// a time.
func TestTurnsKeepWithinBudget(t *testing.T) {
	t.Parallel()
	turns := newTurns()
	var (
		mu       sync.Mutex
		budget   = map[bool]int{true: 10, false: 10} // at a known source, and not
		inFlight = map[bool]int{}
		group    sync.WaitGroup
	)
	attempt := func(key storage.LoginKey) {
		known, seen := key == bobAtHome, 0
		turn := turns.visit(key)
		defer turn.leave()
		err := turn.await(t.Context(), func() (standing, error) {
			mu.Lock()
			defer mu.Unlock()
			seen = budget[known]
			return standing{known: known, budget: seen}, nil
		})
		if err != nil {
			t.Error(err)
			return
		}
		mu.Lock()
		if inFlight[known]++; inFlight[known] > max(seen, 1) {
			t.Errorf("%d in flight with a budget of %d", inFlight[known], seen)
		}
		mu.Unlock()
		mu.Lock()
		inFlight[known]--
		budget[known]--
		mu.Unlock()
	}
	for i := range 600 {
		group.Go(func() { attempt([]storage.LoginKey{bob, bobAtHome, bobAway}[i%3]) })
	}
	group.Wait()
	if len(turns.lanes) != 0 {
		t.Errorf("%d lanes are left behind", len(turns.lanes))
	}
}

// TestTurnsCountWhatJustEnded: an attempt that read the login before another
// one's failure was counted, and asks after it, does not pass on the old count:
// neither in the login's lane, nor in that of a source which it enters after the
// read.
func TestTurnsCountWhatJustEnded(t *testing.T) {
	t.Parallel()
	for _, key := range []storage.LoginKey{bob, bobAway, bobAtHome} {
		turns := newTurns()
		first, err := turns.enter(t.Context(), key, 2)
		if err != nil {
			t.Fatal(err)
		}
		second := turns.visit(key)
		second.look() // and reads that one guess is left
		first.leave() // whose failure was the last
		if second.settle(standing{known: key == bobAtHome, budget: 1}) {
			t.Errorf("%v: passed on a budget that was read before the last failure", key)
		}
		second.leave()
		if _, err := turns.enter(t.Context(), key, 1); err != nil {
			t.Errorf("%v: refused although nothing else is in flight: %v", key, err)
		}
	}
}

func TestTurnsLetManyRunWithinBudget(t *testing.T) {
	t.Parallel()
	turns := newTurns()
	var all []*turn
	for _, key := range []storage.LoginKey{bob, bobAtHome, bobAway} {
		for range 5 {
			budget := 5
			if key == bobAway {
				budget = 10 // the same lane as of those from nowhere
			}
			turn, err := turns.enter(t.Context(), key, budget)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, turn)
		}
	}
	for _, turn := range all {
		turn.leave()
	}
	if len(turns.lanes) != 0 {
		t.Error("a lane is left behind")
	}
}

// TestTurnsEndWaiting: a waiter gives up after its time, and hands a turn on
// that arrives when its caller has gone.
func TestTurnsEndWaiting(t *testing.T) {
	t.Parallel()
	for _, key := range []storage.LoginKey{bob, bobAtHome, bobAway} {
		synctest.Test(t, func(t *testing.T) {
			turns := newTurns()
			first, err := turns.enter(t.Context(), key, 1)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := turns.enter(t.Context(), key, 1); !errors.Is(err, ErrBusy) {
				t.Errorf("waited out: %v, want ErrBusy", err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			if _, err := turns.enter(ctx, key, 1); !errors.Is(err, context.Canceled) {
				t.Errorf("cancelled: %v", err)
			}
			first.leave()
			if len(turns.lanes) != 0 {
				t.Error("a lane is left behind")
			}
		})
	}
}

// fill makes that many attempts wait behind one that is in flight, and counts
// those that were served.
func fill(t *testing.T, turns *turns, key storage.LoginKey, n int) (first *turn, served *atomic.Int64) {
	t.Helper()
	first, err := turns.enter(t.Context(), key, 1)
	if err != nil {
		t.Fatal(err)
	}
	served = new(atomic.Int64)
	for range n {
		go func() {
			if turn, err := turns.enter(t.Context(), key, 1); err == nil {
				served.Add(1)
				turn.leave()
			}
		}()
	}
	synctest.Wait()
	return first, served
}

func TestTurnsRefuseTooManyWaiters(t *testing.T) {
	t.Parallel()
	for _, key := range []storage.LoginKey{bob, bobAtHome, bobAway} {
		synctest.Test(t, func(t *testing.T) {
			turns := newTurns()
			first, served := fill(t, turns, key, maxWaiting)
			start := time.Now()
			if _, err := turns.enter(t.Context(), key, 1); !errors.Is(err, ErrBusy) || time.Since(start) != 0 {
				t.Errorf("waiter %d: %v after %v, want ErrBusy at once", maxWaiting+1, err, time.Since(start))
			}
			first.leave()
			synctest.Wait()
			if served.Load() != maxWaiting {
				t.Errorf("%d of %d waiters were served", served.Load(), maxWaiting)
			}
		})
	}
}

// TestTurnsOfKnownSourceDoNotWait: somebody who fills the login's lane delays
// nobody at a known source, and the other way round.
func TestTurnsOfKnownSourceDoNotWait(t *testing.T) {
	t.Parallel()
	for _, keys := range [][2]storage.LoginKey{{bobAway, bobAtHome}, {bob, bobAtHome}, {bobAtHome, bobAway}, {bobAtHome, bob}} {
		synctest.Test(t, func(t *testing.T) {
			turns, reads, start := newTurns(), 0, time.Now()
			first, _ := fill(t, turns, keys[0], maxWaiting)
			victim := turns.visit(keys[1])
			err := victim.await(t.Context(), func() (standing, error) {
				reads++
				return standing{known: keys[1] == bobAtHome, budget: 1}, nil
			})
			if err != nil || reads != 1 || time.Since(start) != 0 {
				t.Errorf("%v while %v is full: %v after %d reads and %v", keys[1], keys[0], err, reads, time.Since(start))
			}
			victim.leave()
			first.leave()
			synctest.Wait()
			if len(turns.lanes) != 0 {
				t.Error("a lane is left behind")
			}
		})
	}
}

func TestTurnsOfOtherLoginsDoNotWait(t *testing.T) {
	t.Parallel()
	turns := newTurns()
	for _, name := range []string{"bob", "jane", "mary"} {
		key := storage.LoginKey{ProfileID: "default", UsernameKey: name}
		if _, err := turns.enter(t.Context(), key, 1); err != nil {
			t.Fatal(err)
		}
	}
}
