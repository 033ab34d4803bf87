package gormstore

import (
	"context"
	"errors"
	"fmt"

	"latchkey/storage"
)

// sweepAudit deletes up to limit events from the front of the chain that are
// older than the retention. It stores the last of them under the seal, which
// distinguishes this from any other deletion. It deletes only events that are as
// they were written, so that events that an attacker wrote and dated back stay.
func (s *Store) sweepAudit(ctx context.Context, before int64, limit int) (n int, err error) {
	oldest, err := query[int64](ctx, s, "sweep audit_events", "SELECT time FROM audit_events ORDER BY id LIMIT 1")
	if err != nil || len(oldest) == 0 || oldest[0] >= before || limit < 1 || s.auditKeys == nil {
		return 0, err
	}
	err = s.InTx(ctx, func(ctx context.Context) error {
		n, err = s.sweepChain(ctx, before, limit)
		return err
	})
	return n, err
}

func (s *Store) sweepChain(ctx context.Context, before int64, limit int) (int, error) {
	c, err := s.chain(ctx, s.locking(ctx))
	if err != nil || c.unused() { // beginChain counts the earlier events first
		return 0, err
	}
	if intact, _ := s.sealedChain(&c); !intact {
		s.log.Error().Msg("audit events are not swept: the end of their chain was changed")
		return 0, nil
	}
	rows, err := query[auditRow](ctx, s, "sweep audit_events", "SELECT "+columnsOf[auditRow](&s.rows).list()+" FROM audit_events ORDER BY id LIMIT ?", limit)
	if err != nil {
		return 0, err
	}
	n := 0
	for ; n < len(rows) && rows[n].Time < before && s.leaves(&c, &rows[n]); n++ {
	}
	if n == 0 {
		return 0, nil
	}
	if _, err := s.exec(ctx, "sweep audit_events", "DELETE FROM audit_events WHERE id <= ?", rows[n-1].ID); err != nil {
		return 0, err
	}
	return n, s.putChain(ctx, c)
}

// leaves moves the beginning of the chain beyond the row, or returns false if another
// row should be there.
func (s *Store) leaves(c *chainRow, r *auditRow) bool {
	if r.Seq == 0 && c.Outside > 0 {
		c.Outside--
		return true
	}
	if intact, _ := s.authentic(r, c.SweptMAC); !intact || r.Seq != c.Swept+1 {
		s.log.Error().Int64("seq", c.Swept+1).Msg("audit events are not swept: their chain is broken")
		return false
	}
	c.Swept, c.SweptMAC = r.Seq, r.MAC
	return true
}

// AuditHead returns the newest event of the chain, to be kept outside of the
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

// RestartAudit begins the chain anew, with the event why as its first. All earlier
// events are outside of the chain then. Without it, VerifyAudit would report the
// same break until the events in question are deleted. It returns the number of
// events outside.
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
		if _, err = s.exec(ctx, "restart audit chain", "UPDATE audit_events SET seq = 0 WHERE seq <> 0"); err != nil {
			return err
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
