package gormstore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"latchkey/storage"
)

// errSwept means that another server has deleted the same events.
var errSwept = errors.New("another server has swept them")

// sweepAudit deletes up to limit events older than the retention from the front of the
// chain: whole batches, and at least one. It stores the number of the last deleted event in
// the chain's row, whose MAC distinguishes this deletion from any other. It deletes only
// events whose MAC is right, so forged events with an early date stay as evidence.
func (s *Store) sweepAudit(ctx context.Context, before int64, limit int) (n int, err error) {
	oldest, err := query[int64](ctx, s, "sweep audit_events", "SELECT time FROM audit_events ORDER BY id LIMIT 1")
	if err != nil || len(oldest) == 0 || oldest[0] >= before || limit < 1 || s.auditKeys == nil {
		return 0, err
	}
	err = s.InTx(ctx, func(ctx context.Context) error {
		n, err = s.sweepChain(ctx, before, limit)
		return err
	})
	if errors.Is(err, errSwept) {
		return 0, nil
	}
	return n, err
}

// sweepChain locks the end of the chain only after the deletion, so that writers do not
// wait for the deletion.
func (s *Store) sweepChain(ctx context.Context, before int64, limit int) (int, error) {
	c, err := s.chain(ctx, s.reading(ctx))
	if err != nil || c.unused() { // beginChain counts the earlier events first
		return 0, err
	}
	if intact, _ := s.sealedChain(&c); !intact {
		s.log.Error().Msg("audit events are not swept: the end of their chain was changed")
		return 0, nil
	}
	began := c
	n, err := s.sweepOutside(ctx, &c, before, limit)
	for n < limit && err == nil {
		var more int
		if more, err = s.sweepLinks(ctx, &c, before, limit-n, n == 0); more == 0 {
			break
		}
		n += more
	}
	if n == 0 || err != nil {
		return 0, err
	}
	end, err := s.chain(ctx, s.locking(ctx))
	if err != nil {
		return 0, err
	}
	if intact, _ := s.sealedChain(&end); !intact || end.Swept != began.Swept || end.Outside != began.Outside {
		return 0, errSwept
	}
	end.Outside, end.Swept, end.SweptMAC = c.Outside, c.Swept, c.SweptMAC
	return n, s.putChain(ctx, end)
}

// sweepOutside deletes events that are outside of the chain.
func (s *Store) sweepOutside(ctx context.Context, c *chainRow, before int64, limit int) (int, error) {
	if c.Outside == 0 {
		return 0, nil
	}
	deleted, err := s.exec(ctx, "sweep audit_events", fmt.Sprintf(
		"DELETE FROM audit_events WHERE id IN (SELECT id FROM audit_events WHERE seq = 0 AND time < ? ORDER BY id LIMIT %d)",
		min(int64(limit), c.Outside)), before)
	c.Outside -= deleted
	return int(deleted), err
}

// sweepLinks deletes the first links of the chain that are old enough, up to the first link
// that is not intact. Together they have at most limit events. If always is true, the first
// link is deleted even if it has more.
func (s *Store) sweepLinks(ctx context.Context, c *chainRow, before int64, limit int, always bool) (int, error) {
	links, err := s.auditLinks(ctx, c.Swept, c.Seq, "")
	if err != nil {
		return 0, err
	}
	n, taken := 0, 0
	from := c.Swept
	first, last := "", ""
	for i := range links {
		l := &links[i]
		if n+len(l.rows) > limit && (taken > 0 || !always) || slices.ContainsFunc(l.rows, func(r auditRow) bool { return r.Time >= before }) {
			break
		}
		mac, broken := s.checkLink(l, storage.AuditHead{Seq: c.Swept, MAC: c.SweptMAC})
		if broken != nil {
			s.log.Error().Int64("seq", broken.Seq).Str("reason", broken.Why).Msg("audit events are not swept: their chain is broken")
			break
		}
		if taken == 0 {
			first = l.rows[0].ID
		}
		first, last = min(first, l.rows[0].ID), max(last, l.rows[len(l.rows)-1].ID)
		c.Swept, c.SweptMAC = l.end(), mac
		n, taken = n+len(l.rows), taken+1
	}
	if taken == 0 {
		return 0, nil
	}
	deleted, err := s.exec(ctx, "sweep audit_events", `DELETE FROM audit_events WHERE id >= ? AND id <= ? AND
		(batch = 0 AND seq > ? AND seq <= ? OR batch IN (SELECT id FROM audit_batches WHERE seq > ? AND seq <= ?))`,
		first, last, from, c.Swept, from, c.Swept)
	if err == nil {
		_, err = s.exec(ctx, "sweep audit_events", "DELETE FROM audit_batches WHERE seq > ? AND seq <= ?", from, c.Swept)
	}
	if err == nil && deleted != int64(n) {
		err = errSwept
	}
	return n, err
}

// AuditHead returns the end of the chain, to be kept outside of the
// database. It does not read the events; see VerifyAudit. A chain whose end was
// changed is an error.
func (s *Store) AuditHead(ctx context.Context) (storage.AuditHead, error) {
	c, err := s.chain(ctx, s.reading(ctx))
	if err != nil || c.unused() {
		return storage.AuditHead{}, err
	}
	if intact, _ := s.sealedChain(&c); !intact {
		return storage.AuditHead{}, errors.New("audit head: the record of where the chain ends was changed, or its secret is not known")
	}
	return c.head(), nil
}

// RestartAudit begins a new chain whose first event is why. All earlier events are outside
// of the chain afterwards. After a break this is needed, because VerifyAudit would
// otherwise report the same break until retention deletes the events in question. It
// returns the number of events outside.
func (s *Store) RestartAudit(ctx context.Context, why storage.AuditEvent) (int64, error) {
	var outside int64
	err := s.InTx(ctx, func(ctx context.Context) error {
		c, err := s.chain(ctx, s.locking(ctx))
		if err != nil {
			return err
		}
		if sql := s.dialect.unhurried(); sql != "" { // the next statements read all events
			if _, err := s.exec(ctx, "restart audit chain", sql); err != nil {
				return err
			}
		}
		if s.auditKeys == nil {
			return errors.New("restart audit chain: no secrets to chain events with")
		}
		for _, sql := range []string{"UPDATE audit_events SET seq = 0, batch = 0 WHERE seq <> 0", "DELETE FROM audit_batches"} {
			if _, err = s.exec(ctx, "restart audit chain", sql); err != nil {
				return err
			}
		}
		if outside, err = get[int64](ctx, s, "restart audit chain", "SELECT count(*) FROM audit_events"); err != nil {
			return err
		}
		c.Outside, c.Swept, c.SweptMAC = outside, max(0, c.Seq), c.MAC
		c.Seq = c.Swept
		if err := s.putChain(ctx, c); err != nil {
			return err
		}
		return s.AddAuditEvents(ctx, []storage.AuditEvent{why})
	})
	if err != nil {
		return 0, fmt.Errorf("restart: %w", err)
	}
	return outside, nil
}
