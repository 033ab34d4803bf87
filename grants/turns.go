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
	ended    int             // attempts within the budget that have ended
	waiting  []chan struct{} // closed when it is the waiter's turn
}

func newTurns() *turns { return &turns{queues: map[storage.LoginKey]*queue{}} }

// enter waits until one more attempt may run and returns its turn, or ErrBusy
// when too many wait or it took too long, or the context's error.
func (t *turns) enter(ctx context.Context, key storage.LoginKey) (*turn, error) {
	mine, err := t.join(key)
	if err != nil {
		return nil, err
	}
	if mine == nil {
		return t.begin(key), nil
	}
	timeout := time.NewTimer(patience(ctx))
	defer timeout.Stop()
	select {
	case <-mine:
		return t.begin(key), nil
	case <-timeout.C:
		err = ErrBusy
	case <-ctx.Done():
		err = ctx.Err()
	}
	t.abandon(key, mine)
	return nil, err
}

// patience is how long to wait for a turn: half of the time that the request
// has left, so that the other half is there for the work, and maxWait for a
// request without an end.
func patience(ctx context.Context) time.Duration {
	if end, ok := ctx.Deadline(); ok {
		return time.Until(end) / 2
	}
	return maxWait
}

// begin returns the turn of an attempt that is in flight now.
func (t *turns) begin(key storage.LoginKey) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	return &turn{turns: t, key: key, endedBefore: t.queues[key].ended}
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
	turns       *turns
	key         storage.LoginKey
	endedBefore int // the queue's ended when the turn began
	counts      bool
}

// within tells the budget that the login was seen to have since the turn began
// and answers whether the attempts in flight respect it. Those that ended since
// then count as well, because the budget may have been read before they were
// counted. If the answer is no, this attempt must leave and enter again.
func (t *turn) within(budget int) bool {
	t.turns.mu.Lock()
	defer t.turns.mu.Unlock()
	q := t.turns.queues[t.key]
	q.budget = max(budget, 1)
	t.counts = q.inFlight+q.ended-t.endedBefore <= q.budget
	q.admit()
	return t.counts
}

// leave ends the attempt.
func (t *turn) leave() {
	t.turns.mu.Lock()
	defer t.turns.mu.Unlock()
	q := t.turns.queues[t.key]
	if t.counts {
		q.ended++
	}
	t.turns.release(t.key, q)
}
