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
	// fetchTimeout is how long one reading of the keys may take.
	fetchTimeout = 10 * time.Second
	// retryPause is between readings while they fail.
	retryPause = time.Second
)

var errUnknownKey = errors.New("unknown key")

// key is a published key and the one algorithm that it is for.
type key struct {
	alg    string
	public any
}

// snapshot is a key set as it was read once.
type snapshot struct {
	keys        map[string]key
	freshUntil  time.Time // nobody reads it again before that, but for an unknown key
	usableUntil time.Time
}

// fetch is one reading of the keys that any number of requests wait for.
type fetch struct {
	done chan struct{} // closed when it has ended
	err  error         // valid afterwards
}

// keySet keeps the keys of the issuer. Finding a known key takes no lock and
// waits for nobody.
type keySet struct {
	source   *source
	maxStale time.Duration
	interval time.Duration // between readings that an unknown key causes
	now      func() time.Time
	log      *slog.Logger

	current atomic.Pointer[snapshot]

	mu      sync.Mutex
	running *fetch
	tried   time.Time // when the last reading began
	failed  error     // how it ended
}

func newKeySet(cfg Config) *keySet {
	s := &keySet{
		source: newSource(cfg), maxStale: cfg.MaxStale, interval: cfg.RefetchInterval,
		now: cfg.Now, log: cfg.Logger,
	}
	s.current.Store(&snapshot{})
	return s
}

// find returns the key with exactly that kid, errUnknownKey if the issuer has
// none, or ErrUnavailable if that cannot be said.
func (s *keySet) find(ctx context.Context, kid string) (key, error) {
	now, known := s.now(), s.current.Load()
	if k, ok := known.keys[kid]; ok && now.Before(known.usableUntil) {
		if !now.Before(known.freshUntil) {
			_, _ = s.begin(ctx, now) // this request does not wait for it
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

// refresh returns when the keys have been read, or at once if it is too early to
// read them again: then with the failure of the last time, if it was one.
func (s *keySet) refresh(ctx context.Context, now time.Time) error {
	f, err := s.begin(ctx, now)
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

// begin returns the reading that is under way, or begins one. It is nil if it is
// too early for that.
func (s *keySet) begin(ctx context.Context, now time.Time) (*fetch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running != nil {
		return s.running, nil
	}
	pause := retryPause
	if s.failed == nil && now.Before(s.current.Load().freshUntil) {
		pause = s.interval // there is nothing to expect but what a forger made up
	}
	if now.Before(s.tried.Add(pause)) {
		return nil, s.failed
	}
	s.tried = now
	s.running = &fetch{done: make(chan struct{})}
	// Others wait for it as well, so it outlives the request that began it.
	go s.run(context.WithoutCancel(ctx), s.running)
	return s.running, nil
}

func (s *keySet) run(ctx context.Context, f *fetch) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	read := s.now() // the keys may be older than the answer, never newer
	keys, maxAge, err := s.source.fetch(ctx)
	if err != nil {
		s.log.WarnContext(ctx, "the keys of the issuer cannot be read", "error", err)
	} else {
		fresh := read.Add(maxAge)
		s.current.Store(&snapshot{keys: keys, freshUntil: fresh, usableUntil: fresh.Add(s.maxStale)})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f.err, s.failed, s.running = err, err, nil
	close(f.done)
}
