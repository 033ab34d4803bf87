package otp

import (
	"context"
	"net/netip"
	"time"

	"latchkey/storage"
)

// ChargeStore stores budgets; *gormstore.Store is one.
type ChargeStore interface {
	// Charge charges all budgets. If one is used up, it charges none and returns a
	// *storage.LimitError.
	Charge(ctx context.Context, now time.Time, charges ...storage.Charge) error
}

// Throttle limits how often one address or one user may do something other than
// requesting messages. All servers on a database share its budgets, which are
// separate from those of Limits.
type Throttle struct {
	Store  ChargeStore
	Codes  *Codes
	Budget string // name of the limit in logs and audit events
	Limit  Limit  // of each IPv4 address, each /64 of IPv6 or each user; the zero value is no limit
	Now    func() time.Time
}

// Take charges one request to the address. It returns a *storage.LimitError if the
// budget is used up, or an error of the store. An invalid address is not limited.
func (t *Throttle) Take(ctx context.Context, from netip.Addr) error {
	if !from.IsValid() {
		return nil
	}
	return t.take(ctx, Network(from).String())
}

// TakeFor charges one request to the user. Its errors are those of Take.
func (t *Throttle) TakeFor(ctx context.Context, userUID string) error { return t.take(ctx, userUID) }

func (t *Throttle) take(ctx context.Context, key string) error {
	c, ok := t.Codes.charge([2]Limit{t.Limit}, t.Budget, key)
	if !ok {
		return nil
	}
	return t.Store.Charge(ctx, t.Now(), c)
}
