package grants

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

var bob = storage.LoginKey{ProfileID: "default", UsernameKey: "bob"}

// TestTurnsKeepWithinBudget runs hundreds of attempts against a budget that
// each of them lowers, as failures do, and watches how many run at a time.
func TestTurnsKeepWithinBudget(t *testing.T) {
	t.Parallel()
	turns := newTurns()
	var (
		mu       sync.Mutex
		budget   = 10
		inFlight int
		group    sync.WaitGroup
	)
	attempt := func() {
		for {
			turn, err := turns.enter(t.Context(), bob)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			seen := budget
			mu.Unlock()
			if turn.within(seen) {
				mu.Lock()
				inFlight++
				if inFlight > max(seen, 1) {
					t.Errorf("%d in flight with a budget of %d", inFlight, seen)
				}
				mu.Unlock()
				mu.Lock()
				inFlight--
				budget--
				mu.Unlock()
				turn.leave()
				return
			}
			turn.leave()
		}
	}
	for range 300 {
		group.Go(attempt)
	}
	group.Wait()
	if len(turns.queues) != 0 {
		t.Errorf("%d queues are left behind", len(turns.queues))
	}
}

// TestTurnsCountWhatJustEnded: an attempt that read the login before another
// one's failure was counted, and asks after it, does not pass on the old count.
func TestTurnsCountWhatJustEnded(t *testing.T) {
	t.Parallel()
	turns := newTurns()
	enter := func() *turn {
		turn, err := turns.enter(t.Context(), bob)
		if err != nil {
			t.Fatal(err)
		}
		return turn
	}
	first := enter()
	if !first.within(2) {
		t.Fatal("refused within the budget")
	}
	second := enter() // and reads that one guess is left
	first.leave()     // whose failure was the last
	if second.within(1) {
		t.Error("passed on a budget that was read before the last failure")
	}
	second.leave()
	if again := enter(); !again.within(1) {
		t.Error("refused although nothing else is in flight")
	}
}

func TestTurnsLetManyRunWithinBudget(t *testing.T) {
	t.Parallel()
	turns := newTurns()
	var all []*turn
	for range 5 {
		turn, err := turns.enter(t.Context(), bob)
		if err != nil {
			t.Fatal(err)
		}
		if !turn.within(5) {
			t.Fatal("refused within the budget")
		}
		all = append(all, turn)
	}
	for _, turn := range all {
		turn.leave()
	}
	if len(turns.queues) != 0 {
		t.Error("a queue is left behind")
	}
}

// TestTurnsEndWaiting: a waiter gives up after its time, and hands a turn on
// that arrives when its caller has gone.
func TestTurnsEndWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns()
		first, err := turns.enter(t.Context(), bob)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := turns.enter(t.Context(), bob); !errors.Is(err, ErrBusy) {
			t.Errorf("waited out: %v, want ErrBusy", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := turns.enter(ctx, bob); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		first.leave()
		if len(turns.queues) != 0 {
			t.Error("a queue is left behind")
		}
	})
}

func TestTurnsRefuseTooManyWaiters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns()
		first, err := turns.enter(t.Context(), bob)
		if err != nil {
			t.Fatal(err)
		}
		var served atomic.Int64
		for range maxWaiting {
			go func() {
				turn, err := turns.enter(t.Context(), bob)
				if err == nil {
					served.Add(1)
					turn.leave()
				}
			}()
		}
		synctest.Wait()
		start := time.Now()
		if _, err := turns.enter(t.Context(), bob); !errors.Is(err, ErrBusy) || time.Since(start) != 0 {
			t.Errorf("waiter %d: %v after %v, want ErrBusy at once", maxWaiting+1, err, time.Since(start))
		}
		first.leave()
		synctest.Wait()
		if served.Load() != maxWaiting {
			t.Errorf("%d of %d waiters were served", served.Load(), maxWaiting)
		}
	})
}

func TestTurnsOfOtherLoginsDoNotWait(t *testing.T) {
	t.Parallel()
	turns := newTurns()
	for _, name := range []string{"bob", "jane", "mary"} {
		if _, err := turns.enter(t.Context(), storage.LoginKey{ProfileID: "default", UsernameKey: name}); err != nil {
			t.Fatal(err)
		}
	}
}
