package gormstore

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"

	"latchkey/storage"
)

// numberedRow is an event with its number in the chain.
type numberedRow struct {
	Event  auditRow `gorm:"embedded"`
	Number int64    `gorm:"column:number"`
}

// auditWindow is the number of stored events that one statement of EachAuditEvent reads,
// however few of them the filter selects.
const auditWindow = 2 * auditPage

// EachAuditEvent calls do with every event that the filter selects, in the order of their
// ids. Events written meanwhile may be missing. It returns the first error of do, and
// storage.ErrQuery for a filter that lists of audit events do not support. Each statement
// reads a bounded number of events, so the table may have any size.
func (s *Store) EachAuditEvent(ctx context.Context, f storage.AuditFilter, do func(storage.AuditRecord) error) error {
	l := auditListing(f.Conditions())
	if err := l.checkCost(storage.Query{Where: f.Conditions()}); err != nil {
		return err
	}
	selected := []statement{{sql: "id > ?"}, {sql: "id <= ?"}}
	for _, condition := range f.Conditions() {
		one, _, err := l.fields.condition(s.dialect, condition)
		if err != nil {
			return err
		}
		selected = append(selected, one)
	}
	where := combine(" AND ", selected)
	for after := auditFrom(f.Conditions()); ; {
		last, err := s.auditWindowEnd(ctx, after)
		if err != nil || last == "" {
			return err
		}
		rows, err := query[numberedRow](ctx, s, "read audit events", "SELECT "+columnsOf[auditRow]().list()+`,
			seq + coalesce((SELECT b.seq - b.events FROM audit_batches b WHERE b.id = audit_events.batch), 0) AS number
			FROM audit_events WHERE `+where.sql+" ORDER BY id", append([]any{after, last}, where.args...)...)
		if err != nil {
			return err
		}
		for i := range rows {
			r := &rows[i].Event
			if err := do(storage.AuditRecord{AuditEvent: r.record(), Seq: rows[i].Number, KeyID: r.KeyID, MAC: r.MAC}); err != nil {
				return err
			}
		}
		after = last
	}
}

// auditWindowEnd returns the id of the last of the next auditWindow events after an id. It
// returns "" if there are none.
func (s *Store) auditWindowEnd(ctx context.Context, after string) (string, error) {
	return get[string](ctx, s, "read audit events", fmt.Sprintf(
		"SELECT coalesce(max(id), '') FROM (SELECT id FROM audit_events WHERE id > ? ORDER BY id LIMIT %d) w", auditWindow), after)
}

// VerifyAudit reads the whole chain of audit events, in bounded memory, and reports whether
// it is intact: no event was changed, deleted, added or moved. It needs the secrets of
// ChainAuditEvents. expect is an earlier head of the chain that was kept outside of the
// database; zero: none. Only with expect does VerifyAudit notice that somebody restored an
// older state of the whole database.
//
// It may run while events are written and swept. progress, unless it is nil, is called
// after each part with the number of events that have been read and the number of all
// events. VerifyAudit returns the error of progress or of the database. A break of the
// chain is not an error: it is in the verdict.
func (s *Store) VerifyAudit(ctx context.Context, expect storage.AuditHead, progress func(read, all int64) error) (storage.AuditVerdict, error) {
	v := verifier{store: s, expect: expect, progress: progress}
	err := v.begin(ctx)
	if err == nil {
		err = v.walk(ctx)
	}
	if err == nil {
		err = v.end(ctx)
	}
	if errors.Is(err, errBroken) {
		err = nil
	}
	v.verdict.Head = v.chain.head()
	return v.verdict, err
}

// VerifyRecentAudit checks the last events of the chain, in whole batches, and the record
// of the chain's end. It checks at most the given number of events and one batch more. Its
// cost does not depend on the length of the chain. Verdict.Swept is the event before the
// first checked one. It does not find rows outside of the chain; see VerifyAudit.
func (s *Store) VerifyRecentAudit(ctx context.Context, events int64) (storage.AuditVerdict, error) {
	v := verifier{store: s}
	err := v.begin(ctx)
	if err == nil && v.chain.Seq-events > v.chain.Swept {
		err = v.skip(ctx, v.chain.Seq-events)
	}
	if err == nil {
		err = v.walk(ctx)
	}
	if err == nil && !hmac.Equal(v.last.MAC, v.chain.MAC) {
		err = v.fail(v.chain.Seq, "it is not the one that the chain ends with")
	}
	if errors.Is(err, errBroken) {
		err = nil
	}
	v.verdict.Head = v.chain.head()
	return v.verdict, err
}

