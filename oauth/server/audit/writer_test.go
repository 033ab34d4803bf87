package audit

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"latchkey/storage"
)

// memoryStore is a Store whose first calls fail.
type memoryStore struct {
	mu       sync.Mutex
	failures int
	stored   []storage.AuditEvent
	calls    int
	filled   chan struct{} // closed when the wanted number of events is stored
	want     int
}

func (l *memoryStore) AddAuditEvents(_ context.Context, events []storage.AuditEvent) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failures > 0 {
		l.failures--
		return errors.New("the database does not answer")
	}
	l.calls++
	l.stored = append(l.stored, events...)
	if len(l.stored) == l.want {
		close(l.filled)
	}
	return nil
}

func newTestWriter(t *testing.T, failures, want int) (*writer, *memoryStore) {
	t.Helper()
	l := &memoryStore{failures: failures, want: want, filled: make(chan struct{})}
	a, err := newWriter(l, zerolog.Nop(), prometheus.NewRegistry(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return a, l
}

// lost returns the metric latchkey_audit_lost_total.
func lost(t *testing.T, w *writer) float64 {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(w.lost)
	metrics, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return metrics[0].GetMetric()[0].GetCounter().GetValue()
}

func (l *memoryStore) inOrder(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, e := range l.stored {
		if e.Object != strconv.Itoa(i) {
			t.Fatalf("event %d: got %s", i, e.Object)
		}
	}
}

// TestWriterOutlastsTheDatabase tests that events that were recorded while the database failed
// are stored later.
func TestWriterOutlastsTheDatabase(t *testing.T) {
	t.Parallel()
	const events = 3*batchSize + 7
	a, l := newTestWriter(t, 1, events)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); a.run(ctx) }()
	for i := range events {
		a.add(storage.AuditEvent{Object: strconv.Itoa(i)})
	}
	select {
	case <-l.filled:
	case <-time.After(time.Minute):
		t.Error("the events were not stored in a minute")
	}
	stop()
	<-done
	l.inOrder(t)
}

// TestWriterFinishes tests that a stop stores the events that were recorded before it.
func TestWriterFinishes(t *testing.T) {
	t.Parallel()
	const events = 2*batchSize + 3
	a, l := newTestWriter(t, 0, events)
	for i := range events {
		a.add(storage.AuditEvent{Object: strconv.Itoa(i)})
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	a.run(ctx)
	if len(l.stored) != events {
		t.Errorf("got %d of %d events stored", len(l.stored), events)
	}
	l.inOrder(t)
}

// TestWriterCatchesUp lets the database hang as long as a replica that locks the chain can
// hang, and records 5,000 events a second. No event is lost, and they are stored in as few
// batches as possible.
func TestWriterCatchesUp(t *testing.T) {
	t.Parallel()
	const events = 5000 * 5
	a, l := newTestWriter(t, 0, events)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	l.mu.Lock()
	go func() { defer close(done); a.run(ctx) }()
	for i := range events {
		a.add(storage.AuditEvent{Object: strconv.Itoa(i)})
	}
	l.mu.Unlock()
	select {
	case <-l.filled:
	case <-time.After(time.Minute):
		t.Error("the events were not stored in a minute")
	}
	stop()
	<-done
	l.inOrder(t)
	if batches := events/batchSize + 2; l.calls > batches || lost(t, a) != 0 {
		t.Errorf("got %d batches, want %d at most; %v events are lost", l.calls, batches, lost(t, a))
	}
}

// TestWriterIsBounded tests that events are lost and counted when the buffer is full.
func TestWriterIsBounded(t *testing.T) {
	t.Parallel()
	a, _ := newTestWriter(t, 0, 0)
	for range bufferSize + 3 {
		a.add(storage.AuditEvent{})
	}
	if lost(t, a) != 3 || len(a.waiting) != bufferSize {
		t.Errorf("got %v lost events and %d waiting ones, want 3 and a full buffer", lost(t, a), len(a.waiting))
	}
}

// TestWriterLag tests that the lag counts the events that are not stored, including the batch
// that is being written, and has the age of the oldest.
func TestWriterLag(t *testing.T) {
	t.Parallel()
	a, _ := newTestWriter(t, 0, 0)
	now := time.Now()
	a.add(storage.AuditEvent{Time: now.Add(-3 * time.Second)})
	batch := a.take()
	a.add(storage.AuditEvent{Time: now.Add(-time.Second)})
	if n, age := a.lag(now); n != 2 || age != 3*time.Second {
		t.Errorf("while a batch is written: got %d events, the oldest %v; want 2 and 3s", n, age)
	}
	a.writeBatch(t.Context(), batch)
	if n, age := a.lag(now); n != 1 || age != time.Second {
		t.Errorf("afterwards: got %d events, the oldest %v; want 1 and 1s", n, age)
	}
}
