package otp

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"latchkey/storage"
)

// batchSize is how many requests are claimed at once, at most, while more wait
// than there is room for: no more than are resolved in two seconds. Most of such a
// batch may name nobody.
const batchSize = 200

// claimed are leased requests that nobody works on yet.
type claimed struct {
	requests []storage.CodeRequest
	until    time.Time // end of the lease
	crowded  bool      // the last claim left some behind
}

// take removes up to limit requests. Those whose lease may end before they are
// resolved are left to whoever claims them then.
func (c *claimed) take(limit int, now time.Time) []storage.CodeRequest {
	if now.Add(resolveTime).After(c.until) {
		c.requests = nil
	}
	n := min(limit, len(c.requests))
	taken := c.requests[:n:n]
	c.requests = c.requests[n:]
	return taken
}

// claim returns requests to resolve, at most limit. It claims no more than that
// from the store unless more wait: then it claims a batch, ends the requests in
// it that name nobody, and keeps the others for the next calls.
func (s *Service) claim(ctx context.Context, limit int) (requests []storage.CodeRequest, more bool, err error) {
	now := s.cfg.Now().UTC()
	c := &s.claimed
	if taken := c.take(limit, now); len(taken) > 0 {
		return taken, true, nil
	}
	size := limit
	if c.crowded {
		size = max(limit, min(batchSize, s.backlog.inTwoSeconds()))
	}
	batch, err := s.cfg.Store.ClaimCodeRequests(ctx, now, now.Add(lease), size)
	for i := range batch {
		batch[i].Type = cmp.Or(batch[i].Type, storage.MessageOneTimePassword)
	}
	if c.crowded = len(batch) == size; c.crowded {
		s.cfg.Overflow() // others may have room for those that were left
	}
	if err == nil && len(batch) > resolvers {
		batch, err = s.endUnknown(ctx, batch, now)
	}
	c.requests, c.until = batch, now.Add(lease)
	taken := c.take(limit, now)
	return taken, c.crowded || len(c.requests) > 0, err
}

// endUnknown ends those of the requests that name nobody or have expired, all
// in one statement, and returns the others.
func (s *Service) endUnknown(ctx context.Context, batch []storage.CodeRequest, now time.Time) ([]storage.CodeRequest, error) {
	names := make([]storage.RequestNames, 0, len(batch))
	for i := range batch {
		r := &batch[i]
		switch {
		case !now.Before(r.ExpiresAt):
			names = append(names, storage.RequestNames{ID: r.ID}) // nobody: an expired request goes like an unknown one
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
	s.cfg.Logger.Info().Int("requests", len(ended)).Msg("requests that name nobody, or have expired, were ended")
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

// finish resolves the requests that are leased when the service stops, so that
// they need not wait for the end of their lease.
func (s *Service) finish(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), resolveTime)
	defer cancel()
	left := make(chan storage.CodeRequest)
	var workers sync.WaitGroup
	for range resolvers {
		workers.Go(func() {
			for r := range left {
				if err := s.work(ctx, r); err != nil {
					s.cfg.Logger.Warn().Err(err).Str("request", r.ID).Msg("request is left to others")
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
