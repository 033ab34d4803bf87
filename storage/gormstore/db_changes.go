package gormstore

import (
	"context"
	"time"
)

// pause is how long Run waits before it listens anew after an error.
const pause = time.Second

// OnChange registers what is to be called after any change of configuration
// (realms, profiles, clients and their secrets, senders, keys), whoever made
// it, and whenever a change may have been missed. Calls come one at a time from
// Run, which waits for them. Register before Run.
func (s *Store) OnChange(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onChange = append(s.onChange, f)
}

// Run listens for changes until ctx ends, and then returns nil. While it
// listens configuration is served from memory: PostgreSQL tells of a change at
// its commit, SQLite is asked four times a second.
func (s *Store) Run(ctx context.Context) error {
	for {
		err := s.dialect.watch(ctx, s, hearing{changes: s.heard, work: s.work})
		s.cache.deafen()
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was told to end
		}
		s.log.Warn().Err(err).Msg("not listening for changes of configuration; reading it from the database")
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// OnWork registers what is to be called when another process says that there
// are requests or messages it cannot take (see TellOthers), and when the leases of a
// server that is gone have ended. f must be safe for concurrent use. Register before
// Run and Registration.Keep.
func (s *Store) OnWork(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onWork = append(s.onWork, f)
}

// OnRecovery registers what is to be called when the database answers again after it
// did not, as far as Run or Registration.Keep notice it. f must be safe for concurrent
// use. Register before both.
func (s *Store) OnRecovery(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onRecovery = append(s.onRecovery, f)
}

// TellOthers lets the stores of other processes call what their OnWork
// registered. Nobody may rely on it: who does not hear looks for work every
// second. With SQLite it does nothing.
func (s *Store) TellOthers(ctx context.Context) error { return s.dialect.tell(ctx, s) }

func (s *Store) heard() {
	s.cache.listen()
	s.call(&s.onChange)
	s.call(&s.onRecovery)
}

func (s *Store) work() { s.call(&s.onWork) }

func (s *Store) call(registered *[]func()) {
	s.mu.Lock()
	calls := *registered
	s.mu.Unlock()
	for _, f := range calls {
		f()
	}
}
