package grants

import (
	"context"
	"sync"
	"time"

	"latchkey/storage"
)

// The bounds of waiting for a turn.
const (
	maxWaiting = 1000
	maxWait    = 5 * time.Second
)

// turns lets no more attempts of one login run at a time than the login has
// guesses left. A right code is cheaper to check than a wrong guess that goes
// on to a password hash, so without it the right one among hundreds of
// parallel guesses would settle first; with it, guessing in parallel is worth
// no more than the remaining budget on each replica.
type turns struct {
	mu     sync.Mutex
	queues map[storage.LoginKey]*queue
}

// queue is the state of one login with attempts in flight.
type queue struct {
	inFlight int
	budget   int
	waiting  []chan struct{} // closed when it is the waiter's turn
}

func newTurns() *turns { return &turns{queues: map[storage.LoginKey]*queue{}} }

// enter waits until one more attempt may run and returns its turn, or ErrBusy
// when too many wait or it took too long, or the context's error.
func (t *turns) enter(ctx context.Context, key storage.LoginKey) (*turn, error) {
	mine, err := t.join(key)
	if err != nil || mine == nil {
		return &turn{turns: t, key: key}, err
	}
	timeout := time.NewTimer(maxWait)
	defer timeout.Stop()
	select {
	case <-mine:
		return &turn{turns: t, key: key}, nil
	case <-timeout.C:
		err = ErrBusy
	case <-ctx.Done():
		err = ctx.Err()
	}
	t.abandon(key, mine)
	return nil, err
}

// join takes a place: at once (nil channel) or at the end of the queue.
func (t *turns) join(key storage.LoginKey) (chan struct{}, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	q := t.queues[key]
	if q == nil {
		q = &queue{budget: 1}
		t.queues[key] = q
	}
	if q.inFlight < q.budget && len(q.waiting) == 0 {
		q.inFlight++
		return nil, nil
	}
	if len(q.waiting) >= maxWaiting {
		return nil, ErrBusy
	}
	mine := make(chan struct{})
	q.waiting = append(q.waiting, mine)
	return mine, nil
}

// abandon gives up a waiter's place, or passes on a turn that came too late.
func (t *turns) abandon(key storage.LoginKey, mine chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	q := t.queues[key]
	for i, w := range q.waiting {
		if w == mine {
			q.waiting = append(q.waiting[:i], q.waiting[i+1:]...)
			return
		}
	}
	t.release(key, q)
}

// release ends one attempt in flight. The caller holds the lock.
func (t *turns) release(key storage.LoginKey, q *queue) {
	q.inFlight--
	q.admit()
	if q.inFlight == 0 {
		delete(t.queues, key)
	}
}

// admit lets waiters run while the budget allows; at least one always may.
func (q *queue) admit() {
	for len(q.waiting) > 0 && q.inFlight < q.budget {
		close(q.waiting[0])
		q.waiting = q.waiting[1:]
		q.inFlight++
	}
}

// turn is one attempt in flight.
type turn struct {
	turns *turns
	key   storage.LoginKey
}

// within tells the budget that the login was seen to have and answers whether
// the attempts in flight respect it. If not, this attempt was let in on an
// older, larger budget and must leave and enter again.
func (t *turn) within(budget int) bool {
	t.turns.mu.Lock()
	defer t.turns.mu.Unlock()
	q := t.turns.queues[t.key]
	q.budget = max(budget, 1)
	q.admit()
	return q.inFlight <= q.budget
}

// leave ends the attempt.
func (t *turn) leave() {
	t.turns.mu.Lock()
	defer t.turns.mu.Unlock()
	t.turns.release(t.key, t.turns.queues[t.key])
}
