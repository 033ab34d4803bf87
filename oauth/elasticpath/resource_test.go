package elasticpath

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"latchkey/oauth/surface"
	"latchkey/oauth/token"
	"latchkey/storage"
)

// counter is a record for the tests of rewrite and remove.
type counter struct{ version, sum int64 }

// counters is a resource with one record.
type counters struct{ stored counter }

func (s *counters) kind() string                             { return "counter" }
func (s *counters) find(*call) (counter, error)              { return s.stored, nil }
func (s *counters) show(*call, counter) (any, string, error) { return s.stored.sum, "", nil }
func (s *counters) key(r counter) (id string, version int64) { return "", r.version }
func (s *counters) put(_ *call, r counter) (counter, error) {
	if r.version != s.stored.version {
		return r, storage.ErrStale
	}
	s.stored = counter{r.version + 1, r.sum}
	return s.stored, nil
}

// TestRewrite tests that no change is lost if two of them overlap, and that If-Match refuses
// every other version.
func TestRewrite(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		ifMatch  string
		overlaps int // number of other changes during the first attempts
		want     error
		sum      int64
	}{
		"alone":                     {sum: 11},
		"two overlaps":              {overlaps: 2, sum: 211},
		"the version":               {ifMatch: `"3"`, sum: 11},
		"another version":           {ifMatch: `"2"`, want: storage.ErrStale},
		"the version, with overlap": {ifMatch: `"3"`, overlaps: 1, want: storage.ErrStale},
		"overlaps without end":      {overlaps: 1000, want: storage.ErrStale},
	} {
		c := &call{Request: httptest.NewRequest(http.MethodPut, "/", nil)}
		if test.ifMatch != "" {
			c.Header.Set("If-Match", test.ifMatch)
		}
		all := &counters{stored: counter{version: 3, sum: 10}}
		_, got, err := rewrite(c, all, func(r counter) (counter, error) {
			if r.sum++; test.overlaps > 0 {
				test.overlaps--
				all.stored = counter{all.stored.version + 1, all.stored.sum + 100}
			}
			return r, nil
		})
		if !errors.Is(err, test.want) || err == nil && got.sum != test.sum {
			t.Errorf("%s: got %+v, error %v", name, got, err)
		}
	}
}

// TestRemove tests that only the version that was checked is deleted. Without If-Match a later
// version is checked again.
func TestRemove(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		ifMatch  string
		overlaps int // number of changes between check and deletion
		want     error
		checks   int
	}{
		"alone":                     {checks: 1},
		"two overlaps":              {overlaps: 2, checks: 3},
		"another version":           {ifMatch: `"2"`, want: storage.ErrStale},
		"the version, with overlap": {ifMatch: `"3"`, overlaps: 1, want: storage.ErrStale, checks: 1},
	} {
		c := &call{
			Request: httptest.NewRequest(http.MethodDelete, "/", nil), caller: &token.Caller{Client: &storage.Client{}},
			cfg: &Config{Runtime: surface.Runtime{TraceID: func(context.Context) string { return "" }, Recorder: storage.DiscardEvents{}, Now: time.Now}},
		}
		if test.ifMatch != "" {
			c.Header.Set("If-Match", test.ifMatch)
		}
		all, checks := &counters{stored: counter{version: 3}}, 0
		_, err := remove(c, all, "counter", func(counter) error { checks++; return nil }, func(_ counter, version int64) error {
			if test.overlaps > 0 {
				test.overlaps--
				all.stored.version++
			}
			if version != all.stored.version {
				return storage.ErrStale
			}
			return nil
		})
		if !errors.Is(err, test.want) || checks != test.checks {
			t.Errorf("%s: got %d checks, error %v, want %d checks, error %v", name, checks, err, test.checks, test.want)
		}
	}
}
