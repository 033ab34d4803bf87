package audit

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"latchkey/storage"
)

const (
	bufferSize   = 8192 // events that wait for the database
	batchSize    = 256
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
	store  Store
	log    zerolog.Logger
	events chan storage.AuditEvent
	lost   prometheus.Counter
}

func newWriter(store Store, log zerolog.Logger, reg prometheus.Registerer) (*writer, error) {
	w := &writer{
		store: store, log: log, events: make(chan storage.AuditEvent, bufferSize),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "latchkey_audit_lost_total",
			Help: "Audit events that are in the log but not in the database, because it did not keep up.",
		}),
	}
	return w, reg.Register(w.lost)
}

// add queues an event. It never blocks.
func (w *writer) add(e storage.AuditEvent) {
	select {
	case w.events <- e:
	default:
		w.lost.Inc()
	}
}

// run stores events until ctx ends. Then it stores the events that are left.
func (w *writer) run(ctx context.Context) {
	for ctx.Err() == nil {
		w.writeBatch(ctx, w.gather(ctx))
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	for len(w.events) > 0 && last.Err() == nil {
		w.writeBatch(last, w.gather(last))
	}
}

// gather waits for an event, and up to batchDelay longer for others.
func (w *writer) gather(ctx context.Context) []storage.AuditEvent {
	var batch []storage.AuditEvent
	var enough <-chan time.Time
	for len(batch) < batchSize {
		select {
		case e := <-w.events:
			if batch = append(batch, e); enough == nil {
				enough = time.After(batchDelay)
			}
		case <-enough:
			return batch
		case <-ctx.Done():
			return batch
		}
	}
	return batch
}

// writeBatch stores a batch. It repeats the attempt for as long as the database
// fails and ctx lasts. An attempt that the end of ctx interrupts is finished, and
// a batch that comes after it gets one attempt.
func (w *writer) writeBatch(ctx context.Context, batch []storage.AuditEvent) {
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
