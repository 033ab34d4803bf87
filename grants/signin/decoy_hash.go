package signin

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// DecoyVerify takes as long as Verify would for that password and a hash of the
// cost that Hash has, judging by the latest ones. It fails with ErrBusy as
// often, but computes nothing and takes no turn from others. So an attempt that
// cannot succeed is answered like one that fails, and pays for no hash. Many at
// once wait for each other as verifications do. If none was seen lately, it
// computes one itself. It fails with ctx's error if that ends first.
//
// It does not imitate the load that a computation puts on everybody else.
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
	model, err := h.model(ctx)
	if err != nil {
		return err
	}
	patient := h.maxWait
	if patient == 0 {
		patient = patience(ctx)
	}
	end, busy := h.times.book(begin, model, patient)
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

// model returns the verification to imitate. Of those who find none only one
// computes at a time.
func (h *Hasher) model(ctx context.Context) (sample, error) {
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
