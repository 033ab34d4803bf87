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

// fakeStore is a KeyStore and a PepperStore in memory.
type fakeStore struct {
	mu       sync.Mutex
	keys     []storage.SigningKey
	peppers  []storage.Pepper
	fail     error  // error of the calls in failOn; nil means none
	failOn   string // "get", "add", "change" or "answer"; empty: all but "answer"
	afterGet func() // called after each read, unless nil
	naive    bool   // accepts any number of successors of a key
}

func (m *fakeStore) failure(call string) error {
	if m.failOn == "" && call != "answer" || m.failOn == call {
		return m.fail
	}
	return nil
}

func (m *fakeStore) SigningKeys(context.Context) ([]storage.SigningKey, error) {
	m.mu.Lock()
	found, err := slices.Clone(m.keys), m.failure("get")
	m.mu.Unlock()
	if m.afterGet != nil {
		m.afterGet()
	}
	return found, err
}

// ChangeSigningKeys fails before its change if failOn is "change", and after it if failOn is
// "answer".
func (m *fakeStore) ChangeSigningKeys(_ context.Context, c storage.SigningKeyChange) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.failure("change"); err != nil {
		return err
	}
	after := slices.Clone(m.keys)
	for _, k := range c.Update {
		i := slices.IndexFunc(after, func(other storage.SigningKey) bool { return other.KID == k.KID })
		if i < 0 {
			return storage.ErrNotFound
		}
		old := after[i]
		after[i].ActivatesAt, after[i].RetiresAt, after[i].GoneAt = k.ActivatesAt, k.RetiresAt, k.GoneAt
		if old.RevokedAt.IsZero() {
			after[i].RevokedAt = k.RevokedAt
		}
	}
	for _, k := range c.Add {
		if !m.naive && slices.ContainsFunc(after, func(other storage.SigningKey) bool { return excludes(other, k) }) {
			return storage.ErrConflict
		}
		after = append(after, k)
	}
	m.keys = slices.DeleteFunc(after, func(k storage.SigningKey) bool { return slices.Contains(c.Remove, k.KID) })
	return m.failure("answer")
}

// excludes reports whether other prevents that k is added.
func excludes(other, k storage.SigningKey) bool {
	return other.KID == k.KID || other.Alg == k.Alg && other.Predecessor == k.Predecessor && other.RevokedAt.IsZero()
}

func (m *fakeStore) Peppers(context.Context) ([]storage.Pepper, error) {
	m.mu.Lock()
	found, err := slices.Clone(m.peppers), m.failure("get")
	m.mu.Unlock()
	if m.afterGet != nil {
		m.afterGet()
	}
	return found, err
}

func (m *fakeStore) AddFirstPepper(_ context.Context, p storage.Pepper) error {
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

// waitForEachOther returns a function. Its first n callers wait until all n have called it.
func waitForEachOther(n int) func() {
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

// clock is a clock that tests advance.
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

// replica returns a ring over a store and a clock, which other rings can share.
func replica(t testing.TB, store *fakeStore, c *clock, algs ...string) *keys.Ring {
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
