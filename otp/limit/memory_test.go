package limit_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"latchkey/otp/limit"
)

var start = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// memory is a Memory with a clock that the test sets.
type memory struct {
	*limit.Memory[int]
	clock time.Time
}

func newMemory(l limit.Limit, keys int) *memory {
	m := &memory{clock: start}
	m.Memory = limit.NewMemory[int](l, keys, func() time.Time { return m.clock })
	return m
}

// mustWait checks how long a key must wait before its next event.
func (m *memory) mustWait(t *testing.T, key int, want time.Duration) {
	t.Helper()
	var got time.Duration
	if until := m.Until(key); !until.IsZero() {
		got = until.Sub(m.clock)
	}
	if got != want {
		t.Errorf("at %v: key %d: got a wait of %v, want %v", m.clock.Sub(start), key, got, want)
	}
}

// TestMemoryCounts tests the algorithm: the burst at once, one more event after each gap, and
// never more than the burst.
func TestMemoryCounts(t *testing.T) {
	t.Parallel()
	m := newMemory(limit.Limit{Burst: 3, Per: 30 * time.Second}, 1)
	for range 3 {
		m.mustWait(t, 1, 0)
		m.Count(1)
	}
	m.mustWait(t, 1, 10*time.Second)
	m.mustWait(t, 2, 0)
	m.Count(1) // a parallel event beyond the budget
	m.mustWait(t, 1, 20*time.Second)
	m.clock = m.clock.Add(20 * time.Second)
	m.mustWait(t, 1, 0)
	m.Count(1)
	m.mustWait(t, 1, 10*time.Second)
	m.clock = m.clock.Add(time.Hour)
	for range 3 {
		m.Count(1)
	}
	m.mustWait(t, 1, 10*time.Second)
}

func TestMemoryTry(t *testing.T) {
	t.Parallel()
	m := newMemory(limit.Limit{Burst: 2, Per: time.Minute}, 1)
	ran := 0
	event := func(counts bool) func() bool { return func() bool { ran++; return counts } }
	for range 10 {
		if until, counted := m.Try(1, event(false)); counted || !until.IsZero() {
			t.Fatalf("got counted %v, until %v; want false and zero", counted, until)
		}
	}
	for range 2 {
		if until, counted := m.Try(1, event(true)); !counted || !until.IsZero() {
			t.Fatalf("got counted %v, until %v; want true and zero", counted, until)
		}
	}
	if until, counted := m.Try(1, event(false)); counted || !until.Equal(start.Add(30*time.Second)) || ran != 12 {
		t.Errorf("got counted %v, until %v, %d events; want false and 12 events", counted, until, ran)
	}
}

// TestMemoryTryCountsParallelEvents tests that parallel events cannot exceed the budget.
func TestMemoryTryCountsParallelEvents(t *testing.T) {
	t.Parallel()
	m := newMemory(limit.Limit{Burst: 5, Per: time.Hour}, 1)
	var ran atomic.Int64
	var group sync.WaitGroup
	for range 200 {
		group.Go(func() { m.Try(1, func() bool { ran.Add(1); return true }) })
	}
	group.Wait()
	if n := ran.Load(); n != 5 {
		t.Errorf("got %d of 200 parallel events, want 5", n)
	}
}

func TestMemoryBlock(t *testing.T) {
	t.Parallel()
	m := newMemory(limit.Limit{Burst: 3, Per: 30 * time.Second}, 1)
	m.Block(1, start.Add(time.Minute))
	m.mustWait(t, 1, time.Minute)
	m.Block(1, start.Add(time.Second)) // does not shorten the block
	m.mustWait(t, 1, time.Minute)
	m.clock = start.Add(time.Minute)
	m.mustWait(t, 1, 0)
	m.Count(1)
	m.mustWait(t, 1, 10*time.Second)
}

// TestMemoryForgets tests that many keys take bounded memory and do not remove the most active
// key.
func TestMemoryForgets(t *testing.T) {
	t.Parallel()
	const keys = 512
	m := newMemory(limit.Limit{Burst: 3, Per: 30 * time.Second}, keys)
	for range 3 {
		m.Count(0)
	}
	for key := range 20 * keys {
		m.Count(1 + key)
	}
	if n := m.Len(); n > keys {
		t.Errorf("got %d keys, want at most %d", n, keys)
	}
	m.mustWait(t, 0, 10*time.Second)
	m.clock = m.clock.Add(time.Hour) // all budgets are full again
	for key := range 20 * keys {
		m.Count(1 + key)
	}
	m.mustWait(t, 0, 0)
}
