package keys_test

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"latchkey/keys"
	"latchkey/storage"
)

// memory keeps signing keys and peppers as their contracts say. The hook, when
// set, runs after each read of the peppers or keys.
type memory struct {
	mu       sync.Mutex
	keys     []storage.SigningKey
	peppers  []storage.Pepper
	fail     error // what every call answers when set
	failOn   string
	afterGet func()
}

func (m *memory) failure(call string) error {
	if m.failOn == "" || m.failOn == call {
		return m.fail
	}
	return nil
}

func (m *memory) SigningKeys(context.Context) ([]storage.SigningKey, error) {
	m.mu.Lock()
	found, err := slices.Clone(m.keys), m.failure("get")
	m.mu.Unlock()
	if m.afterGet != nil {
		m.afterGet()
	}
	return found, err
}

func (m *memory) AddSigningKey(_ context.Context, k storage.SigningKey) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.failure("add"); err != nil {
		return err
	}
	if slices.ContainsFunc(m.keys, func(other storage.SigningKey) bool { return other.KID == k.KID }) {
		return storage.ErrConflict
	}
	m.keys = append(m.keys, k)
	return nil
}

func (m *memory) UpdateSigningKey(_ context.Context, k storage.SigningKey) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.failure("update"); err != nil {
		return err
	}
	for i := range m.keys {
		if m.keys[i].KID != k.KID {
			continue
		}
		if !m.keys[i].RevokedAt.IsZero() {
			k.RevokedAt = m.keys[i].RevokedAt
		}
		m.keys[i] = k
		return nil
	}
	return storage.ErrNotFound
}

func (m *memory) Peppers(context.Context) ([]storage.Pepper, error) {
	m.mu.Lock()
	found, err := slices.Clone(m.peppers), m.failure("get")
	m.mu.Unlock()
	if m.afterGet != nil {
		m.afterGet()
	}
	return found, err
}

func (m *memory) AddFirstPepper(_ context.Context, p storage.Pepper) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.failure("add"); err != nil {
		return err
	}
	if len(m.peppers) > 0 {
		return storage.ErrConflict
	}
	m.peppers = append(m.peppers, p)
	return nil
}

// meetOnce returns a function whose first n callers wait for one another.
func meetOnce(n int) func() {
	var mu sync.Mutex
	var arrived sync.WaitGroup
	arrived.Add(n)
	return func() {
		mu.Lock()
		first := n > 0
		n--
		mu.Unlock()
		if first {
			arrived.Done()
			arrived.Wait()
		}
	}
}

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock {
	return &clock{now: time.Date(2030, 3, 1, 12, 0, 0, 0, time.UTC)}
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func masterKey(fill byte) []byte { return bytes.Repeat([]byte{fill}, keys.MasterKeySize) }

func newSealer(t testing.TB, masters ...[]byte) *keys.Sealer {
	t.Helper()
	if len(masters) == 0 {
		masters = [][]byte{masterKey(1)}
	}
	s, err := keys.NewSealer(masters...)
	if err != nil {
		t.Fatalf("NewSealer: %v", err)
	}
	return s
}

// replica is a ring of its own over a store and a clock that others may share.
func replica(t testing.TB, store *memory, c *clock, algs ...string) *keys.Ring {
	t.Helper()
	r, err := keys.NewRing(context.Background(), keys.RingConfig{
		Store: store, Sealer: newSealer(t), Algs: algs, Now: c.Now,
	})
	if err != nil {
		t.Fatalf("NewRing: %v", err)
	}
	return r
}

func signingKID(t testing.TB, r *keys.Ring, alg string) string {
	t.Helper()
	k, err := r.SigningKey(alg)
	if err != nil {
		t.Fatalf("SigningKey(%q): %v", alg, err)
	}
	return k.KID
}

func publishedKIDs(r *keys.Ring) []string {
	var kids []string
	for _, k := range r.PublicSet().Keys {
		kids = append(kids, k.KeyID)
	}
	return kids
}
