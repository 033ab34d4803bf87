package server

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

const (
	sweepEvery = time.Minute
	sweepSoon  = time.Second // after a batch of sweepRows or more
	// sweepRows and maxSweepRows bound a batch. It may take sweepTime: SQLite has one
	// writer, and an audit event waits while others are deleted.
	sweepRows      = 500
	maxSweepRows   = 16_000
	sweepTime      = 50 * time.Millisecond
	overdueTimeout = 2 * time.Second
)

// sweepStore deletes rows that have ended; see gormstore.Store.
type sweepStore interface {
	SweepTables() []string
	SweepTable(ctx context.Context, table string, now time.Time, limit int) (int, error)
	Overdue(ctx context.Context, now time.Time) (map[string]time.Duration, error)
}

// sweeper deletes rows that have ended while the server runs. Each round deletes one batch
// of each table, so no table waits for another. While a batch is full, the next round
// follows at once.
type sweeper struct {
	store   sweepStore
	log     zerolog.Logger
	now     func() time.Time
	tables  []string
	limits  map[string]int // rows in the next batch, by table
	deleted *prometheus.CounterVec
}

func newSweeper(store sweepStore, log zerolog.Logger, reg prometheus.Registerer, now func() time.Time) (*sweeper, error) {
	s := &sweeper{
		store: store, log: log, now: now, tables: store.SweepTables(), limits: map[string]int{},
		deleted: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "latchkey_sweep_rows_total",
			Help: "Rows that this server deleted because they had ended.",
		}, []string{"table"}),
	}
	for _, table := range s.tables {
		s.limits[table] = sweepRows
		s.deleted.WithLabelValues(table)
	}
	overdue := overdueRows{s, prometheus.NewDesc("latchkey_sweep_overdue_seconds",
		"For how long the oldest row that is to be deleted has been due, of all servers on the database; 0: there is none.", []string{"table"}, nil)}
	return s, errors.Join(reg.Register(s.deleted), reg.Register(overdue))
}

// run deletes rows until ctx ends.
func (s *sweeper) run(ctx context.Context) error {
	pause := time.NewTimer(sweepEvery)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-pause.C:
		}
		most, full := s.round(ctx)
		for full && ctx.Err() == nil {
			_, full = s.round(ctx)
		}
		if most >= sweepRows {
			pause.Reset(sweepSoon)
		} else {
			pause.Reset(sweepEvery)
		}
	}
}

// round deletes one batch of each table. It returns the number of rows of the largest
// batch, and whether any batch was full.
func (s *sweeper) round(ctx context.Context) (most int, full bool) {
	for _, table := range s.tables {
		limit, began, n := s.limits[table], s.now(), 0
		err := within(ctx, func(ctx context.Context) (err error) {
			n, err = s.store.SweepTable(ctx, table, began.UTC(), limit)
			return err
		})
		s.deleted.WithLabelValues(table).Add(float64(n))
		if err != nil {
			if ctx.Err() != nil {
				return 0, false
			}
			s.log.Warn().Err(err).Str("table", table).Msg("sweep failed")
		}
		most, full = max(most, n), full || n == limit
		s.limits[table] = nextSweepLimit(limit, n == limit, s.now().Sub(began))
	}
	return most, full
}

// nextSweepLimit returns the size of the next batch of a table, from the size and the time
// of the last one. The time contains waiting for others, so it takes much of it to make a
// batch smaller.
func nextSweepLimit(limit int, full bool, took time.Duration) int {
	switch {
	case took > 4*sweepTime:
		return max(limit/2, sweepRows)
	case full && took < sweepTime:
		return min(2*limit, maxSweepRows)
	}
	return limit
}

// overdueRows is a metric that asks the database when it is read.
type overdueRows struct {
	sweeper *sweeper
	desc    *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (o overdueRows) Describe(descs chan<- *prometheus.Desc) { descs <- o.desc }

// Collect implements prometheus.Collector. Without an answer of the database the metric is
// absent.
func (o overdueRows) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), overdueTimeout)
	defer cancel()
	overdue, err := o.sweeper.store.Overdue(ctx, o.sweeper.now().UTC())
	if err != nil {
		o.sweeper.log.Warn().Err(err).Msg("rows that are due for deletion could not be counted")
		return
	}
	for table, since := range overdue {
		metrics <- prometheus.MustNewConstMetric(o.desc, prometheus.GaugeValue, since.Seconds(), table)
	}
}
