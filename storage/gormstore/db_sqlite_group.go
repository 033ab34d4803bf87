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

// run executes the settlement in the transaction of ctx.
func (x settlement) run(ctx context.Context, s *Store) (done bool, err error) {
	rows, err := s.exec(ctx, x.what, x.first.sql, x.first.args...)
	if err != nil || rows != int64(x.rows) {
		return false, err
	}
	for _, then := range x.then {
		if _, err := s.exec(ctx, x.what, then.alone(), then.args...); err != nil {
			return false, err
		}
	}
	return true, nil
}

// group commits the work of several callers together. The work that arrives while one
// transaction runs forms the next transaction. So a database with one writer syncs its file
// once for all of them. Work that arrives alone does not wait.
type group struct {
	mu      sync.Mutex
	running bool
	waiting []*member
}

// member is the work of one caller in a group.
type member struct {
	what    string
	ctx     context.Context                 //nolint:containedctx // of the caller; checked before the work begins
	work    func(ctx context.Context) error // after an error nothing takes effect; may be called again
	gone    error                           // ctx ended before the work began
	outcome chan error                      // takes one without a reader, when the work is committed
}

// do runs the work of a caller in a group, and returns when it is committed. If ctx ends
// earlier, work that has begun may still take effect. The other members of the group are
// not affected.
func (g *group) do(ctx context.Context, s *Store, what string, work func(context.Context) error) error {
	m := &member{what: what, ctx: ctx, work: work, outcome: make(chan error, 1)}
	g.mu.Lock()
	g.waiting = append(g.waiting, m)
	if !g.running {
		g.running = true
		go g.run(context.WithoutCancel(ctx), s)
	}
	g.mu.Unlock()
	select {
	case err := <-m.outcome:
		return err
	case <-ctx.Done():
		return s.wrap(ctx, what, ctx.Err())
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

// commit does the work of the members in one transaction. If the work of one fails for a
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

// begin does the member's work in the transaction of ctx unless the member's context has
// ended.
func (m *member) begin(ctx context.Context, s *Store) error {
	if m.gone = s.wrap(m.ctx, m.what, m.ctx.Err()); m.gone != nil {
		return nil //nolint:nilerr // the other members of the group go on
	}
	return m.work(context.WithValue(context.WithoutCancel(m.ctx), txKey{s}, s.tx(ctx)))
}
