package poll

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"

	"latchkey/storage"
)

const (
	interval     = time.Second      // between claims when nobody wakes the loop
	longestPause = 8 * time.Second  // between claims while they fail
	claimLimit   = 10 * time.Second // for one claim
)

// Config is what a Loop needs. All fields but Freed are required.
type Config[T any] struct {
	// Name says in the log whose loop it is.
	Name string
	// Claim leases at most limit items that are due; more says that it may
	// have left some that could be begun at once. The loop calls it and Freed
	// one at a time.
	Claim func(ctx context.Context, limit int) (items []T, more bool, err error)
	// Freed is told of each item that is done, and says whether that makes
	// room for items which Claim had to leave. Nil: never.
	Freed func(T) bool
	// Work finishes one item. An error is logged; the item comes back when
	// its lease is over.
	Work func(context.Context, T) error
	// WorkLimit is the time that Work has; it must be shorter than the lease.
	WorkLimit time.Duration
	// Concurrency is how many items are worked on at a time. No more are
	// claimed than can be begun at once, so no lease is spent on waiting.
	Concurrency int
	Logger      zerolog.Logger
}

// Loop claims items and works on them.
type Loop[T any] struct {
	Config[T]
	wake chan struct{}
}

// New returns a loop that Run starts.
func New[T any](cfg Config[T]) *Loop[T] {
	if cfg.Freed == nil {
		cfg.Freed = func(T) bool { return false }
	}
	return &Loop[T]{Config: cfg, wake: make(chan struct{}, 1)}
}

// Wake makes the loop claim at once instead of at its next second. It never
// blocks.
func (l *Loop[T]) Wake() {
	select {
	case l.wake <- struct{}{}:
	default: // a wake is pending already
	}
}

// Run works until ctx ends, then finishes what was begun and returns. Work
// does not see the end of ctx, only its own limit.
func (l *Loop[T]) Run(ctx context.Context) {
	var claims, works outage
	ended := make(chan done[T], l.Concurrency)
	busy, due, pause := 0, true, interval
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for ctx.Err() == nil {
		if free := l.Concurrency - busy; due && free > 0 {
			items, more, err := l.claim(ctx, free)
			if ctx.Err() == nil { // stopping is no failure
				claims.note(l.Logger, l.Name+": claiming", err)
			}
			l.begin(ctx, items, ended)
			busy += len(items)
			due = more
			pause = nextPause(pause, err)
			timer.Reset(pause)
			if due && busy < l.Concurrency {
				continue // Claim took less than the loop has room for, and wants to take more
			}
		}
		wake := l.wake
		if claims.on {
			wake = nil // a busy caller must not undo the pause
		}
		select {
		case <-ctx.Done():
		case <-wake:
			due = true
		case <-timer.C:
			due = true
		case d := <-ended:
			busy--
			due = l.Freed(d.item) || due
			works.note(l.Logger, l.Name+": work", d.err)
		}
	}
	for ; busy > 0; busy-- {
		works.note(l.Logger, l.Name+": work", (<-ended).err)
	}
}

// done is an item with the answer of its work.
type done[T any] struct {
	item T
	err  error
}

func (l *Loop[T]) claim(ctx context.Context, limit int) ([]T, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, claimLimit)
	defer cancel()
	return l.Claim(ctx, limit)
}

func (l *Loop[T]) begin(ctx context.Context, items []T, ended chan<- done[T]) {
	for _, item := range items {
		go func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.WorkLimit)
			defer cancel()
			ended <- done[T]{item, l.Work(ctx, item)}
		}()
	}
}

// nextPause returns the time to the next claim when nobody wakes the loop.
func nextPause(last time.Duration, err error) time.Duration {
	if err == nil {
		return interval
	}
	return min(2*last, longestPause)
}

// Retry calls f again, with growing pauses, for as long as the storage cannot
// be asked and ctx has not ended. It returns the last answer of f.
func Retry(ctx context.Context, f func(context.Context) error) error {
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		err := f(ctx)
		if !errors.Is(err, storage.ErrUnavailable) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// outage logs that something fails, and that it works again, once each.
type outage struct{ on bool }

func (o *outage) note(log zerolog.Logger, what string, err error) {
	switch {
	case err != nil && !o.on:
		log.Error().Err(err).Msg(what + " fails, will be tried again")
	case err == nil && o.on:
		log.Info().Msg(what + " succeeds again")
	}
	o.on = err != nil
}
