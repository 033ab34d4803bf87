package limit

import (
	"context"
	"encoding/hex"
	"errors"
	"net/netip"
	"time"

	"latchkey/storage"
)

// Store stores budgets; *gormstore.Store implements it.
type Store interface {
	// Charge charges all budgets. If one is used up, it charges none and returns a
	// *storage.LimitError.
	Charge(ctx context.Context, now time.Time, charges ...storage.Charge) error
}

// Digester computes keyed digests; *keys.Peppers implements it.
type Digester interface {
	Digest(purpose string, parts ...string) storage.Digest
}

// Purpose is the purpose of the digests that identify budgets. Stored budgets have
// it, so it must not change.
const Purpose = "otp/limit"

const keyLength = 16 // bytes of the digest

// NewCharge returns the charge of one event to the budget that is identified by its
// name and the parts. Both limits apply. ok is false if there is no limit.
func NewCharge(d Digester, purpose string, limits [2]Limit, budget string, parts ...string) (_ storage.Charge, ok bool) {
	first, second := limits[0], limits[1]
	if first.None() {
		first, second = second, Limit{}
	}
	if first.None() {
		return storage.Charge{}, false
	}
	sum := d.Digest(purpose, append([]string{budget}, parts...)...).Sum
	charge := storage.Charge{
		Budget: budget, Key: hex.EncodeToString(sum[:min(keyLength, len(sum))]),
		Gap: first.Gap(), Burst: first.Burst,
	}
	if !second.None() {
		charge.LongGap, charge.LongBurst = second.Gap(), second.Burst
	}
	return charge, true
}

// Stored limits how often one address or one user may do something. All servers on
// a database share its budgets.
type Stored struct {
	Store    Store
	Digester Digester
	Budget   string // name of the limit in logs and audit events
	Limit    Limit  // of each IPv4 address, each /64 of IPv6 or each user; the zero value is no limit
	Now      func() time.Time
	Refused  func(budget string) // called when the budget is used up; optional
}

// Take charges one event to the address. It returns a *storage.LimitError if the
// budget is used up, or an error of the store. An invalid address is not limited.
func (s *Stored) Take(ctx context.Context, from netip.Addr) error {
	if !from.IsValid() {
		return nil
	}
	return s.take(ctx, Network(from).String())
}

// TakeFor charges one event to the user. Its errors are those of Take.
func (s *Stored) TakeFor(ctx context.Context, userUID string) error { return s.take(ctx, userUID) }

func (s *Stored) take(ctx context.Context, key string) error {
	c, ok := NewCharge(s.Digester, Purpose, [2]Limit{s.Limit}, s.Budget, key)
	if !ok {
		return nil
	}
	err := s.Store.Charge(ctx, s.Now(), c)
	if used := (*storage.LimitError)(nil); s.Refused != nil && errors.As(err, &used) {
		s.Refused(s.Budget)
	}
	return err
}
