package gormstore

import (
	"cmp"
	"context"
	"errors"
	"sync"

	"latchkey/storage"
)

// maxGroup limits how long other writers wait for a group.
const maxGroup = 256

// run executes the settlement in the transaction of ctx, on behalf of the caller.
func (x settlement) run(ctx, caller context.Context, s *Store) (done bool, err error) {
	rows, err := s.execFor(ctx, caller, x.what, x.first.sql, x.first.args)
	if err != nil || rows != int64(x.rows) {
		return false, err
	}
	for _, then := range x.then {
		if _, err := s.execFor(ctx, caller, x.what, then.alone(), then.args); err != nil {
			return false, err
		}
	}
	return true, nil
}

// group commits settlements together. Those that arrive while one transaction runs form
// the next one, so that a database with one writer syncs its file once for all of them.
// A single settlement does not wait.
type group struct {
	mu      sync.Mutex
	running bool
	waiting []*member
}

// member is a settlement in a group.
type member struct {
	settlement
	ctx     context.Context //nolint:containedctx // checked before the settlement begins
	done    bool
	gone    error      // ctx ended before it began
	outcome chan error // takes one without a reader
}

// do runs a settlement and returns when it is committed. If ctx ends before, a
// settlement that has begun may still take effect. The others do not notice.
func (g *group) do(ctx context.Context, s *Store, x settlement) (bool, error) {
	m := &member{settlement: x, ctx: ctx, outcome: make(chan error, 1)}
	g.mu.Lock()
	g.waiting = append(g.waiting, m)
	if !g.running {
		g.running = true
		go g.run(context.WithoutCancel(ctx), s)
	}
	g.mu.Unlock()
	select {
	case err := <-m.outcome:
		return m.done && err == nil, err
	case <-ctx.Done():
		return false, s.wrap(ctx, x.what, ctx.Err())
	}
}

// run commits groups until none waits.
func (g *group) run(ctx context.Context, s *Store) {
	for members := g.next(); members != nil; members = g.next() {
		commit(ctx, s, members)
	}
}

// next returns the waiting members, or nil if there are none: then run ends.
func (g *group) next() []*member {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(len(g.waiting), maxGroup)
	if n == 0 {
		g.running, g.waiting = false, nil
		return nil
	}
	members := g.waiting[:n:n]
	g.waiting = g.waiting[n:]
	return members
}

// commit runs the settlements in one transaction. If a statement of one fails for a
// reason of its own, each gets a transaction of its own. An error of the connection or
// of the commit goes to all.
func commit(ctx context.Context, s *Store, members []*member) {
	failed := false
	err := s.InTx(ctx, func(ctx context.Context) (err error) {
		for _, m := range members {
			if err = m.begin(ctx, s); err != nil {
				failed = true
				return err
			}
		}
		return nil
	})
	if failed && len(members) > 1 && !errors.Is(err, storage.ErrUnavailable) {
		for i := range members {
			commit(ctx, s, members[i:i+1])
		}
		return
	}
	for _, m := range members {
		m.outcome <- cmp.Or(m.gone, err)
	}
}

// begin runs the member's settlement unless its context has ended.
func (m *member) begin(ctx context.Context, s *Store) (err error) {
	if m.done, m.gone = false, s.wrap(m.ctx, m.what, m.ctx.Err()); m.gone == nil {
		m.done, err = m.run(ctx, m.ctx, s)
	}
	return err
}
