package oauth

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
	guardPurpose = "oauth/client_guard"
	guardKeySize = 16 // bytes of a budget's digest
	guardShards  = 64
	maxGuarded   = 256 // entries of a shard

	// guardShare is how many addresses may use up their budget for one client
	// before a single wrong guess is enough to keep an address away.
	guardShare = 50
)

// The budgets of wrong guesses at a client's secret, as events name them.
const (
	budgetAddress = "address"
	budgetClient  = "client"
)

// errTooManyGuesses says that an address has shown too many wrong secrets of a
// client. It comes with the *storage.LimitError.
var errTooManyGuesses = errors.New("too many failed client authentications")

// ChargeStore keeps budgets that all servers share.
type ChargeStore interface {
	// Charge takes one place of each budget, or none and answers a
	// *storage.LimitError.
	Charge(ctx context.Context, now time.Time, charges ...storage.Charge) error
}

// guardKey is who guesses at what. A client id is one that was presented,
// whether or not there is such a client.
type guardKey struct {
	client string // in lower case
	from   netip.Prefix
}

// clientGuard bounds the guesses at client secrets. An address has a budget of
// wrong ones for each client; when it is used up, nothing that the address
// presents for that client is compared until a place is free again. So the right
// secret is never kept out by guesses made elsewhere. There is a second budget
// for each client, of the guesses from all addresses: while that is used up, an
// address has one guess, not many.
//
// Only failures cost anything: the process counts those it has seen itself, so
// that guesses at once do not overtake the count, and tells the database of each,
// which adds up those of all servers. A nil guard, and one that does not know
// the address, lets everything pass.
type clientGuard struct {
	store    ChargeStore
	digester grants.Digester
	limit    otp.Limit
	address  func(context.Context) netip.Addr
	recorder storage.Recorder
	now      func() time.Time

	seed   maphash.Seed
	shards [guardShards]guardShard
}

// guardShard holds, for those who failed lately, the time until which their
// budget is charged (GCRA: the theoretical arrival time).
type guardShard struct {
	mu      sync.Mutex
	charged map[guardKey]time.Time
}

// newClientGuard returns the guard that the configuration asks for; nil: none.
func newClientGuard(cfg *Config) *clientGuard {
	if cfg.Charges == nil || cfg.Address == nil || cfg.SecretLimit.Burst <= 0 || cfg.SecretLimit.Per <= 0 {
		return nil
	}
	g := &clientGuard{
		store: cfg.Charges, digester: cfg.Peppers, limit: cfg.SecretLimit, address: cfg.Address,
		recorder: cfg.Recorder, now: cfg.Now, seed: maphash.MakeSeed(),
	}
	for i := range g.shards {
		g.shards[i].charged = make(map[guardKey]time.Time)
	}
	return g
}

// key returns who tries to be that client.
func (g *clientGuard) key(ctx context.Context, clientID string) guardKey {
	if g == nil {
		return guardKey{}
	}
	return guardKey{strings.ToLower(clientID), otp.Network(g.address(ctx))}
}

// secret answers nil if matches does, ErrInvalidClient if not. The guesses of
// one address are compared one after the other, and counted before the next.
func (g *clientGuard) secret(ctx context.Context, key guardKey, matches func() bool) error {
	if g == nil || !key.from.IsValid() {
		if matches() {
			return nil
		}
		return ErrInvalidClient
	}
	until, matched := g.try(key, matches)
	switch {
	case !until.IsZero():
		return tooManyGuesses(budgetAddress, until)
	case matched:
		return nil
	}
	return g.tell(ctx, key, ErrInvalidClient)
}

// check refuses an address whose budget is used up.
func (g *clientGuard) check(key guardKey) error {
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

// failed counts a failure for which there was a reason other than a wrong
// secret, and returns what to answer.
func (g *clientGuard) failed(ctx context.Context, key guardKey, reason error) error {
	reason = fmt.Errorf("%w: %w", ErrInvalidClient, reason)
	if g == nil || !key.from.IsValid() {
		return reason
	}
	s := g.shard(key)
	s.mu.Lock()
	g.count(s, key, g.now())
	s.mu.Unlock()
	return g.tell(ctx, key, reason)
}

// try compares, unless the budget is used up until a time, and counts what does
// not match.
func (g *clientGuard) try(key guardKey, matches func() bool) (until time.Time, matched bool) {
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

// tell charges a failure to the budgets in the database. It returns reason, or
// that a budget is used up.
func (g *clientGuard) tell(ctx context.Context, key guardKey, reason error) error {
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
	return fmt.Errorf("%w: %w", errTooManyGuesses, &storage.LimitError{Budget: budget, Until: until})
}

func (g *clientGuard) charges(key guardKey) []storage.Charge {
	charge := func(budget string, share int, parts ...string) storage.Charge {
		sum := g.digester.Digest(guardPurpose, append([]string{budget, key.client}, parts...)...).Sum
		return storage.Charge{
			Budget: budget, Key: hex.EncodeToString(sum[:min(guardKeySize, len(sum))]),
			Gap: max(g.gap()/time.Duration(share), time.Microsecond), Burst: g.limit.Burst * share,
		}
	}
	return []storage.Charge{charge(budgetAddress, 1, key.from.String()), charge(budgetClient, guardShare)}
}

func (g *clientGuard) gap() time.Duration {
	return max(g.limit.Per/time.Duration(g.limit.Burst), time.Microsecond)
}

// depth is how far ahead of the clock a budget may be charged.
func (g *clientGuard) depth() time.Duration { return time.Duration(g.limit.Burst) * g.gap() }

func (g *clientGuard) shard(key guardKey) *guardShard {
	return &g.shards[maphash.Comparable(g.seed, key)%guardShards]
}

// blocked returns when the budget has room again; zero: now.
func (g *clientGuard) blocked(s *guardShard, key guardKey, now time.Time) time.Time {
	charged, ok := s.charged[key]
	if until := charged.Add(g.gap() - g.depth()); ok && until.After(now) {
		return until
	}
	return time.Time{}
}

func (g *clientGuard) count(s *guardShard, key guardKey, now time.Time) {
	charged := s.charged[key]
	if charged.Before(now) {
		charged = now
	}
	s.put(key, charged.Add(g.gap()), now)
}

// block keeps an address away until that time.
func (g *clientGuard) block(key guardKey, until time.Time) {
	s := g.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if charged := until.Add(g.depth() - g.gap()); charged.After(s.charged[key]) {
		s.put(key, charged, g.now())
	}
}

// put makes room by forgetting whoever has recovered, or else whoever will
// first: those who guess most stay.
func (s *guardShard) put(key guardKey, charged, now time.Time) {
	if _, ok := s.charged[key]; !ok && len(s.charged) >= maxGuarded {
		var first guardKey
		var earliest time.Time
		for other, at := range s.charged {
			if at.Before(now) {
				delete(s.charged, other)
			} else if earliest.IsZero() || at.Before(earliest) {
				first, earliest = other, at
			}
		}
		if len(s.charged) >= maxGuarded {
			delete(s.charged, first)
		}
	}
	s.charged[key] = charged
}
