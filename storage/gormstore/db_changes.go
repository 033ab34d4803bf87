package gormstore

import (
	"context"
	"time"
)

const (
	// pause is how long Run waits before it watches anew after an error.
	pause = time.Second
	// maxChanges limits the changes that are read at once. If there are more, all records
	// count as changed and are read again.
	maxChanges = 10_000
	// keepChanges is how long a change stays in the table config_changes. A store that did
	// not read the table for that long drops its whole cache.
	keepChanges = time.Hour
	// tidyChangesEvery is how often a watch deletes older ones.
	tidyChangesEvery = 10 * time.Minute
)

// HearsBy is the way in which a store learns of changes that other processes make.
type HearsBy string

// The ways to learn of changes.
const (
	HearsNothing  HearsBy = "nothing"   // the database does not answer, or Run does not run: every read goes to the database
	HearsByNotice HearsBy = "listening" // PostgreSQL notifies at each commit
	HearsByAsking HearsBy = "polling"   // the database is asked four times a second
)

// HearsBy returns the way in which the store learns of changes now.
func (s *Store) HearsBy() HearsBy {
	if by, ok := s.hearsBy.Load().(HearsBy); ok {
		return by
	}
	return HearsNothing
}

// OnChange registers a function that is called after every change of configuration (realms,
// profiles, clients and their secrets, senders, keys) by any process, and whenever a change
// may have been missed. Run calls the functions one at a time and waits for them. Call
// OnChange before Run.
func (s *Store) OnChange(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onChange = append(s.onChange, f)
}

// Run watches for changes until ctx ends, and then returns nil. While it does,
// configuration is served from memory. The database is asked for changes once a
// second or more often; PostgreSQL also notifies of each change at its commit. If
// its notifications do not arrive, as behind a pooler in transaction mode, or with
// SQLite, the database is asked four times a second. While it does not answer,
// nothing is served from memory.
func (s *Store) Run(ctx context.Context) error {
	for {
		err := s.dialect.watch(ctx, s)
		s.cache.unwatch()
		s.hearsBy.Store(HearsNothing)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the caller ended ctx
		}
		s.log.Warn().Err(err).Msg("not watching for changes of configuration; reading it from the database")
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// OnWork registers a function that is called when another process has called NotifyOthers,
// because it cannot take all requests or messages, and when the leases of a lost server
// have ended. f must be safe for concurrent use. Call OnWork before Run and
// Registration.Keep.
func (s *Store) OnWork(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onWork = append(s.onWork, f)
}

// OnRecovery registers a function that is called when Run or Registration.Keep notice that
// the database answers again after an outage. f must be safe for concurrent use. Call
// OnRecovery before both.
func (s *Store) OnRecovery(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onRecovery = append(s.onRecovery, f)
}

// NotifyOthers makes the stores of other processes call the functions that were
// registered with OnWork. A notification can be lost, so each process also looks for work
// every second. With SQLite NotifyOthers does nothing. It returns the error of the database.
func (s *Store) NotifyOthers(ctx context.Context) error { return s.dialect.notifyOthers(ctx, s) }

func (s *Store) work() { s.call(&s.onWork) }

func (s *Store) call(registered *[]func()) {
	s.mu.Lock()
	calls := *registered
	s.mu.Unlock()
	for _, f := range calls {
		f()
	}
}

// changeWatch applies the changes that the watch of either database finds.
type changeWatch struct {
	store *Store
	asked time.Time // when the database was last asked; zero: never
	tidy  time.Time // when older changes are to be deleted
}

// learn removes from the cache the records that the changes concern. The database returned
// the changes when it was asked at the time asked.
func (w *changeWatch) learn(asked time.Time, changes []configChange) {
	c := w.store.cache
	missed := asked.Sub(w.asked) > keepChanges/2 || len(changes) > maxChanges
	switch {
	case w.asked.IsZero():
		c.watch()
	case missed:
		c.forget(configChange{})
	default:
		c.forget(changes...)
	}
	c.confirm(asked)
	if missed || len(changes) > 0 {
		w.store.call(&w.store.onChange)
	}
	if w.asked.IsZero() {
		w.store.call(&w.store.onRecovery)
	}
	w.asked = asked
}

// deleteOld executes sql, which deletes old changes, every tidyChangesEvery. An error is
// only logged, because the next call tries again.
func (w *changeWatch) deleteOld(ctx context.Context, sql string) {
	if time.Now().Before(w.tidy) {
		return
	}
	w.tidy = time.Now().Add(tidyChangesEvery)
	if _, err := w.store.pools.write.ExecContext(ctx, sql); err != nil {
		w.store.log.Debug().Err(err).Msg("deletion of old changes of configuration failed")
	}
}
