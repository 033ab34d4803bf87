package signin

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// DecoyVerify takes as long as Verify would take for that password and a hash from
// Hash, judging by the verifications of the last seconds. It fails with ErrBusy as
// often as they did. It computes nothing and takes no slot from others. So an attempt
// that cannot succeed looks like one that fails, and costs no hash. Decoys at the
// same time wait for each other as verifications do. If there was no verification in
// the last seconds, DecoyVerify computes one itself.
//
// It does not imitate the load that a computation puts on everybody else. It returns
// the error of ctx if that ends first.
func (h *Hasher) DecoyVerify(ctx context.Context, password string) error {
	for range passwordForms(password) {
		if err := h.decoyVerify(ctx); err != nil {
			return err
		}
	}
	return nil
}

// decoyVerify takes as long as the comparison with one form of a password.
func (h *Hasher) decoyVerify(ctx context.Context) error {
	begin := time.Now()
	model, err := h.recentVerification(ctx)
	if err != nil {
		return err
	}
	limit := h.maxWait
	if limit == 0 {
		limit = waitLimit(ctx)
	}
	end, busy := h.times.reserve(begin, model, limit)
	timer := time.NewTimer(time.Until(end))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return fmt.Errorf("password hashing: %w", ctx.Err())
	case <-timer.C:
	}
	if busy {
		return fmt.Errorf("password hashing: %w", ErrBusy)
	}
	return nil
}

// recentVerification returns the timing of a recent verification. If there is none,
// it computes one. Only one caller computes at a time.
func (h *Hasher) recentVerification(ctx context.Context) (sample, error) {
	if s, ok, err := h.times.draw(); ok || err != nil {
		return s, err
	}
	select {
	case h.times.calibrating <- struct{}{}:
	case <-ctx.Done():
		return sample{}, fmt.Errorf("password hashing: %w", ctx.Err())
	}
	defer func() { <-h.times.calibrating }()
	if s, ok, err := h.times.draw(); ok || err != nil {
		return s, err
	}
	if _, _, err := h.Verify(ctx, "", ""); err != nil && !errors.Is(err, ErrBusy) {
		return sample{}, err
	}
	s, _, err := h.times.draw()
	return s, err
}
