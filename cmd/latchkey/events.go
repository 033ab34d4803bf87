package main

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"latchkey/oauth/server/listen"
	"latchkey/otp"
	"latchkey/storage"
)

// recorder writes audit events to the log and to the database, each with the
// request that caused it, and counts those that the funnel is about.
func (a *app) recorder() storage.Recorder {
	return eventRecorder{a.log, a.funnel, a.auditor, a.repeats}
}

type eventRecorder struct {
	log     zerolog.Logger
	funnel  *funnel  // nil outside of a server
	auditor *auditor // likewise
	repeats *repeats // likewise
}

// Record implements storage.Recorder.
func (r eventRecorder) Record(ctx context.Context, e storage.AuditEvent) {
	if r.funnel != nil {
		r.funnel.count(e)
	}
	if e.TraceID == "" {
		e.TraceID = listen.RequestID(ctx)
	}
	if from := listen.ClientAddr(ctx); e.Source == "" && from.IsValid() {
		e.Source = from.String()
	}
	if r.repeats == nil || !r.repeats.hold(e) {
		r.write(e)
	}
}

// write writes an event to the log and to the database.
func (r eventRecorder) write(e storage.AuditEvent) {
	if r.auditor != nil {
		r.auditor.add(e)
	}
	line := r.log.Info().Str("audit", e.Action).Str("outcome", e.Outcome)
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

// funnel counts how far one-time passwords get on their way from the request to
// the sign-in. Each replica counts what it does itself.
type funnel struct {
	steps    *prometheus.CounterVec
	delivery prometheus.Histogram
}

func newFunnel(reg prometheus.Registerer) (*funnel, error) {
	f := &funnel{
		steps: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "latchkey_otp_steps_total",
			Help: "One-time passwords by how far they got: requested or limited; queued, delivered, expired or dead (messages); redeemed, guessed_wrong.",
		}, []string{"step"}),
		delivery: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "latchkey_otp_delivery_seconds",
			Help:    "Time from the queueing of a message to its acceptance by the receiver.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600},
		}),
	}
	for _, step := range []string{"requested", "limited", "queued", "delivered", "expired", "dead", "redeemed", "guessed_wrong"} {
		f.steps.WithLabelValues(step) // so that a step nobody has taken is 0, not absent
	}
	return f, errors.Join(reg.Register(f.steps), reg.Register(f.delivery))
}

// registerBacklog shows the requests that no worker has taken up yet, of all
// replicas together.
func registerBacklog(reg prometheus.Registerer, codes *otp.Service) error {
	return errors.Join(
		reg.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "latchkey_otp_requests_waiting",
			Help: "Requests for codes and messages that wait to be resolved, of all servers on the database.",
		}, func() float64 {
			waiting, _ := codes.Backlog()
			return float64(waiting)
		})),
		reg.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "latchkey_otp_oldest_request_seconds",
			Help: "Time that the oldest request for a code or message has waited to be resolved; 0: none waits.",
		}, func() float64 {
			_, oldest := codes.Backlog()
			return oldest.Seconds()
		})),
	)
}

func (f *funnel) count(e storage.AuditEvent) {
	if step := stepOf(e); step != "" {
		f.steps.WithLabelValues(step).Inc()
	}
	if e.Action == "message.delivered" && e.Factor == "otp" {
		f.delivery.Observe(e.Took.Seconds())
	}
}

// stepOf names the step of the funnel that an event stands for; empty: none.
// The funnel is about one-time passwords, not about the other messages.
func stepOf(e storage.AuditEvent) string {
	if e.Factor != "otp" {
		return ""
	}
	switch e.Action {
	case "code.requested":
		return "requested"
	case "code.limited":
		return "limited"
	case "message.queued":
		return "queued"
	case "message.delivered":
		return "delivered"
	case "message.expired":
		return "expired"
	case "message.failed":
		return "dead"
	case "sign_in":
		switch e.Outcome {
		case "success":
			return "redeemed"
		case "wrong_credentials":
			return "guessed_wrong"
		}
	}
	return ""
}
