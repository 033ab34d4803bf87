package audit

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"latchkey/storage"
)

// codeMetrics counts the steps of one-time passwords from the request to the
// sign-in. Each replica counts its own steps.
type codeMetrics struct {
	steps    *prometheus.CounterVec
	delivery prometheus.Histogram
}

func newCodeMetrics(reg prometheus.Registerer) (codeMetrics, error) {
	m := codeMetrics{
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
		m.steps.WithLabelValues(step) // a step that did not happen yet is shown as 0
	}
	return m, errors.Join(reg.Register(m.steps), reg.Register(m.delivery))
}

func (m codeMetrics) count(e storage.AuditEvent) {
	if step := stepOf(e); step != "" {
		m.steps.WithLabelValues(step).Inc()
	}
	if e.Action == "message.delivered" && e.Factor == "otp" {
		m.delivery.Observe(e.Took.Seconds())
	}
}

// stepOf returns the step of a one-time password that an event stands for, or
// "" for other events. Other types of messages are not counted.
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
