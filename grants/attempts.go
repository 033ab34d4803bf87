package grants

import (
	"context"
	"errors"
	"fmt"
	"time"

	"latchkey/otp/lockout"
	"latchkey/storage"
)

// settleTimeout is the least time that the writing of an outcome has, and what
// it has when the request has none: a caller who hangs up does not escape the
// count.
const settleTimeout = 5 * time.Second

// attemptStore is what attempts ask of a store.
type attemptStore interface {
	Principal(ctx context.Context, key storage.LoginKey) (storage.Principal, error)
	RecordFailure(ctx context.Context, p storage.Principal, next storage.Lockout) error
}

// attempts is what everything has in common that takes guesses at a secret of a
// login: turns, and the count of failures.
type attempts struct {
	store    attemptStore
	recorder storage.Recorder
	now      func() time.Time
	turns    *turns
}

func newAttempts(store attemptStore, recorder storage.Recorder, now func() time.Time) attempts {
	if recorder == nil {
		recorder = storage.DiscardEvents{}
	}
	if now == nil {
		now = time.Now
	}
	return attempts{store: store, recorder: recorder, now: now, turns: newTurns()}
}

// note is what an audit event says of an attempt.
type note struct{ action, outcome, clientID, factor string }

// takeTurn waits for a turn and reads the login once it has one.
func (a *attempts) takeTurn(ctx context.Context, key storage.LoginKey) (*turn, storage.Principal, error) {
	for {
		turn, err := a.turns.enter(ctx, key)
		if err != nil {
			return nil, storage.Principal{}, err
		}
		p, err := a.store.Principal(ctx, key)
		if err != nil {
			turn.leave()
			return nil, storage.Principal{}, fmt.Errorf("read login: %w", err)
		}
		if turn.within(a.budget(&p)) || p.Lockout.Locked(a.now()) {
			return turn, p, nil
		}
		turn.leave()
	}
}

// budget is how many attempts of a login may run at a time. While it is locked
// none can win, and as many may run as after an unlock.
func (a *attempts) budget(p *storage.Principal) int {
	if now := a.now(); !p.Lockout.Locked(now) {
		return lockout.Remaining(p.Policy, p.Lockout, now)
	}
	return p.Policy.Threshold
}

// refuse counts a failure. The event's outcome is why the gate is closed to the
// user, if it is.
func (a *attempts) refuse(ctx context.Context, c *storage.Client, p storage.Principal, n note) error {
	if reason := c.Refusal(&p, a.now()); reason != "" {
		n.outcome = reason
	}
	return a.write(ctx, p, n, a.failure)
}

// failure is the lockout state after one more failure now.
func (a *attempts) failure(p storage.Principal) storage.Lockout {
	return lockout.Fail(p.Policy, p.Lockout, a.now())
}

// write settles an attempt that did not succeed: it stores the state that next
// makes of the latest one and records the outcome.
func (a *attempts) write(ctx context.Context, p storage.Principal, n note, next func(storage.Principal) storage.Lockout) error {
	limit := settleTimeout
	if end, ok := ctx.Deadline(); ok {
		limit = max(limit, time.Until(end))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	for {
		state := next(p)
		err := a.store.RecordFailure(ctx, p, state)
		// While the login is locked nothing is counted, so there is nothing to
		// write again when somebody else's attempt has just been noted.
		if err == nil || errors.Is(err, storage.ErrStale) && p.Lockout.Locked(a.now()) {
			a.record(ctx, &p, n)
			if state.LockedUntil.After(p.Lockout.LockedUntil) {
				a.record(ctx, &p, note{action: "login.locked", outcome: "success", clientID: n.clientID})
			}
			return nil
		}
		if !errors.Is(err, storage.ErrStale) {
			return fmt.Errorf("count failure: %w", err)
		}
		if p, err = a.store.Principal(ctx, p.Key); err != nil {
			return fmt.Errorf("read login again: %w", err)
		}
	}
}

// record records an event of a login. A name that nobody has is left out:
// people type passwords into the wrong field.
func (a *attempts) record(ctx context.Context, p *storage.Principal, n note) {
	a.recorder.Record(ctx, storage.AuditEvent{
		Time: a.now().UTC(), Action: n.action, Outcome: n.outcome, ClientID: n.clientID,
		UserUID: p.User.UID, Username: p.Login.Username, Factor: n.factor,
	})
}
