package resource

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	fetchTimeout = 10 * time.Second // limit of one fetch of the keys
	retryPause   = time.Second      // between fetches while they fail
)

var errUnknownKey = errors.New("unknown key")

// key is a published key with its only algorithm.
type key struct {
	alg    string
	public any
}

// snapshot is the key set of one fetch.
type snapshot struct {
	keys        map[string]key
	freshUntil  time.Time // before that, only an unknown key causes another fetch
	usableUntil time.Time // after that the keys are not used any more
}

// fetch is one fetch of the keys. Any number of requests can wait for it.
type fetch struct {
	done chan struct{} // closed at the end
	err  error         // valid after done is closed
}

// keySet caches the keys of the issuer. Finding a known key takes no lock and waits for
// nothing.
type keySet struct {
	source   *keySource
	maxStale time.Duration
	interval time.Duration // between fetches that unknown keys cause
	now      func() time.Time
	log      *slog.Logger

	current atomic.Pointer[snapshot]

	mu      sync.Mutex
	running *fetch
	lastTry time.Time // when the last fetch started
	lastErr error     // of the last fetch
}

func newKeySet(cfg Config) *keySet {
	s := &keySet{
		source: newKeySource(cfg), maxStale: cfg.MaxStale, interval: cfg.RefetchInterval,
		now: cfg.Now, log: cfg.Logger,
	}
	s.current.Store(&snapshot{})
	return s
}

// find returns the key with exactly the kid. It returns errUnknownKey if the issuer has
// no such key, or ErrUnavailable if the keys could not be fetched.
func (s *keySet) find(ctx context.Context, kid string) (key, error) {
	now, known := s.now(), s.current.Load()
	if k, ok := known.keys[kid]; ok && now.Before(known.usableUntil) {
		if !now.Before(known.freshUntil) {
			_, _ = s.start(ctx, now) // in the background
		}
		return k, nil
	}
	if err := s.refresh(ctx, now); err != nil {
		return key{}, fmt.Errorf("%w: keys of the issuer: %w", ErrUnavailable, err)
	}
	if k, ok := s.current.Load().keys[kid]; ok {
		return k, nil
	}
	return key{}, errUnknownKey
}

// refresh fetches the keys, or waits for the fetch that is running. If it is too early
// for another fetch, it returns the error of the last one at once.
func (s *keySet) refresh(ctx context.Context, now time.Time) error {
	f, err := s.start(ctx, now)
	if f == nil {
		return err
	}
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// start returns the running fetch, or starts one. If it is too early for another fetch,
// it returns nil and the error of the last one.
func (s *keySet) start(ctx context.Context, now time.Time) (*fetch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running != nil {
		return s.running, nil
	}
	pause := retryPause
	if s.lastErr == nil && now.Before(s.current.Load().freshUntil) {
		pause = s.interval // the keys are fresh, so an unknown key is probably forged
	}
	if now.Before(s.lastTry.Add(pause)) {
		return nil, s.lastErr
	}
	s.lastTry = now
	s.running = &fetch{done: make(chan struct{})}
	// Other requests wait for it as well, so the end of ctx must not end it.
	go s.run(context.WithoutCancel(ctx), s.running)
	return s.running, nil
}

// run fetches the keys and stores them.
func (s *keySet) run(ctx context.Context, f *fetch) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	fetched := s.now() // the keys are at least as old as this
	keys, maxAge, err := s.source.fetch(ctx)
	if err != nil {
		s.log.WarnContext(ctx, "cannot fetch the keys of the issuer", "error", err)
	} else {
		fresh := fetched.Add(maxAge)
		s.current.Store(&snapshot{keys: keys, freshUntil: fresh, usableUntil: fresh.Add(s.maxStale)})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f.err, s.lastErr, s.running = err, err, nil
	close(f.done)
}
