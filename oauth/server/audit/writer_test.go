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
	filled   chan struct{} // closed when want events are stored
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

// lost returns latchkey_audit_lost_total.
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
			t.Fatalf("event %d is %s", i, e.Object)
		}
	}
}

// TestWriterOutlastsTheDatabase stores the events that were recorded while the database
// failed.
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
		t.Error("the events were not stored")
	}
	stop()
	<-done
	l.inOrder(t)
}

// TestWriterFinishes stores at a stop the events that were recorded before it.
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
		t.Errorf("%d of %d events are stored", len(l.stored), events)
	}
	l.inOrder(t)
}

// TestWriterCatchesUp has the database hang for as long as a replica that holds the chain
// can hang, while 5,000 events a second are recorded. None of them is lost, and they are
// stored in as few batches as they fit into.
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
		t.Error("the events were not stored")
	}
	stop()
	<-done
	l.inOrder(t)
	if batches := events/batchSize + 2; l.calls > batches || lost(t, a) != 0 {
		t.Errorf("got %d batches, want %d at most; %v events are lost", l.calls, batches, lost(t, a))
	}
}

// TestWriterIsBounded loses the events that come when the buffer is full, and counts them.
func TestWriterIsBounded(t *testing.T) {
	t.Parallel()
	a, _ := newTestWriter(t, 0, 0)
	for range bufferSize + 3 {
		a.add(storage.AuditEvent{})
	}
	if lost(t, a) != 3 || len(a.waiting) != bufferSize {
		t.Errorf("%v events are lost, %d wait", lost(t, a), len(a.waiting))
	}
}

// TestWriterLag counts the events that are not stored, including the batch that is being
// written, and tells the age of the oldest.
func TestWriterLag(t *testing.T) {
	t.Parallel()
	a, _ := newTestWriter(t, 0, 0)
	now := time.Now()
	a.add(storage.AuditEvent{Time: now.Add(-3 * time.Second)})
	batch := a.take()
	a.add(storage.AuditEvent{Time: now.Add(-time.Second)})
	if n, age := a.lag(now); n != 2 || age != 3*time.Second {
		t.Errorf("while a batch is written: %d events, the oldest %v", n, age)
	}
	a.writeBatch(t.Context(), batch)
	if n, age := a.lag(now); n != 1 || age != time.Second {
		t.Errorf("after it: %d events, the oldest %v", n, age)
	}
}
