package client

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"net/netip"
	"strings"
	"sync"
	"time"

	"latchkey/grants"
	"latchkey/otp"
	"latchkey/storage"
)

const (
	budgetPurpose  = "oauth/client_guard" // of the digests; must stay, running budgets have it
	budgetKeyBytes = 16                   // of a budget's digest
	limiterShards  = 64
	maxShardSize   = 256 // entries of a shard

	// clientShare is the number of addresses that may use up their budget for one
	// client. After that, each address has a single guess for the client.
	clientShare = 50
)

// The budgets of wrong guesses at a client's secret, as events name them.
const (
	budgetAddress = "address"
	budgetClient  = "client"
)

// ChargeStore keeps the budgets that all servers share.
type ChargeStore interface {
	// Charge takes one place of each budget. If one has no place, it takes none
	// and returns a *storage.LimitError.
	Charge(ctx context.Context, now time.Time, charges ...storage.Charge) error
}

// guessKey is an address that guesses at a client. The id is the presented one,
// also if no such client exists.
type guessKey struct {
	client string // in lower case
	from   netip.Prefix
}

// guessLimiter limits the guesses at client secrets. An address has a budget of
// wrong secrets for each client. When the budget is used up, secrets from that
// address for that client are refused without a comparison until there is room
// again. Guesses from other addresses therefore never refuse the right secret. A
// second budget for each client counts the guesses from all addresses. While it is
// used up, each address has one guess.
//
// Only failures are counted. The process counts its own failures, so that parallel
// guesses do not overtake the count. It also charges each failure to the database,
// which adds up those of all servers. A nil limiter limits nothing, and an unknown
// address is not limited.
type guessLimiter struct {
	store    ChargeStore
	digester grants.Digester
	limit    otp.Limit
	address  func(context.Context) netip.Addr
	recorder storage.Recorder
	now      func() time.Time

	seed   maphash.Seed
	shards [limiterShards]limiterShard
}

// limiterShard holds, for recent failures, the time until which the budget is
// charged (GCRA: the theoretical arrival time).
type limiterShard struct {
	mu      sync.Mutex
	charged map[guessKey]time.Time
}

// newGuessLimiter returns the limiter that the configuration asks for, or nil.
func newGuessLimiter(cfg *Config) *guessLimiter {
	if cfg.Charges == nil || cfg.Address == nil || cfg.SecretLimit.Burst <= 0 || cfg.SecretLimit.Per <= 0 {
		return nil
	}
	g := &guessLimiter{
		store: cfg.Charges, digester: cfg.Peppers, limit: cfg.SecretLimit, address: cfg.Address,
		recorder: cfg.Recorder, now: cfg.Now, seed: maphash.MakeSeed(),
	}
	for i := range g.shards {
		g.shards[i].charged = make(map[guessKey]time.Time)
	}
	return g
}

// key returns the key of a request's address and the client.
func (g *guessLimiter) key(ctx context.Context, clientID string) guessKey {
	if g == nil {
		return guessKey{}
	}
	return guessKey{strings.ToLower(clientID), otp.Network(g.address(ctx))}
}

// secret returns nil if matches returns true, and ErrInvalid otherwise. The guesses
// of one address run one after the other: each is counted before the next starts.
func (g *guessLimiter) secret(ctx context.Context, key guessKey, matches func() bool) error {
	if g == nil || !key.from.IsValid() {
		if matches() {
			return nil
		}
		return ErrInvalid
	}
	until, matched := g.try(key, matches)
	switch {
	case !until.IsZero():
		return tooManyGuesses(budgetAddress, until)
	case matched:
		return nil
	}
	return g.charge(ctx, key, ErrInvalid)
}

// check refuses an address whose budget is used up.
func (g *guessLimiter) check(key guessKey) error {
	if g == nil || !key.from.IsValid() {
		return nil
	}
	s := g.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if until := g.blocked(s, key, g.now()); !until.IsZero() {
		return tooManyGuesses(budgetAddress, until)
	}
	return nil
}

// failed counts a failure that had another reason than a wrong secret, and returns
// the error to answer.
func (g *guessLimiter) failed(ctx context.Context, key guessKey, reason error) error {
	reason = fmt.Errorf("%w: %w", ErrInvalid, reason)
	if g == nil || !key.from.IsValid() {
		return reason
	}
	s := g.shard(key)
	s.mu.Lock()
	g.count(s, key, g.now())
	s.mu.Unlock()
	return g.charge(ctx, key, reason)
}

