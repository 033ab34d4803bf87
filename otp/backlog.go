package otp

import (
	"context"
	"fmt"
	"sync"
	"time"

	"latchkey/storage"
)

const (
	// sampleEvery is how often a replica counts the requests that wait.
	sampleEvery = time.Second
	// sampleStale is the age at which a count says nothing any more.
	sampleStale = 10 * time.Second
	// maxWaiting is how many requests may wait in all. Above it, a lane that has
	// more than its share is refused.
	maxWaiting = 20_000
	// assumedRate is how many requests are resolved in a second, until that has
	// been measured.
	assumedRate = 50.0
	// rateWeight is the weight of the latest second in the measured rate.
	rateWeight = 0.5
	// waitShare is the part of a code's life, 1/waitShare, that may pass before
	// its request is resolved. The rest is for the delivery and the user.
	waitShare = 2
)

// lane is whose requests wait for each other: workers take turns over the lanes.
type lane struct{ source, client string }

func laneOf(r *storage.CodeRequest) lane { return lane{r.Source, r.ClientID} }

// backlog knows how many requests wait for a worker: those of the last sample,
// and those that this replica has stored since. It decides which requests are
// taken at all: one that would not be resolved long before its code expires is
// refused at once, in place of a success that leads to nothing. The decision does
// not depend on the name that is asked for.
type backlog struct {
	mu      sync.Mutex
	sampled time.Time // zero: never
	lanes   map[lane]int
	total   int
	oldest  time.Time // since when the oldest request waits; zero: none does
	rate    float64   // requests resolved in a second, of all replicas
	counted int       // total of the last sample
}

// set replaces the sample.
func (b *backlog) set(waiting []storage.WaitingRequests, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before, left := b.counted, 0
	b.lanes, b.counted, b.oldest = make(map[lane]int, len(waiting)), 0, time.Time{}
	for _, w := range waiting {
		b.lanes[lane{w.Source, w.ClientID}] = w.Count
		b.counted += w.Count
		left += w.Count - w.New
		if b.oldest.IsZero() || w.Since.Before(b.oldest) {
			b.oldest = w.Since
		}
	}
	b.measure(before, left, now.Sub(b.sampled))
	b.sampled, b.total = now, b.counted
}

// measure corrects the rate: of the requests that waited before, some are left
// after the time that passed. Only if some are left was the rate all that the
// workers can do.
func (b *backlog) measure(before, left int, passed time.Duration) {
	if passed <= 0 || passed > sampleStale {
		return
	}
	served := float64(max(before-left, 0)) / passed.Seconds()
	if left > 0 {
		b.rate = rateWeight*served + (1-rateWeight)*b.rate
	} else {
		b.rate = max(b.rate, served)
	}
}

// inTwoSeconds returns how many requests are resolved in two seconds, as far as
// known.
func (b *backlog) inTwoSeconds() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return int(2 * b.rate)
}

// add counts a request that was stored.
func (b *backlog) add(r *storage.CodeRequest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lanes == nil {
		b.lanes = map[lane]int{}
	}
	b.lanes[laneOf(r)]++
	b.total++
}

// admit refuses a request whose code would have lost too much of its life before
// a worker gets to it. The error is a *storage.LimitError if the requests of its
// own lane are in the way, and storage.ErrUnavailable if those of all lanes are.
func (b *backlog) admit(r *storage.CodeRequest, now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Sub(b.sampled) > sampleStale {
		return nil
	}
	patience := r.ExpiresAt.Sub(r.CreatedAt) / waitShare
	own := b.lanes[laneOf(r)]
	if b.total >= maxWaiting && own > 0 && own >= maxWaiting/len(b.lanes) {
		return &storage.LimitError{Budget: budgetBacklog, Until: now.Add(b.wait(own))}
	}
	switch excess := b.wait(own) - patience; {
	case excess <= 0:
		return nil
	case own > 0 && b.wait(0) <= patience:
		return &storage.LimitError{Budget: budgetBacklog, Until: now.Add(max(excess, sampleEvery))}
	}
	return fmt.Errorf("%d requests wait, and %.1f are resolved in a second: %w", b.total, b.rate, storage.ErrUnavailable)
}

// budgetBacklog names the limit of requests that wait, for events.
const budgetBacklog = "backlog"

// longestWait is what wait answers when nothing is resolved at all.
const longestWait = 24 * time.Hour

// wait returns how long the next request of a lane waits that has so many
// already: each of them, and the next one, needs a turn of all lanes.
func (b *backlog) wait(own int) time.Duration {
	ahead := min((own+1)*(len(b.lanes)+1), b.total+1)
	seconds := float64(ahead) / max(b.rate, 1e-6)
	return min(time.Duration(min(seconds, longestWait.Seconds())*float64(time.Second)), longestWait)
}

// Backlog returns how many requests wait for a worker, of all replicas, and for
// how long the oldest of them has waited. It is up to a second old.
func (s *Service) Backlog() (waiting int, oldest time.Duration) {
	b := &s.backlog
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.oldest.IsZero() {
		return b.counted, 0
	}
	return b.counted, max(s.cfg.Now().Sub(b.oldest), 0)
}

// sample counts the waiting requests until ctx ends.
func (s *Service) sample(ctx context.Context) {
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	var last time.Time
	for {
		now := s.cfg.Now().UTC()
		bounded, cancel := context.WithTimeout(ctx, sampleStale)
		waiting, err := s.cfg.Store.WaitingRequests(bounded, now, last)
		cancel()
		if err == nil {
			s.backlog.set(waiting, now)
			last = now
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
