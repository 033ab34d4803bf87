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
		err := s.dialect.watch(ctx, s, s.heard)
		s.cache.deafen()
		if ctx.Err() != nil {
			return nil
		}
		s.log.Warn().Err(err).Msg("not listening for changes of configuration; reading it from the database")
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

func (s *Store) heard() {
	s.cache.listen()
	s.mu.Lock()
	calls := s.onChange
	s.mu.Unlock()
	for _, f := range calls {
		f()
	}
}
