package granttest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ory/fosite"

	"latchkey/grants/statestore"
	"latchkey/otp/lockout"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	Run(t, func() statestore.States { return new(Memory) })
}

// naive is a Memory with an error.
type naive struct {
	Memory
	load func(m *Memory, key string) ([]byte, error)
	swap func(m *Memory, changes []statestore.Change) error
}

func (n *naive) Load(ctx context.Context, key string) ([]byte, error) {
	if n.load != nil {
		return n.load(&n.Memory, key)
	}
	return n.Memory.Load(ctx, key)
}

func (n *naive) Swap(ctx context.Context, changes ...statestore.Change) error {
	if n.swap != nil {
		return n.swap(&n.Memory, changes)
	}
	return n.Memory.Swap(ctx, changes...)
}

// put writes a value without a condition.
func (m *Memory) put(c statestore.Change) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.values == nil {
		m.values = map[string][]byte{}
	}
	m.values[c.Key] = bytes.Clone(c.New)
}

// TestNaiveStores tests that the suite finds each mistake with the property that it breaks.
func TestNaiveStores(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, mistake := range map[string]struct {
		store  func() *naive
		breaks string
	}{
		"no condition on the update": {func() *naive {
			return &naive{swap: func(m *Memory, changes []statestore.Change) error {
				for _, c := range changes {
					m.put(c)
				}
				return nil
			}}
		}, "a code is used once"},
		"no compare-and-swap": {func() *naive {
			return &naive{swap: func(m *Memory, changes []statestore.Change) error {
				for _, c := range changes { // compare first, and write later
					if present, _ := m.Load(ctx, c.Key); !bytes.Equal(present, c.Old) {
						return m.Swap(ctx, c)
					}
				}
				time.Sleep(time.Millisecond)
				for _, c := range changes {
					m.put(c)
				}
				return nil
			}}
		}, "concurrent changes of a value are not lost"},
		"counter after the answer": {func() *naive {
			return &naive{swap: func(m *Memory, changes []statestore.Change) error {
				time.AfterFunc(20*time.Millisecond, func() { _ = m.Swap(ctx, changes...) })
				return nil
			}}
		}, "a guess is counted before its answer"},
		"code burnt by a failed mint": {codeUsedByRead, "a failed mint uses no code up"},
		"refresh without generations": {func() *naive {
			return &naive{swap: func(m *Memory, changes []statestore.Change) error {
				if strings.HasPrefix(changes[0].Key, "family.") {
					m.put(changes[0])
					return nil
				}
				return m.Swap(ctx, changes...)
			}}
		}, "a refresh token rotates once"},
		"authorization codes without a condition": {func() *naive {
			return &naive{swap: func(m *Memory, changes []statestore.Change) error {
				if strings.HasPrefix(changes[0].Key, "authorization.") {
					for _, c := range changes {
						m.put(c)
					}
					return nil
				}
				return m.Swap(ctx, changes...)
			}}
		}, "an authorization code is used once"},
		"authorization codes taken out by a read": {func() *naive {
			return &naive{load: func(m *Memory, key string) ([]byte, error) {
				value, err := m.Load(ctx, key)
				if strings.HasPrefix(key, "authorization.") {
					m.put(statestore.Change{Key: key})
				}
				return value, err
			}}
		}, "a wrong verifier uses no authorization code up"},
		"used authorization codes deleted": {func() *naive {
			return &naive{swap: func(m *Memory, changes []statestore.Change) error {
				err := m.Swap(ctx, changes...)
				if first := changes[0]; err == nil && strings.HasPrefix(first.Key, "authorization.") && first.Old != nil {
					m.put(statestore.Change{Key: first.Key})
				}
				return err
			}}
		}, "the second use of an authorization code ends its tokens"},
		"only the first change is written": {func() *naive {
			return &naive{swap: func(m *Memory, changes []statestore.Change) error { return m.Swap(ctx, changes[0]) }}
		}, "a sign-in and its authorization code take effect together"},
		"unknown names cheaper": {func() *naive {
			return &naive{swap: func(m *Memory, changes []statestore.Change) error {
				if first := changes[0]; first.Old == nil && !bytes.Contains(first.New, []byte(`"otc_`)) {
					return nil // only users who asked for a code have a row
				}
				return m.Swap(ctx, changes...)
			}}
		}, "failures of unknown names count alike"},
		"case is ignored in keys": {func() *naive { return renamed(strings.ToLower) }, "keys that differ in one byte or in case are different"},
		"keys are cut": {func() *naive {
			return renamed(func(key string) string { return key[:min(len(key), statestore.MaxKeyBytes-1)] })
		}, "keys that differ in one byte or in case are different"},
		"expires early":                 {func() *naive { return expiring(-time.Hour, true) }, "a value is there until its time"},
		"keeps the first time":          {func() *naive { return expiring(0, false) }, "a value is there until its time"},
		"hides values after their time": {func() *naive { return expiring(0, true) }, "a value after its time can be replaced"},
		"no transaction": {func() *naive {
			return &naive{swap: func(m *Memory, changes []statestore.Change) error {
				for _, c := range changes {
					if err := m.Swap(ctx, c); err != nil {
						return err
					}
				}
				return nil
			}}
		}, "changes take effect together or not at all"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, p := range properties {
				if p.name != mistake.breaks {
					continue
				}
				if err := p.check(t.Context(), mistake.store()); err == nil {
					t.Errorf("the store passes %q, want an error", p.name)
				} else if t.Log(err); strings.Contains(err.Error(), "%!") {
					t.Error("the report has a verb without an error")
				}
				return
			}
			t.Errorf("there is no property %q", mistake.breaks)
		})
	}
}

