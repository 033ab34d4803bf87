package signin

import (
	"context"
	"sync"
	"time"

	"latchkey/storage"
)

// The limits of waiting in a queue.
const (
	maxWaiting = 1000            // attempts in one queue
	maxWait    = 5 * time.Second // of a request without a deadline
)

// attemptQueues lets no more attempts of a login run at a time than there are
// guesses left before a lock. A right code is cheaper to check than a wrong guess
// that goes on to a password hash. Without a limit, the right one among hundreds of
// parallel guesses would settle first. With it, guessing in parallel is worth no
// more than the remaining budget on each replica.
//
// Each login has one queue, and each known source of the login has another. Their
// budgets are counted separately. So an attacker who fills one queue delays nobody
// in the others.
type attemptQueues struct {
	mu     sync.Mutex
	queues map[storage.LoginKey]*queue
}

// queue is the state of one login, or of one known source of it. It exists while an
// attempt refers to it. Its key is the login's, without or with the source.
type queue struct {
	users   int             // tickets that refer to the queue
	running int             // attempts that hold a slot
	budget  int             // slots: the guesses left at the latest read of the login
	ended   int             // attempts that held a slot within the budget and have ended
	waiting []chan struct{} // one for each waiting attempt, the first in front; closed when it gets a slot
}

func newAttemptQueues() *attemptQueues {
	return &attemptQueues{queues: map[storage.LoginKey]*queue{}}
}

// ticket is one attempt in the queues. It holds a slot in one of its two queues, or
// none.
type ticket struct {
	queues       *attemptQueues
	login        position
	source       position  // its queue is nil if the address of the attempt is unknown
	slot         *position // &login or &source; nil: the attempt holds no slot
	withinBudget bool      // the slot counts towards the budget
	readAt       time.Time // when the login was read for the decision
}

// position is a ticket's place in one queue.
type position struct {
	key         storage.LoginKey
	queue       *queue
	endedBefore int // queue.ended when the login was last read
}

// newTicket begins an attempt. The attempt takes a slot in the login's queue if one
// is free. The caller must call leave.
func (q *attemptQueues) newTicket(key storage.LoginKey) *ticket {
	q.mu.Lock()
	defer q.mu.Unlock()
	login := key
	login.Source = ""
	t := &ticket{queues: q, login: q.refer(login)}
	if key.Source != "" {
		t.source = q.refer(key)
	}
	if t.login.queue.hasRoom() {
		t.take(&t.login)
	}
	return t
}

// refer returns a position in the queue of the key, and makes the queue if there is
// none. The caller holds the lock.
func (q *attemptQueues) refer(key storage.LoginKey) position {
	own := q.queues[key]
	if own == nil {
		own = &queue{budget: 1}
		q.queues[key] = own
	}
	own.users++
	return position{key: key, queue: own, endedBefore: own.ended}
}

// hasRoom reports whether one more attempt can run without waiting.
func (q *queue) hasRoom() bool { return q.running < q.budget && len(q.waiting) == 0 }

// admit gives the free slots to waiting attempts, in order. The budget is at least
// one, so a queue always moves.
func (q *queue) admit() {
	for len(q.waiting) > 0 && q.running < q.budget {
		close(q.waiting[0])
		q.waiting = q.waiting[1:]
		q.running++
	}
}

// loginState is the part of a login's state that decides about queueing.
type loginState struct {
	sourceKnown bool // the attempt comes from a known source of the login
	budget      int  // guesses left: for the source if it is known, otherwise for the login
	locked      bool // no secret is accepted, so attempts that have just ended do not matter
}

// await waits until the attempt may run, and calls read to read the login. Only
// reading the login shows whether the address is known. So an attempt that would
// have to wait in the login's queue reads first: it may belong to a known source,
// which has a queue of its own.
//
// It returns the error of read, ErrBusy if the queue is full or the wait takes too
// long, or the error of ctx.
func (t *ticket) await(ctx context.Context, read func() (loginState, error)) error {
	if t.slot == nil && t.source.queue == nil { // the login's queue is the only one
		if err := t.wait(ctx, false); err != nil {
			return err
		}
	}
	for {
		t.beforeRead()
		s, err := read()
		if err != nil || t.place(s) {
			return err
		}
		if err := t.wait(ctx, s.sourceKnown); err != nil {
			return err
		}
	}
}

