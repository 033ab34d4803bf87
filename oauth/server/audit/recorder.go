package audit

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"latchkey/storage"
)

// Config configures a Recorder. All fields are required.
type Config struct {
	Store    Store
	Logger   zerolog.Logger
	Registry prometheus.Registerer
	Now      func() time.Time

	RequestID func(context.Context) string     // of the request that ctx belongs to; empty: none
	Address   func(context.Context) netip.Addr // of the client that sent the request; invalid: unknown
	Limited   func(limiter string)             // called when a limit has refused a request for a code
}

// Recorder implements storage.Recorder for a server. Record is safe for
// concurrent use and does not wait for the database.
type Recorder struct {
	cfg     Config
	metrics eventMetrics
	writer  *writer
	repeats *repeats
}

// New returns a Recorder. Events reach the database once Start has been called.
// It fails if the registry has metrics of the same names.
func New(cfg Config) (*Recorder, error) {
	r := &Recorder{cfg: cfg}
	var metricsErr, writerErr error
	r.metrics, metricsErr = newEventMetrics(cfg.Registry, cfg.Limited)
	r.writer, writerErr = newWriter(cfg.Store, cfg.Logger, cfg.Registry, cfg.Now)
	r.repeats = newRepeats(cfg.Now, func(e storage.AuditEvent) { r.write(context.Background(), e) })
	return r, errors.Join(metricsErr, writerErr)
}

// Record implements storage.Recorder. It adds the request's id and the client's
// address to events that do not have them.
func (r *Recorder) Record(ctx context.Context, e storage.AuditEvent) {
	r.metrics.count(e)
	if e.TraceID == "" {
		e.TraceID = r.cfg.RequestID(ctx)
	}
	if from := r.cfg.Address(ctx); e.Source == "" && from.IsValid() {
		e.Source = from.String()
	}
	if !r.repeats.hold(e) {
		r.write(ctx, e)
	}
}

// write writes an event to the log and queues it for the database.
func (r *Recorder) write(ctx context.Context, e storage.AuditEvent) {
	r.writer.add(e)
	level := zerolog.InfoLevel
	if e.Action == "sign_in" && e.Outcome != "success" {
		level = zerolog.WarnLevel
	}
	line := r.cfg.Logger.WithLevel(level).Ctx(ctx).Str("audit", e.Action).Str("outcome", e.Outcome)
	for _, field := range []struct{ key, value string }{
		{"client_id", e.ClientID},
		{"user", e.UserUID},
		{"username", e.Username},
		{"factor", e.Factor},
		{"object", e.Object},
		{"source", e.Source},
		{"request_id", e.TraceID},
	} {
		if field.value != "" {
			line.Str(field.key, field.value)
		}
	}
	if e.Count > 0 {
		line.Int64("count", e.Count)
	}
	line.Send()
}

// Start stores events in the background until the returned function is called.
// Call that function when nothing records events any more: it stores the events
// that are left, and returns when they are stored. The end of ctx changes nothing.
func (r *Recorder) Start(ctx context.Context) (end func()) {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	var writing sync.WaitGroup
	writing.Go(func() { r.writer.run(ctx) })
	counting, endCounting := context.WithCancel(ctx)
	var repeats sync.WaitGroup
	repeats.Go(func() { r.repeats.run(counting) })
	return func() {
		endCounting()
		repeats.Wait() // its last events go to the writer
		stop()
		writing.Wait()
	}
}
