package listen

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the metrics of the server itself. The values of labels are routes and
// status codes only, so that clients cannot create new ones.
type metrics struct {
	requests    *prometheus.HistogramVec
	inFlight    prometheus.Gauge
	connections prometheus.Gauge
	panics      prometheus.Counter
}

func newMetrics(reg *prometheus.Registry) (metrics, error) {
	m := metrics{
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "latchkey_http_request_duration_seconds",
			Help:    "Time from the first byte of a request's head to the end of its handler.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"method", "pattern", "status"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "latchkey_http_requests_in_flight",
			Help: "Requests that are being handled.",
		}),
		connections: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "latchkey_http_connections_open",
			Help: "Open connections to the API.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "latchkey_http_panics_total",
			Help: "Requests whose handler panicked.",
		}),
	}
	return m, errors.Join(reg.Register(m.requests), reg.Register(m.inFlight),
		reg.Register(m.connections), reg.Register(m.panics))
}

// observe counts a request. A pattern of net/http may begin with a method, which has a
// label of its own.
func (m metrics) observe(method, pattern string, status int, d time.Duration) {
	m.requests.WithLabelValues(method, pathOf(pattern), statusText(status)).Observe(d.Seconds())
}

// pathOf returns a pattern of net/http without its method.
func pathOf(pattern string) string { return pattern[strings.IndexByte(pattern, ' ')+1:] }

// statusText returns the status as text, without an allocation for common ones. The
// status is 0 if the answer ended before it had one.
func statusText(status int) string {
	switch status {
	case 200:
		return "200"
	case 400:
		return "400"
	case 401:
		return "401"
	}
	return strconv.Itoa(status)
}
