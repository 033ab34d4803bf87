package gormstore

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"latchkey/storage"
)

// batchRow is the record of a batch of events in the chain. Its MAC covers the MAC of the
// previous link and that of the batch's last event.
type batchRow struct {
	Seq     int64  `gorm:"column:seq"` // of its last event
	ID      int64  `gorm:"column:id"`  // random
	Events  int64  `gorm:"column:events"`
	KeyID   string `gorm:"column:key_id"`
	FirstID string `gorm:"column:first_id"` // of its events
	LastID  string `gorm:"column:last_id"`
	MAC     blob   `gorm:"column:mac"`
}

func (*batchRow) TableName() string { return "audit_batches" }

// begin returns the number of the event before the batch.
func (b *batchRow) begin() int64 { return b.Seq - b.Events }

func (b *batchRow) canonical(before, last []byte) []byte {
	var e encoding
	return e.bytes(before).number(b.Seq).number(b.ID).number(b.Events).text(b.KeyID).text(b.FirstID).text(b.LastID).bytes(last)
}

// beforeFirst returns the bytes that the MAC of a batch's first event covers in place of
// the MAC of a previous event.
func beforeFirst(batch int64) []byte { return encoding(nil).number(batch) }

// auditBatch is a batch that is not part of the chain yet.
type auditBatch struct {
	row  batchRow
	rows []auditRow
	last []byte // the MAC of its last event
}

// newAuditBatch sets the ids, the numbers within the batch and the MACs of the rows. It
// does not read the chain, so several servers can prepare and store batches at the same
// time.
func (s *Store) newAuditBatch(rows []auditRow) (auditBatch, error) {
	random := make([]byte, 8+auditIDRandom*len(rows))
	if _, err := io.ReadFull(s.rand, random); err != nil {
		return auditBatch{}, fmt.Errorf("new audit events: %w", err)
	}
	b := auditBatch{rows: rows, row: batchRow{
		ID: int64(binary.BigEndian.Uint64(random)>>1) | 1, Events: int64(len(rows)), KeyID: s.auditKeys.CurrentID(), //nolint:gosec // has 63 bits
	}}
	stamps := s.auditStamps(rows)
	b.last = beforeFirst(b.row.ID)
	var room encoding
	for i := range rows {
		r := &rows[i]
		r.ID, r.Seq, r.Batch, r.KeyID = auditID(stamps[i], random[8+auditIDRandom*i:][:auditIDRandom]), int64(i+1), b.row.ID, b.row.KeyID
		room = r.canonical(room, b.last)
		mac, known := s.auditMAC(r.KeyID, purposeAuditEvent, room)
		if !known {
			return auditBatch{}, fmt.Errorf("add audit events: no secret %q", r.KeyID)
		}
		r.MAC, b.last = mac, mac
	}
	b.row.FirstID, b.row.LastID = rows[0].ID, rows[len(rows)-1].ID
	return b, nil
}

// auditStamps returns the times for the ids of the rows, in microseconds. They rise from
// row to row and from call to call, even if the times of the events do not.
func (s *Store) auditStamps(rows []auditRow) []int64 {
	stamps := make([]int64, len(rows))
	for {
		before := s.auditStamp.Load()
		last := before
		for i := range rows {
			last = max(rows[i].Time, last+1)
			stamps[i] = last
		}
		if s.auditStamp.CompareAndSwap(before, last) {
			return stamps
		}
	}
}

// appendBatch appends a batch to the chain and returns the chain. The events of the batch
// must be stored already. The end of the chain is locked from here to the commit. If the
// end was changed from outside, appendBatch also stores an event that says so, in a batch
// of its own. Otherwise the next events would hide the change.
func (s *Store) appendBatch(ctx context.Context, b auditBatch) (chainRow, error) {
	c, err := s.chain(ctx, s.locking(ctx))
	if err != nil {
		return c, err
	}
	why, err := s.chainFault(ctx, &c, b.row.ID)
	if err != nil {
		return c, err
	}
	links := []auditBatch{b}
	if why != "" {
		s.log.Error().Int64("seq", c.Seq).Str("reason", why).Msg("the chain of audit events is broken")
		report, err := s.newAuditBatch([]auditRow{{Time: micros(s.now()), Action: storage.AuditChainBroken, Outcome: why}})
		if err == nil {
			err = s.insertAuditEvents(ctx, report.rows)
		}
		if err != nil {
			return c, err
		}
		links = []auditBatch{report, b}
	}
	rows := make([]batchRow, len(links))
	for i := range links {
		if rows[i], err = s.link(&c, links[i]); err != nil {
			return c, err
		}
	}
	for _, insert := range s.dialect.insertRows("audit_batches", columnsOf[batchRow](), arraysOf(rows)) {
		if _, err := s.exec(ctx, "add audit events", insert.sql, insert.args...); err != nil {
			return c, err
		}
	}
	return c, s.putChain(ctx, c)
}

// link sets the end of the chain c to the batch, and returns the record of the batch.
func (s *Store) link(c *chainRow, b auditBatch) (batchRow, error) {
	row := b.row
	row.Seq = c.Seq + row.Events
	mac, known := s.auditMAC(row.KeyID, purposeAuditBatch, row.canonical(c.MAC, b.last))
	if !known {
		return row, fmt.Errorf("add audit events: no secret %q", row.KeyID)
	}
	row.MAC = mac
	c.Seq, c.MAC, c.Stamp = row.Seq, mac, max(c.Stamp, s.auditStamp.Load())
	return row, nil
}

// auditIDRandom is the number of random bytes in the id of an audit event.
const auditIDRandom = 10

// auditID returns an id made of a time in microseconds and 80 random bits. The characters
// of its alphabet are in ascending order, so ids sort by time.
func auditID(stamp int64, random []byte) string {
	id := binary.BigEndian.AppendUint64(make([]byte, 0, 8+auditIDRandom), uint64(max(0, stamp))) //nolint:gosec // not negative
	return auditPrefix + auditAlphabet().EncodeToString(append(id, random...))
}
