package limit

import (
	"hash/maphash"
	"sync"
	"time"
)

const shardSize = 256 // entries of a shard

// Memory counts the events of keys in this process, such as failures of an address.
// It has a budget for each key, and remembers a limited number of keys. If there are
// more, it forgets keys whose budget is full again, or the key whose budget is full
// first. So the most active keys stay.
type Memory[K comparable] struct {
	limit  Limit
	now    func() time.Time
	seed   maphash.Seed
	shards []shard[K]
}

// shard holds the state of the budgets of some keys.
type shard[K comparable] struct {
	mu   sync.Mutex
	full map[K]time.Time
}

// NewMemory returns a Memory for the limit, which must not be None. It remembers the
// number of keys, rounded up to a multiple of 256.
func NewMemory[K comparable](l Limit, keys int, now func() time.Time) *Memory[K] {
	m := &Memory[K]{limit: l, now: now, seed: maphash.MakeSeed(), shards: make([]shard[K], (keys+shardSize-1)/shardSize)}
	for i := range m.shards {
		m.shards[i].full = map[K]time.Time{}
	}
	return m
}

func (m *Memory[K]) shard(key K) *shard[K] {
	return &m.shards[maphash.Comparable(m.seed, key)%uint64(len(m.shards))]
}

// Until returns the time at which the budget of the key has room again. It returns
// the zero time if the budget has room now.
func (m *Memory[K]) Until(key K) time.Time {
	s := m.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	return m.until(s, key, m.now())
}

// Count counts an event. Parallel events may exceed the budget; then the key waits
// longer.
func (m *Memory[K]) Count(key K) {
	s := m.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := m.now()
	s.put(key, m.limit.count(s.full[key], now), now)
}

// Try runs an event if the budget of the key has room, and counts it if event
// returns true. Otherwise it returns the time at which the budget has room. Calls
// for one key run one after the other, so that parallel events cannot exceed the
// budget.
func (m *Memory[K]) Try(key K, event func() bool) (until time.Time, counted bool) {
	s := m.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := m.now()
	if until = m.until(s, key, now); !until.IsZero() {
		return until, false
	}
	if counted = event(); counted {
		s.put(key, m.limit.count(s.full[key], now), now)
	}
	return time.Time{}, counted
}

// Block takes all room from the budget of the key until the time.
func (m *Memory[K]) Block(key K, until time.Time) {
	s := m.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if full := m.limit.fullAfter(until); full.After(s.full[key]) {
		s.put(key, full, m.now())
	}
}

// Len returns the number of keys that are remembered.
func (m *Memory[K]) Len() int {
	n := 0
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		n += len(s.full)
		s.mu.Unlock()
	}
	return n
}

// until is Until. The caller holds the lock of the shard.
func (m *Memory[K]) until(s *shard[K], key K, now time.Time) time.Time {
	full, ok := s.full[key]
	if room := m.limit.room(full); ok && room.After(now) {
		return room
	}
	return time.Time{}
}

// put stores a state. The caller holds the lock.
func (s *shard[K]) put(key K, full, now time.Time) {
	if _, ok := s.full[key]; !ok && len(s.full) >= shardSize {
		s.forget(now)
	}
	s.full[key] = full
}

// forget deletes the keys whose budgets are full, or the key whose budget is full
// first.
func (s *shard[K]) forget(now time.Time) {
	var first K
	var earliest time.Time
	for key, full := range s.full {
		if full.Before(now) {
			delete(s.full, key)
		} else if earliest.IsZero() || full.Before(earliest) {
			first, earliest = key, full
		}
	}
	if len(s.full) >= shardSize {
		delete(s.full, first)
	}
}
