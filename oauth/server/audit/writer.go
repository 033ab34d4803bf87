package audit

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"latchkey/storage"
)

const (
	// bufferSize is how many events wait for the database at most: those of 13 s at 5,000
	// events a second. Another replica that hangs stops the chain for 5 s at most.
	bufferSize = 1 << 16
	// batchSize amortizes what a batch costs whatever its size: the lock of the chain, five
	// round trips and a durable commit.
	batchSize    = 2048
	batchDelay   = 200 * time.Millisecond // the longest time that an event waits for others
	retryDelay   = time.Second
	writeTimeout = 5 * time.Second
)

// Store stores audit events, in the given order.
type Store interface {
	AddAuditEvents(ctx context.Context, events []storage.AuditEvent) error
}

// writer stores audit events in batches, so that no request waits for the
// database. An event that does not fit into the buffer is in the log only, and
// latchkey_audit_lost_total counts it.
type writer struct {
	store Store
	log   zerolog.Logger
	lost  prometheus.Counter

	mu      sync.Mutex
	waiting []storage.AuditEvent // grows only while the database is slow
	writing []storage.AuditEvent // the batch that take returned last, until it is stored
	arrived chan struct{}        // holds an element after the first event that waits
	full    chan struct{}        // holds an element after the one that fills a batch
}

func newWriter(store Store, log zerolog.Logger, reg prometheus.Registerer, now func() time.Time) (*writer, error) {
	w := &writer{
		store: store, log: log, arrived: make(chan struct{}, 1), full: make(chan struct{}, 1),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "latchkey_audit_lost_total",
			Help: "Audit events that are in the log but not in the database, because it did not keep up.",
		}),
	}
	waiting := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "latchkey_audit_waiting_events",
		Help: "Audit events that are not in the database yet.",
	}, func() float64 {
		n, _ := w.lag(now())
		return float64(n)
	})
	oldest := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "latchkey_audit_lag_seconds",
		Help: "Age of the oldest audit event that is not in the database yet; 0: there is none.",
	}, func() float64 {
		_, age := w.lag(now())
		return age.Seconds()
	})
	return w, errors.Join(reg.Register(w.lost), reg.Register(waiting), reg.Register(oldest))
}

// lag returns how many events are not stored yet, and the age of the oldest.
func (w *writer) lag(now time.Time) (events int, age time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, waiting := range [][]storage.AuditEvent{w.waiting, w.writing} {
		if len(waiting) > 0 {
			age = max(age, now.Sub(waiting[0].Time))
		}
	}
	return len(w.waiting) + len(w.writing), age
}

// stored notes that the last batch does not wait any more.
func (w *writer) stored() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writing = nil
}

// add queues an event. It never blocks.
func (w *writer) add(e storage.AuditEvent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiting) == bufferSize {
		w.lost.Inc()
		return
	}
	w.waiting = append(w.waiting, e)
	w.signal()
}

// signal wakes gather if events wait, and again if they fill a batch. The caller holds mu.
func (w *writer) signal() {
	if len(w.waiting) > 0 {
		note(w.arrived)
	}
	if len(w.waiting) >= batchSize {
		note(w.full)
	}
}

func note(happened chan<- struct{}) {
	select {
	case happened <- struct{}{}:
	default:
	}
}

// take returns the oldest events that wait, batchSize at most.
func (w *writer) take() []storage.AuditEvent {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, stale := range []chan struct{}{w.arrived, w.full} {
		select {
		case <-stale:
		default:
		}
	}
	n := min(len(w.waiting), batchSize)
	batch := w.waiting[:n:n]
	w.writing = batch
	if w.waiting = w.waiting[n:]; len(w.waiting) == 0 {
		w.waiting = nil
	}
	w.signal()
	return batch
}

// run stores events until ctx ends. Then it stores the events that are left.
func (w *writer) run(ctx context.Context) {
	for ctx.Err() == nil {
		w.writeBatch(ctx, w.gather(ctx))
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	for batch := w.take(); len(batch) > 0; batch = w.take() {
		if last.Err() != nil {
			w.lost.Add(float64(len(batch)))
			continue
		}
		w.writeBatch(last, batch)
	}
}

// gather waits for an event, and up to batchDelay longer for others.
func (w *writer) gather(ctx context.Context) []storage.AuditEvent {
	select {
	case <-w.arrived:
	case <-ctx.Done():
	}
	select {
	case <-w.full:
	case <-time.After(batchDelay):
	case <-ctx.Done():
	}
	return w.take()
}

// writeBatch stores a batch. It repeats the attempt for as long as the database
// fails and ctx lasts. An attempt that the end of ctx interrupts is finished, and
// a batch that comes after it gets one attempt.
func (w *writer) writeBatch(ctx context.Context, batch []storage.AuditEvent) {
	defer w.stored()
	for len(batch) > 0 {
		attempt, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
		err := w.store.AddAuditEvents(attempt, batch)
		cancel()
		if err == nil {
			return
		}
		w.log.Warn().Err(err).Int("events", len(batch)).Msg("audit events wait for the database")
		if ctx.Err() != nil {
			w.lost.Add(float64(len(batch)))
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryDelay):
		}
	}
}
