package gormstore

import (
	"context"
	"crypto/rand"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// The channels of NOTIFY: configuration changed (see the trigger of 0019), there is work,
// and the proof that notifications arrive.
const (
	configChannel = "latchkey_config"
	workChannel   = "latchkey_work"
	proofChannel  = "latchkey_proof"
)

const (
	// pollInterval is how often a watch asks for changes if notifications do not arrive.
	pollInterval = 250 * time.Millisecond
	// checkInterval is how often a watch asks if notifications arrive. It limits the delay
	// after a lost notification and until a lost server is noticed.
	checkInterval = time.Second
	// askTimeout limits the time of one query for changes.
	askTimeout = 3 * time.Second
	// proofInterval is how often a watch sends itself a test notification.
	proofInterval = 2 * time.Second
	// provenFor is how long notifications count as working after a test notification
	// arrived.
	provenFor = 3 * proofInterval
)

// postgresWatch learns of changes from the table config_changes. Notifications only say
// when to look. So a lost notification leaves the cache stale for at most a second.
type postgresWatch struct {
	changeWatch
	dialect  *postgres
	conn     *pgx.Conn
	snapshot string // which transactions had ended when changes were last read

	began   time.Time
	proof   string    // payload of the notifications to itself
	proven  time.Time // when one last arrived
	warned  bool      // that none arrives
	asking  bool      // a statement runs on conn
	notices []*pgconn.Notification
}

// watch learns of changes until the database does not answer.
func (p *postgres) watch(ctx context.Context, s *Store) (err error) {
	w := &postgresWatch{changeWatch: changeWatch{store: s}, dialect: p, began: time.Now(), proof: rand.Text()}
	conn, to, err := p.direct.dial(ctx, func(_ *pgconn.PgConn, n *pgconn.Notification) { w.notified(n) })
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // nothing depends on a polite end
	w.conn = conn.Conn()
	p.connector.reached(to)
	epoch := p.connector.epoch.Load()
	defer func() {
		if err != nil && ctx.Err() == nil {
			p.connector.leave(epoch) // idle connections are most likely as dead as this one
			p.direct.avoid()
		}
	}()
	if err := w.listen(ctx); err != nil {
		return err
	}
	p.listening.Store(w.conn.PgConn().PID())
	defer p.listening.Store(0)
	proving, end := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); w.prove(proving) }()
	defer func() { end(); <-ended }()
	return w.run(ctx)
}

func (w *postgresWatch) listen(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	_, err := w.conn.Exec(ctx, "LISTEN "+configChannel+"; LISTEN "+workChannel+"; LISTEN "+proofChannel)
	return err
}

func (w *postgresWatch) run(ctx context.Context) error {
	for {
		if err := w.ask(ctx); err != nil {
			return err
		}
		w.deleteOld(ctx, "DELETE FROM config_changes WHERE changed_at < extract(epoch FROM now())::bigint - "+seconds(keepChanges))
		if err := w.wait(ctx, w.interval()); err != nil {
			return err
		}
	}
}

// notified is called by the driver. A pooler may forward a notification while a statement
// runs. So only a notification that arrives while no statement runs proves that they work.
func (w *postgresWatch) notified(n *pgconn.Notification) {
	switch {
	case n.Channel != proofChannel:
		w.notices = append(w.notices, n)
	case n.Payload == w.proof && !w.asking:
		w.proven = time.Now()
	}
}

// changesRow is a change, or none at all, with the state of the database.
type changesRow struct {
	snapshot  string
	kind, key *string
}

// ask reads the changes of the transactions that ended since the last call. It compares
// snapshots and not sequence numbers, because transactions do not end in the order of their
// numbers.
func (w *postgresWatch) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	w.asking = true
	defer func() { w.asking = false }()
	asked := time.Now()
	sql, args := "SELECT CAST(pg_current_snapshot() AS TEXT), NULL, NULL", []any(nil)
	if w.snapshot != "" {
		sql, args = `SELECT CAST(pg_current_snapshot() AS TEXT), c.kind, c.key FROM (SELECT 1) one
			LEFT JOIN config_changes c ON c.changed_by >= pg_snapshot_xmin(CAST(CAST($1 AS TEXT) AS pg_snapshot))
				AND NOT pg_visible_in_snapshot(c.changed_by, CAST(CAST($1 AS TEXT) AS pg_snapshot))
			LIMIT `+strconv.Itoa(maxChanges+1), []any{w.snapshot}
	}
	rows, err := w.conn.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r changesRow, err error) {
		err = row.Scan(&r.snapshot, &r.kind, &r.key)
		return r, err
	})
	if err != nil {
		return err
	}
	var changes []configChange
	for _, r := range found {
		if w.snapshot = r.snapshot; r.kind != nil && r.key != nil {
			changes = append(changes, configChange{*r.kind, *r.key})
		}
	}
	w.learn(asked, changes)
	return nil
}

// wait returns after the interval, or earlier if a notification of a change arrives. It
// calls the store's work for each notification of work from another store.
func (w *postgresWatch) wait(ctx context.Context, interval time.Duration) error {
	waiting, cancel := context.WithTimeout(ctx, interval)
	defer cancel()
	for {
		changed := false
		for _, n := range w.notices {
			changed = changed || n.Channel == configChannel
			if n.Channel == workChannel && n.Payload != w.dialect.signature() {
				w.store.work()
			}
		}
		if w.notices = nil; changed {
			return nil
		}
		switch err := w.conn.PgConn().WaitForNotification(waiting); {
		case ctx.Err() != nil:
			return ctx.Err()
		case waiting.Err() != nil:
			return nil
		case err != nil:
			return err
		}
	}
}

// interval returns when to ask again, and says in the log when that changes.
func (w *postgresWatch) interval() time.Duration {
	s := w.store
	if time.Since(w.proven) < provenFor {
		s.hearsBy.Store(HearsByNotice)
		if w.warned {
			s.log.Info().Msg("notifications of the database arrive again")
			w.warned = false
		}
		return checkInterval
	}
	s.hearsBy.Store(HearsByAsking)
	if !w.warned && time.Since(w.began) > provenFor {
		w.warned = true
		s.log.Warn().Msg("notifications of the database do not arrive, as behind a pooler in transaction mode; " +
			"polling for changes of configuration")
	}
	return pollInterval
}

// prove sends test notifications to this store through the connections that write, until
// ctx ends. Its errors do not matter: interval notices that no test notification arrives.
func (w *postgresWatch) prove(ctx context.Context) {
	tick := time.NewTicker(proofInterval)
	defer tick.Stop()
	for {
		sending, cancel := context.WithTimeout(ctx, proofInterval)
		_, _ = w.store.pools.write.ExecContext(sending, "SELECT pg_notify($1, $2)", proofChannel, w.proof)
		cancel()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// signature marks the notifications of work that this store sends, so that it ignores them
// itself.
func (p *postgres) signature() string { return strconv.FormatUint(uint64(p.listening.Load()), 10) }

// notifyOthers notifies in a transaction of its own. A commit that notifies takes a lock of
// the whole database server, and no other commit should wait for it.
func (p *postgres) notifyOthers(ctx context.Context, s *Store) error {
	_, err := s.exec(ctx, "notify of work", "SELECT pg_notify(?, ?)", workChannel, p.signature())
	return err
}

// seconds is a duration in SQL.
func seconds(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }
