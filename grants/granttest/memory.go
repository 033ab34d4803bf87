package granttest

import (
	"bytes"
	"context"
	"sync"

	"latchkey/grants/statestore"
	"latchkey/storage"
)

// Memory is a statestore.States in memory, for tests and as a reference. It does all that a
// store must do. The zero value is an empty store.
type Memory struct {
	mu     sync.Mutex
	values map[string][]byte
}

var _ statestore.States = (*Memory)(nil)

// Load implements statestore.States.
func (m *Memory) Load(_ context.Context, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return bytes.Clone(m.values[key]), nil
}

// Swap implements statestore.States. The mutex does what a transaction does in a database.
func (m *Memory) Swap(_ context.Context, changes ...statestore.Change) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range changes {
		if present, ok := m.values[c.Key]; ok != (c.Old != nil) || !bytes.Equal(present, c.Old) {
			return storage.ErrStale
		}
	}
	if m.values == nil {
		m.values = map[string][]byte{}
	}
	for _, c := range changes {
		m.values[c.Key] = bytes.Clone(c.New)
	}
	return nil
}