// beforeRead notes how many attempts had ended before the login is read.
func (t *ticket) beforeRead() {
	t.queues.mu.Lock()
	defer t.queues.mu.Unlock()
	for _, p := range []*position{&t.login, &t.source} {
		if p.queue != nil {
			p.endedBefore = p.queue.ended
		}
	}
}

// place moves the attempt to the queue that the state s assigns it to, and reports
// whether the attempt may run. Attempts that ended since beforeRead count as
// running, because the budget in s may have been read before they were counted.
func (t *ticket) place(s loginState) bool {
	t.queues.mu.Lock()
	defer t.queues.mu.Unlock()
	own := t.positionFor(s.sourceKnown)
	own.queue.budget = max(s.budget, 1)
	own.queue.admit()
	if t.slot != own {
		if !own.queue.hasRoom() {
			return false
		}
		t.release()
		t.take(own)
	}
	t.withinBudget = own.queue.running+own.queue.ended-own.endedBefore <= own.queue.budget
	return t.withinBudget || s.locked
}

// positionFor returns the position that the attempt belongs to.
func (t *ticket) positionFor(sourceKnown bool) *position {
	if sourceKnown && t.source.queue != nil {
		return &t.source
	}
	return &t.login
}

// take gives the attempt a free slot. The caller holds the lock.
func (t *ticket) take(p *position) {
	p.queue.running++
	t.slot = p
}

// release gives up the attempt's slot, if it has one. The caller holds the lock.
func (t *ticket) release() {
	if t.slot == nil {
		return
	}
	t.slot.queue.running--
	t.slot.queue.admit()
	t.slot = nil
}

// wait gives up the attempt's slot, if it has one, and waits for a slot in the queue
// that the attempt belongs to. It returns ErrBusy if the queue is full or the wait
// takes too long, or the error of ctx.
func (t *ticket) wait(ctx context.Context, sourceKnown bool) error {
	own, admitted := t.join(sourceKnown)
	if own == nil {
		return ErrBusy
	}
	timeout := time.NewTimer(waitLimit(ctx))
	defer timeout.Stop()
	var err error
	select {
	case <-admitted:
		t.queues.mu.Lock()
		defer t.queues.mu.Unlock()
		t.slot = own
		return nil
	case <-timeout.C:
		err = ErrBusy
	case <-ctx.Done():
		err = ctx.Err()
	}
	t.giveUp(own, admitted)
	return err
}

// join puts the attempt at the end of its queue and returns the channel that is
// closed when it gets a slot, which may be at once. It returns nil if the queue is
// full.
func (t *ticket) join(sourceKnown bool) (*position, chan struct{}) {
	t.queues.mu.Lock()
	defer t.queues.mu.Unlock()
	own := t.positionFor(sourceKnown)
	t.release()
	if len(own.queue.waiting) >= maxWaiting {
		return nil, nil
	}
	admitted := make(chan struct{})
	own.queue.waiting = append(own.queue.waiting, admitted)
	own.queue.admit()
	return own, admitted
}

// giveUp takes the attempt out of the queue. If it got a slot in the meantime, the
// slot goes to the next one.
func (t *ticket) giveUp(own *position, admitted chan struct{}) {
	t.queues.mu.Lock()
	defer t.queues.mu.Unlock()
	for i, w := range own.queue.waiting {
		if w == admitted {
			own.queue.waiting = append(own.queue.waiting[:i], own.queue.waiting[i+1:]...)
			return
		}
	}
	t.slot = own
	t.release()
}

// waitLimit returns how long a request may wait in a queue: half of the time until
// its deadline, so that the other half is left for the work, or maxWait if it has no
// deadline.
func waitLimit(ctx context.Context) time.Duration {
	if end, ok := ctx.Deadline(); ok {
		return time.Until(end) / 2
	}
	return maxWait
}

// leave ends the attempt.
func (t *ticket) leave() {
	t.queues.mu.Lock()
	defer t.queues.mu.Unlock()
	if t.slot != nil && t.withinBudget {
		t.slot.queue.ended++
	}
	t.release()
	for _, p := range []*position{&t.login, &t.source} {
		if p.queue == nil {
			continue
		}
		if p.queue.users--; p.queue.users == 0 {
			delete(t.queues.queues, p.key)
		}
	}
}
