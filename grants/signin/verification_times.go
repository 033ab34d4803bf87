package signin

import (
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"
)

// The memory of a standIns. It is short, so that stand-ins neither look idle
// while a machine is busy nor busy once that is over; on a quiet machine the
// next one pays for a computation.
const (
	sampleCount = 32
	sampleLife  = 10 * time.Second
)

// sample is how one verification of the house's own cost went.
type sample struct {
	end  time.Time     // zero: there is none
	took time.Duration // from the call to its end, waiting for a turn included
	work time.Duration // computing alone
	busy bool          // it ended with ErrBusy
}

// verificationTimes remembers how the latest verifications went, for those that only
// take as long as one.
type verificationTimes struct {
	calibrating chan struct{} // holds a value while somebody computes for want of samples

	mu    sync.Mutex
	ring  [sampleCount]sample
	next  int
	lanes []time.Time // until when each turn is taken that stand-ins pretend to take
}

func newVerificationTimes(turns int64) *verificationTimes {
	return &verificationTimes{calibrating: make(chan struct{}, 1), lanes: make([]time.Time, turns)}
}

// watch times a verification.
type watch struct {
	into        *verificationTimes // nil: a hash of another cost, which is not remembered
	begin, turn time.Time
}

func (s *verificationTimes) watch(of passwordHash) *watch {
	w := &watch{begin: time.Now()}
	if a, ok := of.(argon2Hash); ok && a.memory == currentMemory && a.passes == currentPasses && a.lanes == currentLanes {
		w.into = s
	}
	return w
}

// atTurn notes that the waiting is over.
func (w *watch) atTurn() { w.turn = time.Now() }

// end remembers the verification, which ended with err. One that was given up
// tells nothing.
func (w *watch) end(err error) {
	busy := errors.Is(err, ErrBusy)
	if w.into == nil || err != nil && !busy {
		return
	}
	now := time.Now()
	seen := sample{end: now, took: now.Sub(w.begin), busy: busy}
	if !busy {
		seen.work = now.Sub(w.turn)
	}
	w.into.mu.Lock()
	defer w.into.mu.Unlock()
	w.into.ring[w.into.next] = seen
	w.into.next = (w.into.next + 1) % sampleCount
}

// draw returns one of the samples of late, ok: if there are any.
func (s *verificationTimes) draw() (_ sample, ok bool, _ error) {
	var chance [1]byte
	if _, err := rand.Read(chance[:]); err != nil {
		return sample{}, false, fmt.Errorf("choose a verification to imitate: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	late := make([]sample, 0, sampleCount)
	for _, seen := range s.ring {
		if !seen.end.IsZero() && time.Since(seen.end) < sampleLife {
			late = append(late, seen)
		}
	}
	if len(late) == 0 {
		return sample{}, false, nil
	}
	return late[int(chance[0])%len(late)], true, nil
}

// book returns when a stand-in that began at begin ends, and whether it does so
// for want of a turn: it takes the first of the pretended turns that is free.
func (s *verificationTimes) book(begin time.Time, model sample, patient time.Duration) (end time.Time, busy bool) {
	end = begin.Add(model.took)
	if model.busy {
		return end, true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	lane := &s.lanes[0]
	for i := range s.lanes {
		if s.lanes[i].Before(*lane) {
			lane = &s.lanes[i]
		}
	}
	turn := begin
	if lane.After(turn) {
		turn = *lane
	}
	if turn.Sub(begin) > patient {
		return begin.Add(patient), true
	}
	*lane = turn.Add(model.work)
	if lane.After(end) {
		end = *lane
	}
	return end, false
}
