package gormstore

import (
	"context"
	"crypto/hmac"
	"fmt"

	"latchkey/storage"
)

// auditLink is a part of the chain whose MAC covers the part before it: a batch with its
// events, or an event without a batch, as earlier versions wrote it.
type auditLink struct {
	batch *batchRow // nil: none
	rows  []auditRow
}

// end returns the number of the link's last event.
func (l *auditLink) end() int64 {
	if l.batch != nil {
		return l.batch.Seq
	}
	return l.rows[0].Seq
}

const (
	// auditPage is how many events are in memory at a time, unless a batch has more.
	auditPage = 1000
	// auditBatchPage is how many batches are read at a time.
	auditBatchPage = 100
)

// auditLinks reads the next links of the chain after an event, up to the event until. It
// returns none if neither a batch nor an event follows. lastID is the id of the last
// event without a batch that was read, or empty.
func (s *Store) auditLinks(ctx context.Context, after, until int64, lastID string) ([]auditLink, error) {
	batches, err := query[batchRow](ctx, s, "read audit batches", fmt.Sprintf(
		"SELECT %s FROM audit_batches WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT %d", columnsOf[batchRow]().list(), auditBatchPage),
		after, until)
	if err != nil {
		return nil, err
	}
	if len(batches) > 0 {
		if batches[0].begin() <= after {
			return s.batchLinks(ctx, batches)
		}
		until = batches[0].begin()
	}
	rows, err := query[auditRow](ctx, s, "read audit events", fmt.Sprintf(
		"SELECT %s FROM audit_events WHERE id > ? AND batch = 0 AND seq <> 0 AND seq <= ? ORDER BY id LIMIT %d", columnsOf[auditRow]().list(), auditPage),
		lastID, until)
	links := make([]auditLink, len(rows))
	for i := range rows {
		links[i].rows = rows[i : i+1]
	}
	return links, err
}

// batchLinks reads the events of the first batches. It reads at least one batch, and more
// as long as they follow each other without a gap and their events fit into auditPage. The
// ids of a batch lie close together, so no index by batch is needed.
func (s *Store) batchLinks(ctx context.Context, batches []batchRow) ([]auditLink, error) {
	n, events := 1, batches[0].Events
	first, last := batches[0].FirstID, batches[0].LastID
	for ; n < len(batches) && events+batches[n].Events <= auditPage && batches[n].begin() <= batches[n-1].Seq; n++ {
		events += batches[n].Events
		first, last = min(first, batches[n].FirstID), max(last, batches[n].LastID)
	}
	batches = batches[:n]
	rows, err := query[auditRow](ctx, s, "read audit events", "SELECT "+columnsOf[auditRow]().list()+
		" FROM audit_events WHERE id >= ? AND id <= ? AND batch IN (SELECT id FROM audit_batches WHERE seq >= ? AND seq <= ?) ORDER BY id",
		first, last, batches[0].Seq, batches[n-1].Seq)
	if err != nil {
		return nil, err
	}
	of := make(map[int64][]auditRow, n)
	for i := range rows {
		of[rows[i].Batch] = append(of[rows[i].Batch], rows[i])
	}
	links := make([]auditLink, n)
	for i := range batches {
		links[i] = auditLink{batch: &batches[i], rows: of[batches[i].ID]}
	}
	return links, nil
}

// checkLink checks that a link is intact and follows the event after, which is the last
// checked event or the last one that retention deleted. It returns the MAC of the link, and
// the first break or nil.
func (s *Store) checkLink(l *auditLink, after storage.AuditHead) (mac []byte, broken *storage.AuditBreak) {
	if l.batch == nil {
		return l.rows[0].MAC, s.checkEvent(&l.rows[0], l.rows[0].Seq, after.Seq+1, after.MAC)
	}
	b := l.batch
	if b.begin() != after.Seq {
		return nil, auditBreak(after.Seq+1, "there is an event %d in its place", b.begin()+1)
	}
	last := beforeFirst(b.ID)
	for i := range l.rows {
		number := after.Seq + int64(i) + 1
		if broken := s.checkEvent(&l.rows[i], b.begin()+l.rows[i].Seq, number, last); broken != nil {
			return nil, broken
		}
		last = l.rows[i].MAC
	}
	if next := after.Seq + int64(len(l.rows)) + 1; next != b.Seq+1 {
		return nil, auditBreak(next, "it is missing; its batch has %d events and should have %d", len(l.rows), b.Events)
	}
	want, known := s.auditMAC(b.KeyID, purposeAuditBatch, b.canonical(after.MAC, last))
	switch {
	case !known:
		return nil, unknownSecret(after.Seq+1, b.KeyID)
	case !hmac.Equal(want, b.MAC):
		return nil, auditBreak(after.Seq+1, "the record of its batch, or what was before it, is not what was written")
	}
	return b.MAC, nil
}

// checkEvent checks that the event with the number is the expected event want, and that its
// MAC covers before, the MAC of the previous event. It returns nil if so.
func (s *Store) checkEvent(r *auditRow, number, want int64, before []byte) *storage.AuditBreak {
	if number > want {
		return auditBreak(want, "it is missing; %d comes next", number)
	}
	if number < want {
		return auditBreak(want, "there is an event %d in its place", number)
	}
	intact, known := s.authentic(r, before)
	switch {
	case !known:
		return unknownSecret(number, r.KeyID)
	case !intact:
		return auditBreak(number, "it, or what was before it, is not what was written")
	}
	return nil
}

func auditBreak(seq int64, why string, args ...any) *storage.AuditBreak {
	return &storage.AuditBreak{Seq: seq, Why: fmt.Sprintf(why, args...)}
}

func unknownSecret(seq int64, keyID string) *storage.AuditBreak {
	return &storage.AuditBreak{Seq: seq, Key: keyID, Why: fmt.Sprintf("it is under the secret %q, which is not known", keyID)}
}
