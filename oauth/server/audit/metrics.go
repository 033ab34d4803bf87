package audit

import (
	"errors"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"latchkey/storage"
)

// eventMetrics counts the events of this replica.
type eventMetrics struct {
	codes     codeMetrics
	signIns   *prometheus.CounterVec
	refreshes *prometheus.CounterVec
	lockouts  prometheus.Counter
	limited   func(limiter string)
}

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

// newEventMetrics registers the metrics. limited is called with the name of each limit
// that refused a request for a code.
func newEventMetrics(reg prometheus.Registerer, limited func(limiter string)) (eventMetrics, error) {
	codes, err := newCodeMetrics(reg)
	m := eventMetrics{
		codes: codes, limited: limited,
		signIns: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "latchkey_sign_ins_total",
			Help: "Attempts to sign in. The factor of a failure is a guess; empty: a password, or unknown.",
		}, []string{"grant", "factor", "outcome"}),
		refreshes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "latchkey_refreshes_total",
			Help: "Uses of refresh tokens: success, reuse (the family was revoked), or key_not_proven.",
		}, []string{"outcome"}),
		lockouts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "latchkey_lockouts_total",
			Help: "Locks of logins that failed attempts have started or extended.",
		}),
	}
	for _, grant := range []string{"password", "account-member"} {
		for _, factor := range []string{"otp", "pwd"} {
			m.signIns.WithLabelValues(grant, factor, "success")
		}
		for _, factor := range []string{"otp", ""} {
			m.signIns.WithLabelValues(grant, factor, "wrong_credentials")
		}
	}
	for _, outcome := range refreshOutcomes {
		m.refreshes.WithLabelValues(outcome)
	}
	return m, errors.Join(err, reg.Register(m.signIns), reg.Register(m.refreshes), reg.Register(m.lockouts))
}

// refreshOutcomes maps the outcomes of audit events to values of a label.
var refreshOutcomes = map[string]string{
	"success": "success", "reused token, family revoked": "reuse", "key not proven": "key_not_proven",
}

func (m eventMetrics) count(e storage.AuditEvent) {
	m.codes.count(e)
	switch e.Action {
	case "sign_in":
		m.signIns.WithLabelValues(GrantLabel(e.Grant), e.Factor, e.Outcome).Inc()
	case "refresh":
		if outcome, ok := refreshOutcomes[e.Outcome]; ok {
			m.refreshes.WithLabelValues(outcome).Inc()
		}
	case "login.locked":
		m.lockouts.Inc()
	default:
		if subject, step, _ := strings.Cut(e.Action, "."); step == "limited" && subject != "client" {
			m.limited(e.Outcome)
		}
	}
}

// GrantLabel returns the value of the label grant: the grant type, or the last part of one
// that is a URN.
func GrantLabel(grantType string) string {
	return grantType[strings.LastIndexByte(grantType, ':')+1:]
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