// skip makes the verifier start after the last batch that ends with the event seq or
// before. If there is none, the verifier starts at the beginning. A chain that begins with
// events without batches is an exception: there may be many of them, so the verifier starts
// after the first batch.
func (v *verifier) skip(ctx context.Context, seq int64) error {
	batches := "SELECT " + columnsOf[batchRow]().list() + " FROM audit_batches WHERE seq"
	rows, err := query[batchRow](ctx, v.store, "read audit batches", batches+" <= ? ORDER BY seq DESC LIMIT 1", seq)
	if err == nil && len(rows) == 0 {
		rows, err = query[batchRow](ctx, v.store, "read audit batches", batches+" > ? ORDER BY seq LIMIT 1", seq)
		if err == nil && len(rows) > 0 && rows[0].begin() <= v.chain.Swept {
			return nil
		}
	}
	if err == nil && len(rows) > 0 && rows[0].Seq > v.chain.Swept && rows[0].Seq < v.chain.Seq {
		v.last = storage.AuditHead{Seq: rows[0].Seq, MAC: rows[0].MAC}
		v.verdict.Swept = v.last.Seq
	}
	return err
}

// errBroken ends a verification.
var errBroken = errors.New("the chain is broken")

// verifier checks the links of the chain in order.
type verifier struct {
	store   *Store
	expect  storage.AuditHead
	chain   chainRow          // as last read
	last    storage.AuditHead // the last link that was read, or that retention deleted
	met     bool              // the expected head was there
	lastID  string            // of the last event without a batch
	verdict storage.AuditVerdict

	progress func(read, all int64) error // may be nil
}

func (v *verifier) fail(seq int64, why string, args ...any) error {
	return v.broken(auditBreak(seq, why, args...))
}

func (v *verifier) broken(b *storage.AuditBreak) error {
	v.verdict.Break = b
	return errBroken
}

// begin makes the verifier start after the events that retention deleted.
func (v *verifier) begin(ctx context.Context) error {
	if err := v.reread(ctx); err != nil {
		return err
	}
	return v.startAfterSwept()
}

func (v *verifier) startAfterSwept() error {
	v.last = storage.AuditHead{Seq: v.chain.Swept, MAC: v.chain.SweptMAC}
	v.verdict.Swept = v.chain.Swept
	return v.meet()
}

// reread reads the row with the beginning and the end of the chain again.
func (v *verifier) reread(ctx context.Context) (err error) {
	if v.chain, err = v.store.chain(ctx, v.store.reading(ctx)); err != nil {
		return err
	}
	if v.chain.unused() {
		return v.fail(1, "nothing has been chained yet, or everything was erased")
	}
	intact, known := v.store.sealedChain(&v.chain)
	switch {
	case !known:
		return v.broken(unknownSecret(v.chain.Seq, v.chain.KeyID))
	case !intact:
		return v.fail(v.chain.Seq, "the record of where the chain ends was changed")
	}
	return nil
}

// walk reads the chain up to its end as last read.
func (v *verifier) walk(ctx context.Context) error {
	for v.last.Seq < v.chain.Seq {
		err := v.step(ctx)
		if err == nil && v.progress != nil {
			err = v.progress(v.verdict.Events, v.verdict.Events+v.chain.Seq-v.last.Seq)
		}
		if !errors.Is(err, errBroken) {
			if err != nil {
				return err
			}
			continue
		}
		found := v.verdict.Break
		if err := v.reread(ctx); err != nil {
			return err
		}
		if v.chain.Swept <= v.last.Seq {
			return v.broken(found)
		}
		v.verdict.Break = nil // retention has deleted what was to come next
		if err := v.startAfterSwept(); err != nil {
			return err
		}
	}
	return nil
}

// step checks the next links.
func (v *verifier) step(ctx context.Context) error {
	links, err := v.store.auditLinks(ctx, v.last.Seq, v.chain.Seq, v.lastID)
	if err != nil {
		return err
	}
	if len(links) == 0 {
		return v.fail(v.last.Seq+1, "it is missing; the chain ends with %d", v.chain.Seq)
	}
	for i := range links {
		l := &links[i]
		mac, broken := v.store.checkLink(l, v.last)
		if broken != nil {
			return v.broken(broken)
		}
		for j := range l.rows {
			if r := &l.rows[j]; r.Action == storage.AuditChainBroken {
				return v.fail(v.last.Seq+int64(j)+1, "a server found then: %s", r.Outcome)
			}
		}
		if l.batch == nil {
			v.lastID = l.rows[0].ID
		}
		v.last = storage.AuditHead{Seq: l.end(), MAC: mac}
		v.verdict.Events += int64(len(l.rows))
		if err := v.meet(); err != nil {
			return err
		}
	}
	return nil
}

