package signin

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

// turns lets no more attempts run at a time than there are guesses left. A right
// code is cheaper to check than a wrong guess that goes on to a password hash, so
// without it the right one among hundreds of parallel guesses would settle first;
// with it, guessing in parallel is worth no more than the remaining budget on
// each replica.
//
// Each login has a lane, and each known source of it another one: what is left
// there is counted separately, and nobody who fills the one keeps the others
// waiting.
type turns struct {
	mu    sync.Mutex
	lanes map[storage.LoginKey]*lane
}

// lane is the state of a login, or of a known source of it, with attempts in
// flight. Its key is the login's without or with the source.
type lane struct {
	visitors int // attempts that look at it; those in flight and those that wait are among them
	inFlight int
	budget   int
	ended    int             // attempts within the budget that have ended
	waiting  []chan struct{} // closed when it is the waiter's turn
}

func newTurns() *turns { return &turns{lanes: map[storage.LoginKey]*lane{}} }

// turn is one attempt on its way: without a place, or in flight in one of the
// two lanes that may be its own.
type turn struct {
	turns         *turns
	login, source sight // source.lane is nil when the attempt comes from nowhere in particular
	place         *sight
	counts        bool
	seen          time.Time // when the login was read, once it is the attempt's turn
}

// sight is what an attempt sees of a lane.
type sight struct {
	key         storage.LoginKey
	lane        *lane
	endedBefore int // the lane's ended at the last look
}

// visit begins an attempt. It is in flight in the login's lane if there is room.
func (t *turns) visit(key storage.LoginKey) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	login := key
	login.Source = ""
	v := &turn{turns: t, login: t.see(login)}
	if key.Source != "" {
		v.source = t.see(key)
	}
	if v.login.lane.room() {
		v.take(&v.login)
	}
	return v
}

// see makes the lane stay until it is left. The caller holds the lock.
func (t *turns) see(key storage.LoginKey) sight {
	l := t.lanes[key]
	if l == nil {
		l = &lane{budget: 1}
		t.lanes[key] = l
	}
	l.visitors++
	return sight{key: key, lane: l, endedBefore: l.ended}
}

// room tells whether one more attempt may run now.
func (l *lane) room() bool { return l.inFlight < l.budget && len(l.waiting) == 0 }

// admit lets waiters run while the budget allows; at least one always may.
func (l *lane) admit() {
	for len(l.waiting) > 0 && l.inFlight < l.budget {
		close(l.waiting[0])
		l.waiting = l.waiting[1:]
		l.inFlight++
	}
}

// standing is what the login, once it was read, says about an attempt.
type standing struct {
	known  bool // its source is
	budget int  // how many may run where it belongs
	locked bool // nothing can win there, so only the places count
}

// await waits for the attempt's turn, and reads the login once it has one.
// Whether the source is known, and so which turn is meant, is seen by the read
// alone. So an attempt that would have to wait for the login's turn reads first:
// what strangers do there concerns nobody at a known source.
func (v *turn) await(ctx context.Context, read func() (standing, error)) error {
	if v.place == nil && v.source.lane == nil { // there is but one lane for it
		if err := v.wait(ctx, false); err != nil {
			return err
		}
	}
	for {
		v.look()
		s, err := read()
		if err != nil || v.settle(s) {
			return err
		}
		if err := v.wait(ctx, s.known); err != nil {
			return err
		}
	}
}

// look says that the login is read from now on.
func (v *turn) look() {
	v.turns.mu.Lock()
	defer v.turns.mu.Unlock()
	for _, s := range []*sight{&v.login, &v.source} {
		if s.lane != nil {
			s.endedBefore = s.lane.ended
		}
	}
}

// settle puts the attempt where it belongs and answers whether it may go on.
// Those that ended since the look count as in flight, because the budget may have
// been read before they were counted.
func (v *turn) settle(s standing) bool {
	v.turns.mu.Lock()
	defer v.turns.mu.Unlock()
	own := v.own(s.known)
	own.lane.budget = max(s.budget, 1)
	own.lane.admit()
	if v.place != own {
		if !own.lane.room() {
			return false
		}
		v.yield()
		v.take(own)
	}
	v.counts = own.lane.inFlight+own.lane.ended-own.endedBefore <= own.lane.budget
	return v.counts || s.locked
}

// own is the lane that the attempt belongs to.
func (v *turn) own(known bool) *sight {
	if known && v.source.lane != nil {
		return &v.source
	}
	return &v.login
}

// take gives the attempt a place. The caller holds the lock and knows that there
// is room.
func (v *turn) take(s *sight) {
	s.lane.inFlight++
	v.place = s
}

// yield gives up the attempt's place. The caller holds the lock.
func (v *turn) yield() {
	if v.place == nil {
		return
	}
	v.place.lane.inFlight--
	v.place.lane.admit()
	v.place = nil
}

// wait gives up the attempt's place, if it has one, and waits for one in the
// lane that it belongs to. It returns ErrBusy when too many wait or it took too
// long, or the context's error.
func (v *turn) wait(ctx context.Context, known bool) error {
	own, mine := v.queue(known)
	if own == nil {
		return ErrBusy
	}
	timeout := time.NewTimer(patience(ctx))
	defer timeout.Stop()
	var err error
	select {
	case <-mine:
		v.turns.mu.Lock()
		defer v.turns.mu.Unlock()
		v.place = own
		return nil
	case <-timeout.C:
		err = ErrBusy
	case <-ctx.Done():
		err = ctx.Err()
	}
	v.abandon(own, mine)
	return err
}

// queue takes the last place in the queue, or in flight if there is room by now;
// none, if too many wait.
func (v *turn) queue(known bool) (*sight, chan struct{}) {
	v.turns.mu.Lock()
	defer v.turns.mu.Unlock()
	own := v.own(known)
	v.yield()
	if len(own.lane.waiting) >= maxWaiting {
		return nil, nil
	}
	mine := make(chan struct{})
	own.lane.waiting = append(own.lane.waiting, mine)
	own.lane.admit()
	return own, mine
}

// abandon gives up a waiter's place, or passes on a turn that came too late.
func (v *turn) abandon(own *sight, mine chan struct{}) {
	v.turns.mu.Lock()
	defer v.turns.mu.Unlock()
	for i, w := range own.lane.waiting {
		if w == mine {
			own.lane.waiting = append(own.lane.waiting[:i], own.lane.waiting[i+1:]...)
			return
		}
	}
	v.place = own
	v.yield()
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

// leave ends the attempt.
func (v *turn) leave() {
	v.turns.mu.Lock()
	defer v.turns.mu.Unlock()
	if v.place != nil && v.counts {
		v.place.lane.ended++
	}
	v.yield()
	for _, s := range []*sight{&v.login, &v.source} {
		if s.lane == nil {
			continue
		}
		if s.lane.visitors--; s.lane.visitors == 0 {
			delete(v.turns.lanes, s.key)
		}
	}
}
