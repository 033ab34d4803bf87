package otp

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"latchkey/storage"
)

// batchSize is the highest number of requests that are claimed at once. A large batch
// is claimed only while more requests wait than can be resolved at a time, because
// most of them may name unknown users.
const batchSize = 200

// claimed holds leased requests that are not being resolved yet.
type claimed struct {
	requests    []storage.CodeRequest
	until       time.Time // end of the lease
	moreWaiting bool      // the last claim left requests in the queue
}

// take removes and returns up to limit requests. If the lease may end before they
// are resolved, it drops all requests: they will be claimed again.
func (c *claimed) take(limit int, now time.Time) []storage.CodeRequest {
	if now.Add(resolveTime).After(c.until) {
		c.requests = nil
	}
	n := min(limit, len(c.requests))
	taken := c.requests[:n:n]
	c.requests = c.requests[n:]
	return taken
}

// claim returns at most limit requests to resolve. While more requests wait, it
// claims a batch from the store, ends the requests in it that name no known user,
// and keeps the others for the next calls. more reports whether further requests
// may be ready.
func (s *Service) claim(ctx context.Context, limit int) (requests []storage.CodeRequest, more bool, err error) {
	now := s.cfg.Now().UTC()
	c := &s.claimed
	if taken := c.take(limit, now); len(taken) > 0 {
		return taken, true, nil
	}
	size := limit
	if c.moreWaiting {
		size = max(limit, min(batchSize, s.backlog.inTwoSeconds()))
	}
	batch, err := s.cfg.Store.ClaimCodeRequests(ctx, now, now.Add(lease), size)
	for i := range batch {
		batch[i].Type = cmp.Or(batch[i].Type, storage.MessageOneTimePassword)
	}
	if c.moreWaiting = len(batch) == size; c.moreWaiting {
		s.cfg.Overflow() // other processes may have room for the requests that were left
	}
	if err == nil && len(batch) > resolvers {
		batch, err = s.endUnknown(ctx, batch, now)
	}
	c.requests, c.until = batch, now.Add(lease)
	taken := c.take(limit, now)
	return taken, c.moreWaiting || len(c.requests) > 0, err
}

// endUnknown ends the requests that name no known user or have expired, in one
// statement, and returns the others.
func (s *Service) endUnknown(ctx context.Context, batch []storage.CodeRequest, now time.Time) ([]storage.CodeRequest, error) {
	names := make([]storage.RequestNames, 0, len(batch))
	for i := range batch {
		r := &batch[i]
		switch {
		case !now.Before(r.ExpiresAt):
			names = append(names, storage.RequestNames{ID: r.ID}) // without names, so that it is ended too
		case r.UserUID == "":
			names = append(names, storage.RequestNames{
				ID: r.ID, ProfileID: r.ProfileID, UsernameKey: NormalizeUsername(r.Username), EmailKey: NormalizeUsername(r.Email),
			})
		}
	}
	ended, err := s.cfg.Store.EndUnknownRequests(ctx, names)
	if len(ended) == 0 {
		return batch, err
	}
	s.cfg.Logger.Info().Int("requests", len(ended)).Msg("ended requests that name unknown users or have expired")
	gone := make(map[string]bool, len(ended))
	for _, id := range ended {
		gone[id] = true
	}
	return slices.DeleteFunc(batch, func(r storage.CodeRequest) bool {
		if gone[r.ID] {
			reason := storage.RefusedUnknown
			if !now.Before(r.ExpiresAt) {
				reason = reasonExpired
			}
			s.record(ctx, r, ".not_sent", reason, nil)
		}
		return gone[r.ID]
	}), err
}

// resolveClaimed resolves the requests that are leased when the service stops.
// Otherwise they would wait until their lease ends.
func (s *Service) resolveClaimed(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), resolveTime)
	defer cancel()
	left := make(chan storage.CodeRequest)
	var workers sync.WaitGroup
	for range resolvers {
		workers.Go(func() {
			for r := range left {
				if err := s.work(ctx, r); err != nil {
					s.cfg.Logger.Warn().Err(err).Str("request", r.ID).Msg("request not resolved at shutdown; it is claimed again when its lease ends")
				}
			}
		})
	}
	for _, r := range s.claimed.take(batchSize, s.cfg.Now().UTC()) {
		left <- r
	}
	close(left)
	workers.Wait()
}
