package server

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"latchkey/grants"
	"latchkey/oauth/elasticpath"
	"latchkey/oauth/server/audit"
	"latchkey/oauth/token"
	"latchkey/otp"
	"latchkey/storage/gormstore"
)

const (
	maxSenders   = 200     // values of the label sender
	otherSenders = "other" // the value of further senders
)

// counters are the metrics that other packages count by functions. The values of their
// labels come from this program and from its configuration, never from a caller.
type counters struct {
	tokens     *prometheus.CounterVec
	limited    *prometheus.CounterVec
	attempts   *prometheus.CounterVec
	statements *prometheus.HistogramVec
	senders    boundedLabel
}

func newCounters(reg prometheus.Registerer) (*counters, error) {
	c := &counters{
		senders: boundedLabel{max: maxSenders, seen: map[string]bool{}},
		tokens: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "latchkey_tokens_issued_total",
			Help: "Access tokens that were issued.",
		}, []string{"grant"}),
		limited: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "latchkey_rate_limited_total",
			Help: "Requests that a limit refused with 429 or, if too many wait, with 503.",
		}, []string{"limiter"}),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "latchkey_delivery_attempts_total",
			Help: "Attempts to deliver a message by result: delivered, delayed, failed or expired.",
		}, []string{"sender", "result"}),
		statements: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "latchkey_database_statement_seconds",
			Help:    "Time from a statement to its last row, without the wait for others that commit with it.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5},
		}, []string{"statement", "result"}),
	}
	for _, grant := range []string{
		grants.GrantPassword, grants.GrantClientCredentials, grants.GrantRefreshToken,
		grants.GrantAccountMember, grants.GrantTokenExchange, grants.GrantImplicit,
	} {
		c.tokens.WithLabelValues(audit.GrantLabel(grant))
	}
	for _, limiter := range []string{"shield", "client_secret", "recipient", "client", "address", "backlog", "busy", signUpBudget, usernameBudget, senderTestBudget} {
		c.limited.WithLabelValues(limiter)
	}
	return c, errors.Join(reg.Register(c.tokens), reg.Register(c.limited), reg.Register(c.attempts), reg.Register(c.statements))
}

func (c *counters) issued(grantType string) {
	c.tokens.WithLabelValues(audit.GrantLabel(grantType)).Inc()
}

func (c *counters) refused(limiter string) { c.limited.WithLabelValues(limiter).Inc() }

func (c *counters) attempted(sender, result string) {
	c.attempts.WithLabelValues(c.senders.value(sender), result).Inc()
}

// statement counts a named statement. A statement that found no row has succeeded.
func (c *counters) statement(name string, took time.Duration, err error) {
	result := "ok"
	if err != nil {
		result = "error"
	}
	c.statements.WithLabelValues(name, result).Observe(took.Seconds())
}

// boundedLabel keeps the number of values of a label bounded.
type boundedLabel struct {
	max  int
	mu   sync.Mutex
	seen map[string]bool
}

// value returns the value, or otherSenders if max other ones were seen before.
func (b *boundedLabel) value(of string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.seen[of] {
		if len(b.seen) >= b.max {
			return otherSenders
		}
		b.seen[of] = true
	}
	return of
}

// countedTokens counts the tokens that the Elastic Path dialect makes itself.
type countedTokens struct {
	elasticpath.TokenMaker
	issued func(grantType string)
}

// MintAccountToken implements elasticpath.TokenMaker.
func (t countedTokens) MintAccountToken(ctx context.Context, r token.AccountTokenRequest) (string, error) {
	signed, err := t.TokenMaker.MintAccountToken(ctx, r)
	if err == nil {
		t.issued(grants.GrantAccountMember)
	}
	return signed, err
}

// registerProcess adds metrics of the program and of its process.
func registerProcess(reg prometheus.Registerer, version string) error {
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "latchkey_build_info", Help: "1 for the version of the program.",
		ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	return errors.Join(reg.Register(build), reg.Register(collectors.NewGoCollector()),
		reg.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})))
}

// registerHashes adds a metric of the password hashes that wait for a processor.
func registerHashes(reg prometheus.Registerer, waiting func() int64) error {
	return reg.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "latchkey_password_hashes_waiting",
		Help: "Password hashes that wait until others are computed.",
	}, func() float64 { return float64(waiting()) }))
}

