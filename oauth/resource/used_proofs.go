package resource

import (
	"context"
	"errors"
	"sync"
	"time"
)

// UsedProofs records the proofs that were used.
type UsedProofs interface {
	// Spend records the id until the time until and returns true. It returns false
	// if the id is recorded already. After an error the proof is not accepted.
	Spend(ctx context.Context, id []byte, until time.Time) (bool, error)
}

// maxSpent is how many proofs a process records. They take about 30 MB.
const maxSpent = 200_000

var errMemoryFull = errors.New("too many used proofs")

// proofMemory records used proofs in the process. When it is full it returns an error. A
// proof that is deleted early could be used again.
type proofMemory struct {
	now func() time.Time
	max int

	mu        sync.Mutex
	spent     map[string]time.Time // by id: when the proof may be deleted
	nextPurge time.Time
}

func newProofMemory(now func() time.Time) *proofMemory {
	return &proofMemory{now: now, max: maxSpent, spent: map[string]time.Time{}}
}

// Spend implements UsedProofs.
func (m *proofMemory) Spend(_ context.Context, id []byte, until time.Time) (bool, error) {
	now := m.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	if end, ok := m.spent[string(id)]; ok && now.Before(end) {
		return false, nil
	}
	m.purge(now)
	if len(m.spent) >= m.max {
		return false, errMemoryFull
	}
	m.spent[string(id)] = until
	return true, nil
}

// purge deletes the proofs that have ended. It does so once a minute, or once a second
// while the record is half full.
func (m *proofMemory) purge(now time.Time) {
	if now.Before(m.nextPurge) {
		return
	}
	interval := time.Minute
	for id, end := range m.spent {
		if !now.Before(end) {
			delete(m.spent, id)
		}
	}
	if len(m.spent) >= m.max/2 {
		interval = time.Second
	}
	m.nextPurge = now.Add(interval)
}
