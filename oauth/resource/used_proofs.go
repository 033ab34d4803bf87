package resource

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Replays remembers which proofs were used.
type Replays interface {
	// Spend remembers the id until that time and answers true, or answers false
	// if it was spent before. An error means that neither is known.
	Spend(ctx context.Context, id []byte, until time.Time) (bool, error)
}

// maxSpent is how many proofs a process remembers: some 30 MB.
const maxSpent = 200_000

var errCrowded = errors.New("too many to remember")

// memory remembers used proofs in the process. When it is full it refuses:
// to forget one early would let it be used again.
type memory struct {
	now  func() time.Time
	most int

	mu    sync.Mutex
	spent map[string]time.Time // id -> when it may be forgotten
	sweep time.Time            // not before that
}

func newMemory(now func() time.Time) *memory {
	return &memory{now: now, most: maxSpent, spent: map[string]time.Time{}}
}

// Spend implements Replays.
func (m *memory) Spend(_ context.Context, id []byte, until time.Time) (bool, error) {
	now := m.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	if end, ok := m.spent[string(id)]; ok && now.Before(end) {
		return false, nil
	}
	m.forget(now)
	if len(m.spent) >= m.most {
		return false, errCrowded
	}
	m.spent[string(id)] = until
	return true, nil
}

// forget drops what has ended, about once a minute, and each second when half of
// the room is taken.
func (m *memory) forget(now time.Time) {
	if now.Before(m.sweep) {
		return
	}
	pause := time.Minute
	for id, end := range m.spent {
		if !now.Before(end) {
			delete(m.spent, id)
		}
	}
	if len(m.spent) >= m.most/2 {
		pause = time.Second
	}
	m.sweep = now.Add(pause)
}
