package signin

import (
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"
)

// How many verifications are remembered, and for how long. The life is short, so
// that decoys are as slow as verifications while the machine is busy, and as fast
// again when it is not. On a quiet machine a decoy often has to compute a hash.
const (
	sampleCount = 32
	sampleLife  = 10 * time.Second
)

// sample is the timing of one verification of a hash with the current parameters.
type sample struct {
	end  time.Time     // zero: an unused entry
	took time.Duration // from the call to its end, with the wait for a slot
	work time.Duration // of computing alone
	busy bool          // it ended with ErrBusy
}

// verificationTimes remembers the timing of the latest verifications, for decoys to
// imitate.
type verificationTimes struct {
	calibrating chan struct{} // holds a value while a decoy computes a hash for lack of samples

	mu    sync.Mutex
	ring  [sampleCount]sample
	next  int         // index in ring
	slots []time.Time // when each of the slots that decoys pretend to take is free
}

func newVerificationTimes(slots int64) *verificationTimes {
	return &verificationTimes{calibrating: make(chan struct{}, 1), slots: make([]time.Time, slots)}
}

// stopwatch measures one verification.
type stopwatch struct {
	into       *verificationTimes // nil: the hash has other parameters and is not remembered
	begin, got time.Time          // of the call; when it got a slot
}

// start begins to measure the verification of a hash.
func (s *verificationTimes) start(of passwordHash) *stopwatch {
	w := &stopwatch{begin: time.Now()}
	if a, ok := of.(argon2Hash); ok && a.memory == currentMemory && a.passes == currentPasses && a.lanes == currentLanes {
		w.into = s
	}
	return w
}

// gotSlot notes that the wait for a slot is over.
func (w *stopwatch) gotSlot() { w.got = time.Now() }

// end remembers the verification, which ended with err. A cancelled one is not
// remembered, because it says nothing about the work.
func (w *stopwatch) end(err error) {
	busy := errors.Is(err, ErrBusy)
	if w.into == nil || err != nil && !busy {
		return
	}
	now := time.Now()
	seen := sample{end: now, took: now.Sub(w.begin), busy: busy}
	if !busy {
		seen.work = now.Sub(w.got)
	}
	w.into.mu.Lock()
	defer w.into.mu.Unlock()
	w.into.ring[w.into.next] = seen
	w.into.next = (w.into.next + 1) % sampleCount
}

// draw returns a random one of the samples that are younger than sampleLife, or
// false if there are none.
func (s *verificationTimes) draw() (_ sample, ok bool, _ error) {
	var chance [1]byte
	if _, err := rand.Read(chance[:]); err != nil {
		return sample{}, false, fmt.Errorf("choose a verification to imitate: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	recent := make([]sample, 0, sampleCount)
	for _, seen := range s.ring {
		if !seen.end.IsZero() && time.Since(seen.end) < sampleLife {
			recent = append(recent, seen)
		}
	}
	if len(recent) == 0 {
		return sample{}, false, nil
	}
	return recent[int(chance[0])%len(recent)], true, nil
}

// reserve takes the pretended slot that is free first, for a decoy that began at
// begin and imitates model. It returns when the decoy ends, and whether it ends with
// ErrBusy: because model did, or because no slot is free within limit.
func (s *verificationTimes) reserve(begin time.Time, model sample, limit time.Duration) (end time.Time, busy bool) {
	end = begin.Add(model.took)
	if model.busy {
		return end, true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	slot := &s.slots[0]
	for i := range s.slots {
		if s.slots[i].Before(*slot) {
			slot = &s.slots[i]
		}
	}
	got := begin
	if slot.After(got) {
		got = *slot
	}
	if got.Sub(begin) > limit {
		return begin.Add(limit), true
	}
	*slot = got.Add(model.work)
	if slot.After(end) {
		end = *slot
	}
	return end, false
}