// meet compares the expected head with the chain once its number is reached.
func (v *verifier) meet() error {
	if v.expect.Seq == 0 || v.last.Seq != v.expect.Seq {
		return nil
	}
	if v.met = hmac.Equal(v.last.MAC, v.expect.MAC); !v.met {
		return v.fail(v.last.Seq, "it is not the one that was expected")
	}
	return nil
}

// end compares the last link with the end of the chain.
func (v *verifier) end(ctx context.Context) error {
	switch {
	case !hmac.Equal(v.last.MAC, v.chain.MAC):
		return v.fail(v.chain.Seq, "it is not the one that the chain ends with")
	case v.expect.Seq > v.last.Seq:
		return v.fail(v.last.Seq+1, "it is missing; %d was expected to be there", v.expect.Seq)
	case v.expect.Seq > 0 && !v.met && v.expect.Seq < v.verdict.Swept:
		return v.fail(v.expect.Seq, "retention has deleted it, so that it cannot be compared; expect a later one")
	case v.expect.Seq > 0 && !v.met:
		return v.fail(v.expect.Seq, "no head of this chain has its number")
	}
	return v.count(ctx)
}

// count compares the numbers of all events and batches with those in the chain's row. So it
// finds rows outside of the chain wherever they are.
func (v *verifier) count(ctx context.Context) error {
	type counts struct {
		Outside      int64 `gorm:"column:outside"`
		Chained      int64 `gorm:"column:chained"`
		Found        int64 `gorm:"column:found"`
		FoundOutside int64 `gorm:"column:found_outside"`
		Single       int64 `gorm:"column:single"`
		Batched      int64 `gorm:"column:batched"`
	}
	n, err := get[counts](ctx, v.store, "audit events", `SELECT c.outside, c.seq - c.swept AS chained, e.found, e.found_outside, e.single,
			(SELECT CAST(coalesce(sum(b.events), 0) AS BIGINT) FROM audit_batches b) AS batched
		FROM audit_chain c, (SELECT count(*) AS found, count(CASE WHEN seq = 0 THEN 1 END) AS found_outside,
			count(CASE WHEN batch = 0 AND seq <> 0 THEN 1 END) AS single FROM audit_events) e
		WHERE c.id = 1`)
	if err != nil {
		return err
	}
	v.verdict.Outside = n.FoundOutside
	switch extra := n.Found - n.FoundOutside - n.Chained; {
	case n.FoundOutside > n.Outside:
		return v.fail(0, "%d events outside of the chain were written after it began, by an older server or by somebody else", n.FoundOutside-n.Outside)
	case n.FoundOutside < n.Outside:
		return v.fail(0, "%d events from before the chain are missing", n.Outside-n.FoundOutside)
	case extra > 0:
		return v.fail(0, "%d events have numbers, but are no part of the chain", extra)
	case extra < 0:
		return v.fail(0, "%d events were deleted while the chain was read", -extra)
	case n.Single+n.Batched != n.Chained:
		return v.fail(0, "the records of batches have %d events, and should have %d", n.Batched, n.Chained-n.Single)
	}
	return nil
}

// AuditState returns where the chain of audit events begins and ends, without reading the
// events. Events is the number of events that the chain should have. If Break is set, the
// row of the chain is not what a server wrote, and the other fields may be wrong. Before
// the first event the verdict is zero.
func (s *Store) AuditState(ctx context.Context) (storage.AuditVerdict, error) {
	v := verifier{store: s}
	if err := v.reread(ctx); err != nil && !errors.Is(err, errBroken) {
		return storage.AuditVerdict{}, err
	}
	if v.chain.unused() {
		return storage.AuditVerdict{}, nil
	}
	v.verdict.Head, v.verdict.Swept, v.verdict.Outside = v.chain.head(), v.chain.Swept, v.chain.Outside
	v.verdict.Events = v.chain.Seq - v.chain.Swept
	return v.verdict, nil
}
