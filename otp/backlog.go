package otp

import (
	"context"
	"fmt"
	"sync"
	"time"

	"latchkey/storage"
)

const (
	// sampleEvery is the time between two counts of the waiting requests.
	sampleEvery = time.Second
	// sampleStale is the age from which on a count is ignored.
	sampleStale = 10 * time.Second
	// maxWaiting is the highest number of waiting requests of all queues. Above it,
	// requests of a queue that has more than its share are refused.
	maxWaiting = 20_000
	// assumedRate is the number of requests resolved in a second, until it has been
	// measured.
	assumedRate = 50.0
	// rateWeight is the weight of the latest sample in the measured rate.
	rateWeight = 0.5
	// maxWaitShare limits the wait: 1/maxWaitShare of a code's lifetime may pass before
	// its request is resolved. The rest is for the delivery and the user.
	maxWaitShare = 2
)

// queueKey identifies a queue of requests. Each pair of source and client has its own
// queue, and workers alternate between the queues.
type queueKey struct{ source, client string }

func queueKeyOf(r *storage.CodeRequest) queueKey { return queueKey{r.Source, r.ClientID} }

// backlog counts the requests that wait for a worker: those of the last sample, and
// those that this replica has stored since. It refuses a request that would not be
// resolved long before its code expires. The decision does not depend on the
// username in the request.
type backlog struct {
	mu      sync.Mutex
	sampled time.Time // zero: never
	queues  map[queueKey]int
	total   int
	oldest  time.Time // when the oldest waiting request was stored; zero: none waits
	rate    float64   // requests resolved in a second by all replicas
	counted int       // total of the last sample, without requests stored since
}

// set replaces the sample.
func (b *backlog) set(waiting []storage.WaitingRequests, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before, left := b.counted, 0
	b.queues, b.counted, b.oldest = make(map[queueKey]int, len(waiting)), 0, time.Time{}
	for _, w := range waiting {
		b.queues[queueKey{w.Source, w.ClientID}] = w.Count
		b.counted += w.Count
		left += w.Count - w.New
		if b.oldest.IsZero() || w.Since.Before(b.oldest) {
			b.oldest = w.Since
		}
	}
	b.measure(before, left, now.Sub(b.sampled))
	b.sampled, b.total = now, b.counted
}

// measure updates the rate. before is the number of requests that waited at the
// last sample, and left the number of them that still wait after the time passed.
// If none is left, the workers may be able to do more, so the rate does not fall.
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

// inTwoSeconds returns the number of requests that are resolved in two seconds at
// the measured rate.
func (b *backlog) inTwoSeconds() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return int(2 * b.rate)
}

// add counts a request that was stored.
func (b *backlog) add(r *storage.CodeRequest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.queues == nil {
		b.queues = map[queueKey]int{}
	}
	b.queues[queueKeyOf(r)]++
	b.total++
}

// admit refuses a request that would be resolved too late; see maxWaitShare. The
// error is a *storage.LimitError if the requests in its own queue are the cause, and
// storage.ErrUnavailable if the requests of all queues are.
func (b *backlog) admit(r *storage.CodeRequest, now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Sub(b.sampled) > sampleStale {
		return nil
	}
	maxWait := r.ExpiresAt.Sub(r.CreatedAt) / maxWaitShare
	own := b.queues[queueKeyOf(r)]
	if b.total >= maxWaiting && own > 0 && own >= maxWaiting/len(b.queues) {
		return &storage.LimitError{Budget: budgetBacklog, Until: now.Add(b.wait(own))}
	}
	switch excess := b.wait(own) - maxWait; {
	case excess <= 0:
		return nil
	case own > 0 && b.wait(0) <= maxWait:
		return &storage.LimitError{Budget: budgetBacklog, Until: now.Add(max(excess, sampleEvery))}
	}
	return fmt.Errorf("%d requests wait, and %.1f are resolved in a second: %w", b.total, b.rate, storage.ErrUnavailable)
}

// budgetBacklog is the name of the limit of waiting requests in audit events.
const budgetBacklog = "backlog"

// longestWait is the highest result of wait.
const longestWait = 24 * time.Hour

// wait returns how long a new request waits in a queue with own requests. For each
// of them, and for the new one, the workers also take one request of every other
// queue.
func (b *backlog) wait(own int) time.Duration {
	ahead := min((own+1)*(len(b.queues)+1), b.total+1)
	seconds := float64(ahead) / max(b.rate, 1e-6)
	return min(time.Duration(min(seconds, longestWait.Seconds())*float64(time.Second)), longestWait)
}

// Backlog returns the number of requests of all replicas that wait for a worker, and
// how long the oldest of them has waited. The values are up to a second old.
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
