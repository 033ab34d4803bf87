package poll

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"

	"latchkey/storage"
)

const (
	interval     = time.Second      // between claims if Wake is not called
	longestPause = 8 * time.Second  // between claims while they fail
	claimLimit   = 10 * time.Second // timeout of one claim
	stopLimit    = 2 * time.Second  // timeout of a claim that runs when the loop is stopped
)

// Config configures a Loop. All fields except Freed and Admit are required.
type Config[T any] struct {
	// Name identifies the loop in the log.
	Name string
	// Claim leases at most limit items that are due. more reports whether further
	// items may be due. The loop never calls Claim and Freed concurrently.
	Claim func(ctx context.Context, limit int) (items []T, more bool, err error)
	// Freed is called for each finished item. It reports whether Claim can now take
	// items that it had to leave before. Nil: never.
	Freed func(T) bool
	// Admit reports whether an item with the key of Reserve may be worked on without
	// having been claimed. The loop never calls it concurrently with Claim and Freed, and
	// calls Freed for the item. Nil: always.
	Admit func(key string) bool
	// Work processes one item. An error is logged, and the item is claimed again when
	// its lease ends.
	Work func(context.Context, T) error
	// WorkLimit is the timeout of Work. It must be shorter than the lease.
	WorkLimit time.Duration
	// Concurrency is the number of items that are processed at a time. The loop claims
	// no more items than it can start at once, so no item waits under its lease.
	Concurrency int
	Logger      zerolog.Logger
}

// Loop claims items and processes them.
type Loop[T any] struct {
	Config[T]
	wake    chan struct{}
	resume  chan struct{}
	reserve chan reservation
	ended   chan done[T]
}

// New returns a Loop. Run starts it.
func New[T any](cfg Config[T]) *Loop[T] {
	if cfg.Freed == nil {
		cfg.Freed = func(T) bool { return false }
	}
	if cfg.Admit == nil {
		cfg.Admit = func(string) bool { return true }
	}
	return &Loop[T]{
		Config: cfg, wake: make(chan struct{}, 1), resume: make(chan struct{}, 1),
		reserve: make(chan reservation), ended: make(chan done[T], cfg.Concurrency),
	}
}

// Wake makes the loop claim at once instead of after the current pause, unless claims
// fail. It never blocks.
func (l *Loop[T]) Wake() { signal(l.wake) }

// reservation asks the loop for room for one item.
type reservation struct {
	key      string
	admitted chan bool
}

// Reserve reserves room for one item that the caller is about to store in the queue with a
// lease. Then the item need not be claimed. Reserve returns false if the loop is busy,
// because waiting items go first. It does not wait for them. If it returns true, the caller
// must call give once. stored is false if the item could not be stored.
func (l *Loop[T]) Reserve(key string) (give func(item T, stored bool), ok bool) {
	r := reservation{key, make(chan bool, 1)}
	select {
	case l.reserve <- r:
	default:
		return nil, false
	}
	if !<-r.admitted {
		return nil, false
	}
	return func(item T, stored bool) {
		if stored {
			l.begin(context.Background(), []T{item})
		} else {
			l.ended <- done[T]{item: item}
		}
	}, true
}

// Resume makes the loop claim at once if claims have failed. It is for callers who have
// seen that the database answers again. It never blocks.
func (l *Loop[T]) Resume() { signal(l.resume) }

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default: // a signal is pending already
	}
}

// Run claims and processes items until ctx ends. Then it waits for the items in progress
// and returns. The end of ctx does not cancel Work, only WorkLimit does. A claim that is
// running gets two more seconds: the database may have committed it already, and without
// its result the claimed items would wait until their lease ends.
func (l *Loop[T]) Run(ctx context.Context) {
	var claims, works outage
	busy, due, pause := 0, true, interval
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for ctx.Err() == nil {
		if free := l.Concurrency - busy; due && free > 0 {
			items, more, err := l.claim(ctx, free)
			claims.note(l.Logger, l.Name+": claiming", err)
			l.begin(ctx, items)
			busy += len(items)
			due = more
			pause = nextPause(pause, err)
			timer.Reset(pause)
			if due && busy < l.Concurrency {
				continue // Claim took less than the loop has room for, and wants to take more
			}
		}
		wake, reserve := l.wake, l.reserve
		if claims.on {
			wake = nil // calls of Wake must not shorten the pause
		}
		if claims.on || due || busy >= l.Concurrency {
			reserve = nil
		}
		select {
		case <-ctx.Done():
		case <-wake:
			due = true
		case <-l.resume:
			due = due || claims.on
		case <-timer.C:
			due = true
		case r := <-reserve:
			admitted := l.Admit(r.key)
			if admitted {
				busy++
			}
			r.admitted <- admitted
		case d := <-l.ended:
			busy--
			due = l.Freed(d.item) || due
			works.note(l.Logger, l.Name+": work", d.err)
		}
	}
	for ; busy > 0; busy-- {
		works.note(l.Logger, l.Name+": work", (<-l.ended).err)
	}
}

// done is a finished item with the error of Work.
type done[T any] struct {
	item T
	err  error
}

// claim calls Claim with a timeout.
func (l *Loop[T]) claim(running context.Context, limit int) ([]T, bool, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(running), claimLimit)
	defer cancel()
	stopping := context.AfterFunc(running, func() { time.AfterFunc(stopLimit, cancel) })
	defer stopping()
	return l.Claim(ctx, limit)
}

// begin starts Work for each item.
func (l *Loop[T]) begin(ctx context.Context, items []T) {
	for _, item := range items {
		go func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.WorkLimit)
			defer cancel()
			l.ended <- done[T]{item, l.Work(ctx, item)}
		}()
	}
}

// nextPause returns the time until the next claim if Wake is not called. last is the
// previous pause and err the error of the latest claim.
func nextPause(last time.Duration, err error) time.Duration {
	if err == nil {
		return interval
	}
	return min(2*last, longestPause)
}

// Retry calls f until it returns an error other than storage.ErrUnavailable, or nil, or
// until ctx ends. The pauses between calls grow from 100 ms to 2 s. Retry returns the
// last result of f.
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

// outage logs once when something begins to fail, and once when it works again.
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
