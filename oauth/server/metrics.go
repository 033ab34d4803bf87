package server

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"latchkey/otp"
)

// registerBacklog adds metrics of the requests that no worker has resolved yet. They
// count the requests of all servers on the database.
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
