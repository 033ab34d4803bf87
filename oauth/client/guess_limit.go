package client

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"latchkey/otp/limit"
	"latchkey/storage"
)

const (
	budgetPurpose = "oauth/client_guard" // of the digests; stored budgets have it, so it must not change
	guessKeys     = 1 << 14              // addresses with clients that are remembered

	// clientShare is the number of addresses that may use up their budget for one
	// client. After that, each address has a single guess for the client.
	clientShare = 50
)

// The budgets of wrong guesses at a client's secret, as events name them.
const (
	budgetAddress = "address"
	budgetClient  = "client"
)

// guessKey is an address and the client whose secret it guesses. The id is the one in
// the request, which may be of no client.
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
	store    limit.Store
	digester limit.Digester
	limit    limit.Limit
	failures *limit.Memory[guessKey]
	address  func(context.Context) netip.Addr
	recorder storage.Recorder
	limited  func(limiter string) // may be nil
	now      func() time.Time
}

// newGuessLimiter returns a limiter, or nil if the configuration has no limit.
func newGuessLimiter(cfg *Config) *guessLimiter {
	if cfg.Charges == nil || cfg.Address == nil || cfg.SecretLimit.None() {
		return nil
	}
	return &guessLimiter{
		store: cfg.Charges, digester: cfg.Peppers, limit: cfg.SecretLimit, address: cfg.Address,
		failures: limit.NewMemory[guessKey](cfg.SecretLimit, guessKeys, cfg.Now),
		recorder: cfg.Recorder, now: cfg.Now, limited: cfg.Limited,
	}
}

// key returns the key of a request's address and the client.
func (g *guessLimiter) key(ctx context.Context, clientID string) guessKey {
	if g == nil {
		return guessKey{}
	}
	return guessKey{strings.ToLower(clientID), limit.Network(g.address(ctx))}
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
	until, wrong := g.failures.Try(key, func() bool { return !matches() })
	switch {
	case !until.IsZero():
		return g.tooManyGuesses(budgetAddress, until)
	case !wrong:
		return nil
	}
	return g.charge(ctx, key, ErrInvalid)
}

// check returns an error if the budget of the address is used up.
func (g *guessLimiter) check(key guessKey) error {
	if g == nil || !key.from.IsValid() {
		return nil
	}
	if until := g.failures.Until(key); !until.IsZero() {
		return g.tooManyGuesses(budgetAddress, until)
	}
	return nil
}

// failed counts a failure that is not a wrong secret, and returns the error for the
// answer.
func (g *guessLimiter) failed(ctx context.Context, key guessKey, reason error) error {
	reason = fmt.Errorf("%w: %w", ErrInvalid, reason)
	if g == nil || !key.from.IsValid() {
		return reason
	}
	g.failures.Count(key)
	return g.charge(ctx, key, reason)
}

// charge charges a failure to the budgets in the database. It returns reason, or
// ErrTooManyGuesses if a budget is used up.
func (g *guessLimiter) charge(ctx context.Context, key guessKey, reason error) error {
	now := g.now().UTC()
	err := g.store.Charge(ctx, now, g.charges(key)...)
	var used *storage.LimitError
	switch {
	case err == nil:
		return reason
	case !errors.As(err, &used):
		return fmt.Errorf("charge failed client authentication: %w", err)
	}
	until := used.Until
	if used.Budget == budgetClient {
		until = now.Add(g.limit.Per)
	}
	g.failures.Block(key, until)
	g.recorder.Record(ctx, storage.AuditEvent{Time: now, Action: "client.limited", Outcome: used.Budget, ClientID: key.client})
	return g.tooManyGuesses(used.Budget, until)
}

func (g *guessLimiter) tooManyGuesses(budget string, until time.Time) error {
	if g.limited != nil {
		g.limited("client_secret")
	}
	return fmt.Errorf("%w: %w", ErrTooManyGuesses, &storage.LimitError{Budget: budget, Until: until})
}

// charges returns the charges of one failure: to the budget of the address for the
// client, and to that of the client.
func (g *guessLimiter) charges(key guessKey) []storage.Charge {
	forClient := limit.Limit{Burst: g.limit.Burst * clientShare, Per: g.limit.Per}
	address, _ := limit.NewCharge(g.digester, budgetPurpose, [2]limit.Limit{g.limit}, budgetAddress, key.client, key.from.String())
	client, _ := limit.NewCharge(g.digester, budgetPurpose, [2]limit.Limit{forClient}, budgetClient, key.client)
	return []storage.Charge{address, client}
}
