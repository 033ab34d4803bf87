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

// enter begins an attempt and waits until it may run. The login has the given budget. bobAtHome
// comes from a known source, other keys do not.
func (q *attemptQueues) enter(ctx context.Context, key storage.LoginKey, budget int) (*ticket, error) {
	ticket := q.newTicket(key)
	err := ticket.await(ctx, func() (loginState, error) {
		return loginState{sourceKnown: key == bobAtHome, budget: budget}, nil
	})
	if err != nil {
		ticket.leave()
		return nil, err
	}
	return ticket, nil
}

// TestAttemptsKeepWithinBudget runs hundreds of attempts in each queue. Each attempt lowers the
// budget, as a failure does. The number of running attempts must never exceed the budget.
func TestAttemptsKeepWithinBudget(t *testing.T) {
	t.Parallel()
	queues := newAttemptQueues()
	var (
		mu      sync.Mutex
		budget  = map[bool]int{true: 10, false: 10} // by whether the source is known
		running = map[bool]int{}
		group   sync.WaitGroup
	)
	attempt := func(key storage.LoginKey) {
		known, seen := key == bobAtHome, 0
		ticket := queues.newTicket(key)
		defer ticket.leave()
		err := ticket.await(t.Context(), func() (loginState, error) {
			mu.Lock()
			defer mu.Unlock()
			seen = budget[known]
			return loginState{sourceKnown: known, budget: seen}, nil
		})
		if err != nil {
			t.Error(err)
			return
		}
		mu.Lock()
		if running[known]++; running[known] > max(seen, 1) {
			t.Errorf("got %d running attempts with a budget of %d", running[known], seen)
		}
		mu.Unlock()
		mu.Lock()
		running[known]--
		budget[known]--
		mu.Unlock()
	}
	for i := range 600 {
		group.Go(func() { attempt([]storage.LoginKey{bob, bobAtHome, bobAway}[i%3]) })
	}
	group.Wait()
	if len(queues.queues) != 0 {
		t.Errorf("got %d queues at the end, want none", len(queues.queues))
	}
}

// TestQueueCountsEndedAttempts tests that an attempt that read the login before another failure
// was counted does not run on the outdated budget. This holds for the queue of the login, and
// for that of a known source, which the attempt enters after the read.
func TestQueueCountsEndedAttempts(t *testing.T) {
	t.Parallel()
	for _, key := range []storage.LoginKey{bob, bobAway, bobAtHome} {
		queues := newAttemptQueues()
		first, err := queues.enter(t.Context(), key, 2)
		if err != nil {
			t.Fatal(err)
		}
		second := queues.newTicket(key)
		second.beforeRead() // it reads a budget of one guess
		first.leave()       // its failure uses up that guess
		if second.place(loginState{sourceKnown: key == bobAtHome, budget: 1}) {
			t.Errorf("%v: runs with a budget from before the last failure, want it to wait", key)
		}
		second.leave()
		if _, err := queues.enter(t.Context(), key, 1); err != nil {
			t.Errorf("%v: got %v although no other attempt is running, want no error", key, err)
		}
	}
}

func TestAttemptsRunInParallelWithinBudget(t *testing.T) {
	t.Parallel()
	queues := newAttemptQueues()
	var all []*ticket
	for _, key := range []storage.LoginKey{bob, bobAtHome, bobAway} {
		for range 5 {
			budget := 5
			if key == bobAway {
				budget = 10 // bob and bobAway share the queue of the login
			}
			ticket, err := queues.enter(t.Context(), key, budget)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, ticket)
		}
	}
	for _, ticket := range all {
		ticket.leave()
	}
	if len(queues.queues) != 0 {
		t.Error("got a queue at the end, want none")
	}
}

// TestWaitingAttemptsGiveUp tests that a waiting attempt ends with ErrBusy after its time, or
// with the error of its context. If it gets a slot later, it passes the slot on.
func TestWaitingAttemptsGiveUp(t *testing.T) {
	t.Parallel()
	for _, key := range []storage.LoginKey{bob, bobAtHome, bobAway} {
		synctest.Test(t, func(t *testing.T) {
			queues := newAttemptQueues()
			first, err := queues.enter(t.Context(), key, 1)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := queues.enter(t.Context(), key, 1); !errors.Is(err, ErrBusy) {
				t.Errorf("after the longest wait: got %v, want ErrBusy", err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			if _, err := queues.enter(ctx, key, 1); !errors.Is(err, context.Canceled) {
				t.Errorf("canceled: got %v, want context.Canceled", err)
			}
			first.leave()
			if len(queues.queues) != 0 {
				t.Error("got a queue at the end, want none")
			}
		})
	}
}

// fill makes n attempts wait behind one that is running. served counts the attempts that got a
// slot.
func fill(t *testing.T, queues *attemptQueues, key storage.LoginKey, n int) (first *ticket, served *atomic.Int64) {
	t.Helper()
	first, err := queues.enter(t.Context(), key, 1)
	if err != nil {
		t.Fatal(err)
	}
	served = new(atomic.Int64)
	for range n {
		go func() {
			if ticket, err := queues.enter(t.Context(), key, 1); err == nil {
				served.Add(1)
				ticket.leave()
			}
		}()
	}
	synctest.Wait()
	return first, served
}

func TestFullQueueRefuses(t *testing.T) {
	t.Parallel()
	for _, key := range []storage.LoginKey{bob, bobAtHome, bobAway} {
		synctest.Test(t, func(t *testing.T) {
			queues := newAttemptQueues()
			first, served := fill(t, queues, key, maxWaiting)
			start := time.Now()
			if _, err := queues.enter(t.Context(), key, 1); !errors.Is(err, ErrBusy) || time.Since(start) != 0 {
				t.Errorf("attempt %d: got %v after %v, want ErrBusy at once", maxWaiting+1, err, time.Since(start))
			}
			first.leave()
			synctest.Wait()
			if served.Load() != maxWaiting {
				t.Errorf("got slots for %d of %d waiting attempts, want all", served.Load(), maxWaiting)
			}
		})
	}
}

// TestKnownSourceHasItsOwnQueue tests that a full queue of the login does not delay attempts
// from a known source, and that a full queue of the source does not delay the login.
func TestKnownSourceHasItsOwnQueue(t *testing.T) {
	t.Parallel()
	for _, keys := range [][2]storage.LoginKey{{bobAway, bobAtHome}, {bob, bobAtHome}, {bobAtHome, bobAway}, {bobAtHome, bob}} {
		synctest.Test(t, func(t *testing.T) {
			queues, reads, start := newAttemptQueues(), 0, time.Now()
			first, _ := fill(t, queues, keys[0], maxWaiting)
			victim := queues.newTicket(keys[1])
			err := victim.await(t.Context(), func() (loginState, error) {
				reads++
				return loginState{sourceKnown: keys[1] == bobAtHome, budget: 1}, nil
			})
			if err != nil || reads != 1 || time.Since(start) != 0 {
				t.Errorf("%v while %v is full: got error %v after %d reads and %v; want one read at once", keys[1], keys[0], err, reads, time.Since(start))
			}
			victim.leave()
			first.leave()
			synctest.Wait()
			if len(queues.queues) != 0 {
				t.Error("got a queue at the end, want none")
			}
		})
	}
}

func TestOtherLoginsDoNotWait(t *testing.T) {
	t.Parallel()
	queues := newAttemptQueues()
	for _, name := range []string{"bob", "jane", "mary"} {
		key := storage.LoginKey{ProfileID: "default", UsernameKey: name}
		if _, err := queues.enter(t.Context(), key, 1); err != nil {
			t.Fatal(err)
		}
	}
}