// try compares a secret and counts it if it does not match. It returns a time
// instead, without a comparison, if the budget is used up until then.
func (g *guessLimiter) try(key guessKey, matches func() bool) (until time.Time, matched bool) {
	s := g.shard(key)
	now := g.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if until := g.blocked(s, key, now); !until.IsZero() {
		return until, false
	}
	if matches() {
		return time.Time{}, true
	}
	g.count(s, key, now)
	return time.Time{}, false
}

// charge charges a failure to the budgets in the database. It returns reason, or
// ErrTooManyGuesses if a budget is used up.
func (g *guessLimiter) charge(ctx context.Context, key guessKey, reason error) error {
	now := g.now().UTC()
	err := g.store.Charge(ctx, now, g.charges(key)...)
	var limit *storage.LimitError
	switch {
	case err == nil:
		return reason
	case !errors.As(err, &limit):
		return fmt.Errorf("charge failed client authentication: %w", err)
	}
	until := limit.Until
	if limit.Budget == budgetClient {
		until = now.Add(g.limit.Per)
	}
	g.block(key, until)
	g.recorder.Record(ctx, storage.AuditEvent{Time: now, Action: "client.limited", Outcome: limit.Budget, ClientID: key.client})
	return tooManyGuesses(limit.Budget, until)
}

func tooManyGuesses(budget string, until time.Time) error {
	return fmt.Errorf("%w: %w", ErrTooManyGuesses, &storage.LimitError{Budget: budget, Until: until})
}

func (g *guessLimiter) charges(key guessKey) []storage.Charge {
	charged := func(budget string, share int, parts ...string) storage.Charge {
		sum := g.digester.Digest(budgetPurpose, append([]string{budget, key.client}, parts...)...).Sum
		return storage.Charge{
			Budget: budget, Key: hex.EncodeToString(sum[:min(budgetKeyBytes, len(sum))]),
			Gap: max(g.gap()/time.Duration(share), time.Microsecond), Burst: g.limit.Burst * share,
		}
	}
	return []storage.Charge{charged(budgetAddress, 1, key.from.String()), charged(budgetClient, clientShare)}
}

func (g *guessLimiter) gap() time.Duration {
	return max(g.limit.Per/time.Duration(g.limit.Burst), time.Microsecond)
}

// depth returns how far ahead of the clock a budget may be charged.
func (g *guessLimiter) depth() time.Duration { return time.Duration(g.limit.Burst) * g.gap() }

func (g *guessLimiter) shard(key guessKey) *limiterShard {
	return &g.shards[maphash.Comparable(g.seed, key)%limiterShards]
}

// blocked returns the time when the budget has room again, or zero if it has room
// now.
func (g *guessLimiter) blocked(s *limiterShard, key guessKey, now time.Time) time.Time {
	charged, ok := s.charged[key]
	if until := charged.Add(g.gap() - g.depth()); ok && until.After(now) {
		return until
	}
	return time.Time{}
}

func (g *guessLimiter) count(s *limiterShard, key guessKey, now time.Time) {
	charged := s.charged[key]
	if charged.Before(now) {
		charged = now
	}
	s.put(key, charged.Add(g.gap()), now)
}

// block refuses the guesses of an address until that time.
func (g *guessLimiter) block(key guessKey, until time.Time) {
	s := g.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if charged := until.Add(g.depth() - g.gap()); charged.After(s.charged[key]) {
		s.put(key, charged, g.now())
	}
}

// put stores an entry. A full shard first drops the entries whose budgets have
// recovered, or the entry that recovers first, so that the most active addresses
// stay.
func (s *limiterShard) put(key guessKey, charged, now time.Time) {
	if _, ok := s.charged[key]; !ok && len(s.charged) >= maxShardSize {
		var first guessKey
		var earliest time.Time
		for other, at := range s.charged {
			if at.Before(now) {
				delete(s.charged, other)
			} else if earliest.IsZero() || at.Before(earliest) {
				first, earliest = other, at
			}
		}
		if len(s.charged) >= maxShardSize {
			delete(s.charged, first)
		}
	}
	s.charged[key] = charged
}