// registerPools adds metrics of the connections to the database.
func registerPools(reg prometheus.Registerer, store *gormstore.Store) error {
	pool := poolMetrics{
		store:       store,
		connections: prometheus.NewDesc("latchkey_database_connections", "Connections to the database by state: idle or in_use.", []string{"pool", "state"}, nil),
		limit:       prometheus.NewDesc("latchkey_database_connections_max", "Connections that the pool may have; 0: no limit.", []string{"pool"}, nil),
		waits:       prometheus.NewDesc("latchkey_database_connection_waits_total", "Requests for a connection that had to wait.", []string{"pool"}, nil),
		waited:      prometheus.NewDesc("latchkey_database_connection_wait_seconds_total", "Time that requests for a connection have waited.", []string{"pool"}, nil),
	}
	return reg.Register(pool)
}

// poolMetrics are the metrics of the connection pools.
type poolMetrics struct {
	store                             *gormstore.Store
	connections, limit, waits, waited *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (p poolMetrics) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{p.connections, p.limit, p.waits, p.waited} {
		descs <- d
	}
}

// Collect implements prometheus.Collector.
func (p poolMetrics) Collect(metrics chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	for name, stats := range p.store.PoolStats() {
		s := stats()
		gauge(p.connections, float64(s.Idle), name, "idle")
		gauge(p.connections, float64(s.InUse), name, "in_use")
		gauge(p.limit, float64(s.MaxOpenConnections), name)
		metrics <- prometheus.MustNewConstMetric(p.waits, prometheus.CounterValue, float64(s.WaitCount), name)
		metrics <- prometheus.MustNewConstMetric(p.waited, prometheus.CounterValue, s.WaitDuration.Seconds(), name)
	}
}

// registerKeys adds a metric of the age of the keys that sign.
func registerKeys(reg prometheus.Registerer, since func() map[string]time.Time, now func() time.Time) error {
	return reg.Register(keyMetrics{since, now, prometheus.NewDesc("latchkey_signing_key_age_seconds",
		"For how long the key that signs with the algorithm has done so.", []string{"alg"}, nil)})
}

// keyMetrics is the metric of signing keys.
type keyMetrics struct {
	since func() map[string]time.Time
	now   func() time.Time
	desc  *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (k keyMetrics) Describe(descs chan<- *prometheus.Desc) { descs <- k.desc }

// Collect implements prometheus.Collector.
func (k keyMetrics) Collect(metrics chan<- prometheus.Metric) {
	for alg, since := range k.since() {
		metrics <- prometheus.MustNewConstMetric(k.desc, prometheus.GaugeValue, k.now().Sub(since).Seconds(), alg)
	}
}

// registerLoad adds metrics of what the database holds, for all servers on it.
func registerLoad(reg prometheus.Registerer, a *App) error {
	return reg.Register(loadMetrics{
		app:      a,
		messages: prometheus.NewDesc("latchkey_messages_queued", "Messages that are not delivered yet, of all servers on the database; 100000 at most.", nil, nil),
		oldest:   prometheus.NewDesc("latchkey_messages_oldest_seconds", "Age of the oldest message that is not delivered yet; 0: there is none.", nil, nil),
		sessions: prometheus.NewDesc("latchkey_sessions", "Refresh token families that are neither expired nor revoked, of all servers on the database; 100000 at most.", nil, nil),
	})
}

// loadMetrics are the metrics that ask the database when they are read.
type loadMetrics struct {
	app                        *App
	messages, oldest, sessions *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (l loadMetrics) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{l.messages, l.oldest, l.sessions} {
		descs <- d
	}
}

// Collect implements prometheus.Collector. Without an answer of the database the metrics
// are absent.
func (l loadMetrics) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), overdueTimeout)
	defer cancel()
	now := l.app.Now().UTC()
	load, err := l.app.Store.Load(ctx, now)
	if err != nil {
		l.app.Logger.Warn().Err(err).Msg("queued messages and sessions could not be counted")
		return
	}
	age := time.Duration(0)
	if load.QueuedMessages > 0 {
		age = max(0, now.Sub(load.OldestMessage))
	}
	for desc, value := range map[*prometheus.Desc]float64{
		l.messages: float64(load.QueuedMessages), l.oldest: age.Seconds(), l.sessions: float64(load.Sessions),
	} {
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value)
	}
}

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

// registerChangeDetection adds a metric of how the server learns of changes that other servers
// make to the configuration: 1 for the way that it uses, and 0 for the others.
func registerChangeDetection(reg prometheus.Registerer, store *gormstore.Store) error {
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
