package server

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"latchkey/otp"
	"latchkey/storage/gormstore"
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

// registerHearing adds a metric of how the server learns of changes that other servers
// make to the configuration: 1 for the way that it uses, and 0 for the others.
func registerHearing(reg prometheus.Registerer, store *gormstore.Store) error {
	var errs []error
	for _, by := range []gormstore.HearsBy{gormstore.HearsByNotice, gormstore.HearsByAsking, gormstore.HearsNothing} {
		errs = append(errs, reg.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name:        "latchkey_configuration_changes",
			Help:        "1 for the way in which the server learns of changes to the configuration.",
			ConstLabels: prometheus.Labels{"by": string(by)},
		}, func() float64 {
			if store.HearsBy() == by {
				return 1
			}
			return 0
		})))
	}
	return errors.Join(errs...)
}
