package signin

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"latchkey/otp"
	"latchkey/otp/lockout"
	"latchkey/storage"
)

// settleTimeout is the least time that the writing of an outcome has, and what
// it has when the request has none: a caller who hangs up does not escape the
// count.
const settleTimeout = 5 * time.Second

// leastRefusal is how long a refusal takes at least. Without a password hash it
// is more than the work behind it, of which the database does a little more for
// a login than for a name that nobody has.
const leastRefusal = 5 * time.Millisecond

// holdRefusal waits until a refusal has taken as long as it must. It is called
// when the attempt's turn is over, so that nobody waits for it but who failed.
func holdRefusal(ctx context.Context, began time.Time) {
	rest := time.NewTimer(leastRefusal - time.Since(began))
	defer rest.Stop()
	select {
	case <-rest.C:
	case <-ctx.Done():
	}
}

// attemptStore is what attempts ask of a store.
type attemptStore interface {
	Principal(ctx context.Context, key storage.LoginKey) (storage.Principal, error)
	RecordFailure(ctx context.Context, p storage.Principal, next storage.Lockout, notice *storage.CodeRequest) error
}

// attempts is what everything has in common that takes guesses at a secret of a
// login: turns, and the count of failures.
type attempts struct {
	store    attemptStore
	recorder storage.Recorder
	now      func() time.Time
	rand     io.Reader
	turns    *turns
}

func newAttempts(store attemptStore, recorder storage.Recorder, now func() time.Time, random io.Reader) attempts {
	if recorder == nil {
		recorder = storage.DiscardEvents{}
	}
	if now == nil {
		now = time.Now
	}
	if random == nil {
		random = rand.Reader
	}
	return attempts{store: store, recorder: recorder, now: now, rand: random, turns: newTurns()}
}

// note is what an audit event says of an attempt.
type note struct{ action, outcome, clientID, factor, source string }

// keyOf names the login that somebody at the address means.
func keyOf(profileID, username string, from netip.Addr) storage.LoginKey {
	return storage.LoginKey{
		ProfileID: profileID, UsernameKey: otp.NormalizeUsername(username), Source: sourceOf(from),
	}
}

// takeTurn waits for a turn and reads the login once it has one. What the locks
// allowed then is what the attempt may do: those that nothing could win do not
// wait for each other, so none of them may get at anything when a lock ends
// meanwhile.
func (a *attempts) takeTurn(ctx context.Context, key storage.LoginKey) (*turn, storage.Principal, error) {
	var p storage.Principal
	turn := a.turns.visit(key)
	err := turn.await(ctx, func() (standing, error) {
		var err error
		if p, err = a.store.Principal(ctx, key); err != nil {
			return standing{}, fmt.Errorf("read login: %w", err)
		}
		turn.seen = a.now()
		return standing{
			known: p.Source.ID != "", budget: lockout.MaxConcurrent(&p, turn.seen),
			locked: p.Locked(turn.seen) && p.CodesLocked(turn.seen),
		}, nil
	})
	if err != nil {
		turn.leave()
		return nil, storage.Principal{}, err
	}
	return turn, p, nil
}

// state is what a failed attempt makes of the latest state of a login.
type state func(p *storage.Principal) storage.Lockout

// failed is the state after one more failed guess, which counts nothing if a lock
// refused it when the login was seen.
func (a *attempts) failed(p *storage.Principal, seen time.Time, g func(p *storage.Principal) lockout.Guess) state {
	if lockout.Refused(p, g(p), seen) {
		return unmoved
	}
	return func(p *storage.Principal) storage.Lockout { return lockout.Next(p, g(p), a.now()) }
}

// unmoved is the state in which nothing was counted.
func unmoved(p *storage.Principal) storage.Lockout {
	next := p.Lockout
	next.Version++
	return next
}

// write settles an attempt that did not succeed: it stores the state that next
// makes of the latest one and records the outcome.
func (a *attempts) write(ctx context.Context, p storage.Principal, n note, next state) error {
	limit := settleTimeout
	if end, ok := ctx.Deadline(); ok {
		limit = max(limit, time.Until(end))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	for {
		after := next(&p)
		notice, err := a.notice(&p, &after)
		if err != nil {
			return err
		}
		err = a.store.RecordFailure(ctx, p, after, notice)
		// What counts nothing need not be written again when somebody else's
		// attempt has just been noted.
		if err == nil || errors.Is(err, storage.ErrStale) && !lockout.Counts(p.Lockout, after) {
			a.record(ctx, &p, n)
			if lockout.Locks(p.Lockout, after) {
				a.record(ctx, &p, note{action: "login.locked", outcome: "success", clientID: n.clientID, source: n.source})
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

// noticeEvery is how often a user is told of locks at most.
const noticeEvery = time.Hour

// notice returns the request that tells the user of a lock, if the state after
// the failure has a new one and nobody was told lately, and notes that in it.
// Names that nobody has get one, too: writing it must cost the same.
func (a *attempts) notice(p *storage.Principal, after *storage.Lockout) (*storage.CodeRequest, error) {
	now := a.now().UTC()
	if !lockout.Locks(p.Lockout, *after) || now.Sub(after.NotifiedAt) < noticeEvery {
		return nil, nil
	}
	r, err := otp.LockNotice(a.rand, p.Key, now)
	if err != nil {
		return nil, err
	}
	after.NotifiedAt = now
	return &r, nil
}

// record records an event of a login. A name that nobody has is left out:
// people type passwords into the wrong field.
func (a *attempts) record(ctx context.Context, p *storage.Principal, n note) {
	a.recorder.Record(ctx, storage.AuditEvent{
		Time: a.now().UTC(), Action: n.action, Outcome: n.outcome, ClientID: n.clientID,
		UserUID: p.User.UID, Username: p.Login.Username, Factor: n.factor, Source: n.source,
	})
}

// wrap says what failed; nil stays nil.
func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
