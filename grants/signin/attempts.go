package signin

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"latchkey/otp"
	"latchkey/otp/lockout"
	"latchkey/storage"
)

// settleTimeout is the least time that writing a failure gets, also if the request
// was cancelled. So a client cannot escape the count by closing its connection.
const settleTimeout = 5 * time.Second

// minRefusalTime is the least time that a refusal takes. Without a password hash
// this is longer than the work behind it. That work differs: the database does a
// little more for a login than for an unknown name.
const minRefusalTime = 5 * time.Millisecond

// delayRefusal waits until minRefusalTime has passed since began, or ctx ends. The
// caller must have left the queue, so that no other attempt waits for it.
func delayRefusal(ctx context.Context, began time.Time) {
	rest := time.NewTimer(minRefusalTime - time.Since(began))
	defer rest.Stop()
	select {
	case <-rest.C:
	case <-ctx.Done():
	}
}

// attemptStore is the part of a store that attempts need; see Store.
type attemptStore interface {
	Principal(ctx context.Context, key storage.LoginKey) (storage.Principal, error)
	RecordFailure(ctx context.Context, p storage.Principal, next storage.Lockout, notice *storage.CodeRequest) error
}

// attempts is what Authenticator and Passwords share: both take guesses at a secret
// of a login. It queues them, counts failures and records events.
type attempts struct {
	store    attemptStore
	recorder storage.Recorder
	now      func() time.Time
	rand     io.Reader
	queues   *attemptQueues
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
	return attempts{store: store, recorder: recorder, now: now, rand: random, queues: newAttemptQueues()}
}

// event is the part of an audit event that depends on the attempt.
type event struct{ action, outcome, clientID, factor, grant, source string }

// begin waits until an attempt at the login may run, and reads the login. The caller
// must call leave on the ticket.
//
// The locks at ticket.readAt decide the attempt. Attempts on a locked login are not
// limited to the budget, because they are refused whatever they present. So an
// attempt that started under the lock must be refused even if the lock ends while it
// runs.
func (a *attempts) begin(ctx context.Context, key storage.LoginKey) (*ticket, storage.Principal, error) {
	ticket := a.queues.newTicket(key)
	p, err := a.await(ctx, ticket, key)
	if err != nil {
		ticket.leave()
		return nil, storage.Principal{}, err
	}
	return ticket, p, nil
}

// await is begin for an attempt that has its ticket. The caller leaves it also after an
// error.
func (a *attempts) await(ctx context.Context, ticket *ticket, key storage.LoginKey) (storage.Principal, error) {
	var p storage.Principal
	err := ticket.await(ctx, func() (loginState, error) {
		var err error
		if p, err = a.store.Principal(ctx, key); err != nil {
			return loginState{}, fmt.Errorf("read login: %w", err)
		}
		ticket.readAt = a.now()
		return loginState{
			sourceKnown: p.Source.ID != "", budget: lockout.MaxConcurrent(&p, ticket.readAt),
			locked: p.Locked(ticket.readAt) && p.CodesLocked(ticket.readAt),
		}, nil
	})
	return p, err
}

// nextLockout computes the lockout state after a failed attempt from the latest
// state of the login.
type nextLockout func(p *storage.Principal) storage.Lockout

// countGuess returns the nextLockout that counts one more failed guess. It counts
// nothing if a lock refused the guess at readAt, when the login was read.
func (a *attempts) countGuess(p *storage.Principal, readAt time.Time, g func(p *storage.Principal) lockout.Guess) nextLockout {
	if lockout.Refused(p, g(p), readAt) {
		return countNothing
	}
	return func(p *storage.Principal) storage.Lockout { return lockout.Next(p, g(p), a.now()) }
}

// countNothing is the nextLockout of an attempt that is not counted. The version
// rises all the same, so that the attempt costs the same write.
func countNothing(p *storage.Principal) storage.Lockout {
	next := p.Lockout
	next.Version++
	return next
}

// recordFailure settles an attempt that did not succeed: it stores the state that
// next computes and records e, and a second event if a lock starts. If another
// attempt was stored since p was read, it reads the login again and repeats.
func (a *attempts) recordFailure(ctx context.Context, p storage.Principal, e event, next nextLockout) error {
	limit := settleTimeout
	if end, ok := ctx.Deadline(); ok {
		limit = max(limit, time.Until(end))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	for {
		after := next(&p)
		notice, err := a.lockNotice(&p, &after)
		if err != nil {
			return err
		}
		err = a.store.RecordFailure(ctx, p, after, notice)
		// A state that counts nothing need not be written again after a conflict.
		if err == nil || errors.Is(err, storage.ErrStale) && !lockout.Counts(p.Lockout, after) {
			a.record(ctx, &p, e)
			if lockout.Locks(p.Lockout, after) {
				a.record(ctx, &p, event{action: "login.locked", outcome: "success", clientID: e.clientID, source: e.source})
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

// lockNoticeInterval is the least time between two messages to a user about locks.
const lockNoticeInterval = time.Hour

// lockNotice returns the request for a message to the user if the state after the
// failure has a new lock and the last message is older than lockNoticeInterval. It
// sets after.NotifiedAt then. Otherwise it returns nil. Unknown names get a request
// too, so that writing it costs the same.
func (a *attempts) lockNotice(p *storage.Principal, after *storage.Lockout) (*storage.CodeRequest, error) {
	now := a.now().UTC()
	if !lockout.Locks(p.Lockout, *after) || now.Sub(after.NotifiedAt) < lockNoticeInterval {
		return nil, nil
	}
	r, err := otp.LockNotice(a.rand, p.Key, now)
	if err != nil {
		return nil, err
	}
	after.NotifiedAt = now
	return &r, nil
}

// record records an event of a login. An unknown name is not recorded, because
// people type passwords into the wrong field.
func (a *attempts) record(ctx context.Context, p *storage.Principal, e event) {
	a.recorder.Record(ctx, storage.AuditEvent{
		Time: a.now().UTC(), Action: e.action, Outcome: e.outcome, ClientID: e.clientID,
		UserUID: p.User.UID, Username: p.Login.Username, Factor: e.factor, Grant: e.grant, Source: e.source,
	})
}

// wrap adds what failed to an error; nil stays nil.
func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
