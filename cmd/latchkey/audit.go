package main

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"latchkey/storage"
)

const (
	auditBuffer  = 8192 // events that wait for the database
	auditBatch   = 256
	auditPause   = 200 * time.Millisecond // at most, until an event is stored
	auditRetry   = time.Second
	auditTimeout = 5 * time.Second
)

// auditStore keeps audit events.
type auditStore interface {
	AddAuditEvents(ctx context.Context, events []storage.AuditEvent) error
}

// auditor stores audit events in batches, so that no request waits for them.
// The log has each of them at once, whatever becomes of the process or of the
// database; events that no longer fit into the buffer are in the log only, and
// counted.
type auditor struct {
	store  auditStore
	log    zerolog.Logger
	events chan storage.AuditEvent
	lost   prometheus.Counter
}

func newAuditor(store auditStore, log zerolog.Logger, reg prometheus.Registerer) (*auditor, error) {
	a := &auditor{
		store: store, log: log, events: make(chan storage.AuditEvent, auditBuffer),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "latchkey_audit_lost_total",
			Help: "Audit events that are in the log but not in the database, because it did not keep up.",
		}),
	}
	return a, reg.Register(a.lost)
}

// add never blocks.
func (a *auditor) add(e storage.AuditEvent) {
	select {
	case a.events <- e:
	default:
		a.lost.Inc()
	}
}

// run stores events until ctx ends, and then those that are left.
func (a *auditor) run(ctx context.Context) {
	for ctx.Err() == nil {
		a.keep(ctx, a.gather(ctx))
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditTimeout)
	defer cancel()
	for len(a.events) > 0 && last.Err() == nil {
		a.keep(last, a.gather(last))
	}
}

// gather waits for an event, and a little longer for others.
func (a *auditor) gather(ctx context.Context) []storage.AuditEvent {
	var batch []storage.AuditEvent
	var enough <-chan time.Time
	for len(batch) < auditBatch {
		select {
		case e := <-a.events:
			if batch = append(batch, e); enough == nil {
				enough = time.After(auditPause)
			}
		case <-enough:
			return batch
		case <-ctx.Done():
			return batch
		}
	}
	return batch
}

// keep stores a batch, however long the database is away. When ctx ends it
// tries once more: a stop does not lose what it interrupts.
func (a *auditor) keep(ctx context.Context, batch []storage.AuditEvent) {
	for len(batch) > 0 {
		attempt, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditTimeout)
		err := a.store.AddAuditEvents(attempt, batch)
		cancel()
		if err == nil {
			return
		}
		a.log.Warn().Err(err).Int("events", len(batch)).Msg("audit events wait for the database")
		if ctx.Err() != nil {
			a.lost.Add(float64(len(batch)))
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(auditRetry):
		}
	}
}
