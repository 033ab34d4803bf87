package server

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// endedRows is a sweepStore with numbers of expired rows by table.
type endedRows struct {
	mu    sync.Mutex
	left  map[string]int
	fails map[string]bool
	took  time.Duration // duration of a batch
	began []time.Time   // of the batches of the table "small"
}

func (e *endedRows) SweepTables() []string { return []string{"big", "broken", "small"} }

func (e *endedRows) SweepTable(_ context.Context, table string, now time.Time, limit int) (int, error) {
	time.Sleep(e.took)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fails[table] {
		return 0, errors.New("the database does not answer")
	}
	if table == "small" {
		e.began = append(e.began, now)
	}
	n := min(limit, e.left[table])
	e.left[table] -= n
	return n, nil
}

func (e *endedRows) Overdue(context.Context, time.Time) (map[string]time.Duration, error) {
	return map[string]time.Duration{"big": 90 * time.Second, "small": 0}, nil
}

func newTestSweeper(t *testing.T, e *endedRows) (*sweeper, func(metric, table string) float64) {
	t.Helper()
	reg := prometheus.NewRegistry()
	s, err := newSweeper(e, zerolog.Nop(), reg, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return s, func(name, table string) float64 {
		t.Helper()
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			for _, m := range family.GetMetric() {
				if family.GetName() == name && m.GetLabel()[0].GetValue() == table {
					return m.GetCounter().GetValue() + m.GetGauge().GetValue()
				}
			}
		}
		t.Fatalf("no metric %s of table %s", name, table)
		return 0
	}
}

// TestSweepKeepsUp tests that a sweep, from 75 s after the start on, deletes as many rows as
// 2,000 journeys a second with ten rows each leave to each of three replicas. A table that
// fails does not delay the others.
func TestSweepKeepsUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const rows = 2000 * 10 / 3 * 3600 // rows of an hour
		e := &endedRows{left: map[string]int{"big": rows, "small": 700}, fails: map[string]bool{"broken": true}, took: 40 * time.Millisecond}
		s, metric := newTestSweeper(t, e)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.run(ctx) }()
		time.Sleep(75 * time.Second)
		synctest.Wait()
		e.mu.Lock()
		if left := rows - e.left["big"]; left == 0 || e.left["small"] != 0 {
			t.Errorf("after 75s: got %d deleted rows, and %d remaining rows of the small table, want none of them", left, e.left["small"])
		}
		e.mu.Unlock()
		time.Sleep(time.Hour)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if e.left["big"] != 0 || metric("latchkey_sweep_rows_total", "big") != rows || metric("latchkey_sweep_rows_total", "small") != 700 {
			t.Errorf("got the remaining rows %v, want none", e.left)
		}
		if metric("latchkey_sweep_rows_total", "broken") != 0 {
			t.Error("got deleted rows of a table that fails, want none")
		}
	})
}

// TestSweepPauses tests that the sweep runs once a minute while few rows expire, and after a
// second while many do.
func TestSweepPauses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &endedRows{left: map[string]int{"big": sweepRows}}
		s, _ := newTestSweeper(t, e)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		start := time.Now()
		go func() { done <- s.run(ctx) }()
		time.Sleep(150 * time.Second)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		var at []time.Duration
		for _, began := range e.began {
			at = append(at, began.Sub(start))
		}
		if want := []time.Duration{time.Minute, time.Minute, time.Minute + time.Second, 2*time.Minute + time.Second}; !slices.Equal(at, want) {
			t.Errorf("got rounds after %v, want %v", at, want)
		}
	})
}

func TestSizeOfSweeps(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		limit int
		full  bool
		took  time.Duration
		want  int
	}{
		{sweepRows, true, time.Millisecond, 2 * sweepRows},
		{sweepRows, false, time.Millisecond, sweepRows},
		{4000, true, sweepTime, 4000},
		{4000, true, 4 * sweepTime, 4000},
		{4000, false, 5 * sweepTime, 2000},
		{sweepRows, true, 5 * sweepTime, sweepRows},
		{maxSweepRows, true, 0, maxSweepRows},
	} {
		if got := nextSweepLimit(x.limit, x.full, x.took); got != x.want {
			t.Errorf("after %d rows (full: %t) in %s: got the next limit %d, want %d", x.limit, x.full, x.took, got, x.want)
		}
	}
}

func TestOverdueMetric(t *testing.T) {
	t.Parallel()
	_, metric := newTestSweeper(t, &endedRows{})
	if got := metric("latchkey_sweep_overdue_seconds", "big"); got != 90 {
		t.Errorf("got %v s overdue, want 90", got)
	}
	if got := metric("latchkey_sweep_overdue_seconds", "small"); got != 0 {
		t.Errorf("got %v s overdue, want 0", got)
	}
}
