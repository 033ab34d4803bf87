package otp

import (
	"context"
	"net/netip"
	"time"

	"latchkey/storage"
)

// ChargeStore keeps budgets; *gormstore.Store is one.
type ChargeStore interface {
	// Charge takes from all budgets, or answers a *storage.LimitError and takes
	// from none.
	Charge(ctx context.Context, now time.Time, charges ...storage.Charge) error
}

// Throttle limits how often one address or one user may do something besides
// asking for messages. Its budgets are shared by all servers on a database, and
// differ from those of messages.
type Throttle struct {
	Store  ChargeStore
	Codes  *Codes
	Budget string // what is limited, in the words of who reads the log
	Limit  Limit  // of each IPv4 address, each /64 of IPv6, each user; the zero value is none
	Now    func() time.Time
}

// Take charges the address for one request. The error is a *storage.LimitError
// if its budget is used up, or one of the store's. An address that is not known
// is not limited.
func (t *Throttle) Take(ctx context.Context, from netip.Addr) error {
	if !from.IsValid() {
		return nil
	}
	return t.take(ctx, Network(from).String())
}

// TakeFor is Take for the user of that UID.
func (t *Throttle) TakeFor(ctx context.Context, userUID string) error { return t.take(ctx, userUID) }

func (t *Throttle) take(ctx context.Context, key string) error {
	c, ok := t.Codes.charge([2]Limit{t.Limit}, t.Budget, key)
	if !ok {
		return nil
	}
	return t.Store.Charge(ctx, t.Now(), c)
}