// TestSecondName signs Jane in by two names. Her code is accepted with either name, once. Her
// failures with both names are counted together.
func TestSecondName(t *testing.T) {
	t.Parallel()
	both, err := newReplicas(new(Memory))
	if err != nil {
		t.Fatal(err)
	}
	r := both[0]
	if err := r.issueCode(t.Context()); err != nil {
		t.Fatal(err)
	}
	token, err := r.signIn(t.Context(), address, codeText)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.use(t.Context(), token); err != nil {
		t.Errorf("the refresh token: got %v, want no error", err)
	}
	if _, err := r.signIn(t.Context(), username, codeText); !errors.Is(err, fosite.ErrInvalidGrant) {
		t.Errorf("the code again, with the other name: got %v, want invalid_grant", err)
	}
	for i := range lockout.DefaultPolicy().Threshold {
		name := []string{username, address}[i%2]
		if _, err := r.signIn(t.Context(), name, fmt.Sprint("wrong-", i)); !errors.Is(err, fosite.ErrInvalidGrant) {
			t.Fatal(err)
		}
	}
	for _, name := range []string{username, address} {
		if _, err := r.signIn(t.Context(), name, password); !errors.Is(err, fosite.ErrInvalidGrant) {
			t.Errorf("%s after ten guesses by two names: got %v, want invalid_grant", name, err)
		}
	}
}

// renamed returns a store whose column changes keys.
func renamed(column func(string) string) *naive {
	return &naive{
		load: func(m *Memory, key string) ([]byte, error) { return m.Load(context.Background(), column(key)) },
		swap: func(m *Memory, changes []statestore.Change) error {
			changes = slices.Clone(changes)
			for i := range changes {
				changes[i].Key = column(changes[i].Key)
			}
			return m.Swap(context.Background(), changes...)
		},
	}
}

// expiring returns a store where Load hides values from the time Until plus delay. Swap still
// compares hidden values. If updates is false, only the first Until of a key counts.
func expiring(delay time.Duration, updates bool) *naive {
	var mu sync.Mutex
	ends := map[string]time.Time{}
	return &naive{
		load: func(m *Memory, key string) ([]byte, error) {
			mu.Lock()
			defer mu.Unlock()
			if end := ends[key]; !end.IsZero() && time.Now().After(end.Add(delay)) {
				return nil, nil
			}
			return m.Load(context.Background(), key)
		},
		swap: func(m *Memory, changes []statestore.Change) error {
			mu.Lock()
			defer mu.Unlock()
			err := m.Swap(context.Background(), changes...)
			for _, c := range changes {
				if _, have := ends[c.Key]; err == nil && (updates || !have) {
					ends[c.Key] = c.Until
				}
			}
			return err
		},
	}
}

// codeUsedByRead returns a store where Load removes the code from the value. A store that takes
// a one-time password out of a cache to compare it does so.
func codeUsedByRead() *naive {
	var mu sync.Mutex
	taken := map[string][]byte{} // the value with the code, which is Old of the next swap
	return &naive{
		load: func(m *Memory, key string) ([]byte, error) {
			mu.Lock()
			defer mu.Unlock()
			value, err := m.Load(context.Background(), key)
			var members map[string]json.RawMessage
			if bytes.Contains(value, []byte(`"otc_`)) && json.Unmarshal(value, &members) == nil {
				delete(members, "Code")
				without, _ := json.Marshal(members)
				taken[key] = value
				m.put(statestore.Change{Key: key, New: without})
			}
			return value, err
		},
		swap: func(m *Memory, changes []statestore.Change) error {
			mu.Lock()
			defer mu.Unlock()
			for i, c := range changes {
				if bytes.Equal(taken[c.Key], c.Old) && c.Old != nil {
					changes[i].Old, _ = m.Load(context.Background(), c.Key)
				}
				delete(taken, c.Key)
			}
			return m.Swap(context.Background(), changes...)
		},
	}
}
