package gormstore

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"

	"latchkey/storage"
)

// auditPage is how many events are in memory at a time.
const auditPage = 1000

// EachAuditEvent calls do with every event that the filter selects, in the
// order of the chain, with the events from before the chain first. Events written
// meanwhile may be missing. It ends with the first error of do.
func (s *Store) EachAuditEvent(ctx context.Context, f storage.AuditFilter, do func(storage.AuditRecord) error) error {
	after := ""
	if !f.Since.IsZero() {
		after = auditIDFrom(f.Since) // the time in an id is the event's or later
	}
	return s.eachAuditRow(ctx, after, "", func(r *auditRow) error {
		record := storage.AuditRecord{AuditEvent: r.record(), Seq: r.Seq, KeyID: r.KeyID, MAC: r.MAC}
		if !f.Admits(record.AuditEvent) {
			return nil
		}
		return do(record)
	})
}

// eachAuditRow reads rows page by page in the order of their ids. and is a
// further condition, or empty.
func (s *Store) eachAuditRow(ctx context.Context, after, and string, do func(*auditRow) error) error {
	for {
		rows, err := query[auditRow](ctx, s, "read audit events",
			"SELECT "+columnsOf[auditRow](&s.rows).list()+" FROM audit_events WHERE id > ?"+and+" ORDER BY id LIMIT ?", after, auditPage)
		if err != nil {
			return err
		}
		for i := range rows {
			if err := do(&rows[i]); err != nil {
				return err
			}
		}
		if len(rows) < auditPage {
			return nil
		}
		after = rows[len(rows)-1].ID
	}
}

// VerifyAudit reads the whole chain of audit events, in bounded memory, and
// reports whether it is as it was written: no event changed, missing, added or
// moved. It needs the secrets of ChainAuditEvents. expect, unless it is zero, must
// be an event of the chain. Only that shows that somebody restored an older state
// of the whole database.
//
// It may run while events are written and swept. The error is one of the
// database; a break of the chain is in the verdict.
func (s *Store) VerifyAudit(ctx context.Context, expect storage.AuditHead) (storage.AuditVerdict, error) {
	v := verifier{store: s, expect: expect}
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

// errBroken ends a verification.
var errBroken = errors.New("the chain is broken")

// verifier reads along the chain.
type verifier struct {
	store   *Store
	expect  storage.AuditHead
	chain   chainRow          // as last read
	last    storage.AuditHead // the last event that was read, or that retention deleted
	met     bool              // the expected event was there
	lastID  string
	verdict storage.AuditVerdict
}

func (v *verifier) fail(seq int64, why string, args ...any) error {
	v.verdict.Break = &storage.AuditBreak{Seq: seq, Why: fmt.Sprintf(why, args...)}
	return errBroken
}

func (v *verifier) unknown(seq int64, keyID string) error {
	v.verdict.Break = &storage.AuditBreak{Seq: seq, Key: keyID, Why: fmt.Sprintf("it is under the secret %q, which is not known", keyID)}
	return errBroken
}

// begin starts behind the events that retention deleted.
func (v *verifier) begin(ctx context.Context) error {
	if err := v.reread(ctx); err != nil {
		return err
	}
	v.last = storage.AuditHead{Seq: v.chain.Swept, MAC: v.chain.SweptMAC}
	v.verdict.Swept = v.chain.Swept
	return v.meet()
}

// reread reads the two ends of the chain again.
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
		return v.unknown(v.chain.Seq, v.chain.KeyID)
	case !intact:
		return v.fail(v.chain.Seq, "the record of where the chain ends was changed")
	}
	return nil
}

// walk reads all events, and then those that were written meanwhile.
func (v *verifier) walk(ctx context.Context) error {
	for moved := true; moved; {
		before := v.last.Seq
		err := v.store.eachAuditRow(ctx, v.lastID, " AND seq <> 0", func(r *auditRow) error { return v.see(ctx, r) })
		if err == nil && before == v.last.Seq && before < v.chain.Seq {
			err = v.catchUp(ctx, v.chain.Seq+1)
		}
		if err != nil {
			return err
		}
		moved = before < v.last.Seq && v.last.Seq < v.chain.Seq
	}
	return nil
}

// see checks the next row.
func (v *verifier) see(ctx context.Context, r *auditRow) error {
	v.lastID = r.ID
	if r.Seq != v.last.Seq+1 || r.Seq > v.chain.Seq {
		if err := v.catchUp(ctx, r.Seq); err != nil {
			return err
		}
		if r.Seq > v.last.Seq && r.Seq <= v.chain.Swept {
			return nil // swept between the reading of the page and now
		}
	}
	next := v.last.Seq + 1
	if r.Seq > next {
		return v.fail(next, "it is missing; %d comes next", r.Seq)
	}
	if r.Seq < next {
		return v.fail(next, "there is an event %d in its place", r.Seq)
	}
	if r.Seq > v.chain.Seq {
		return v.fail(r.Seq, "it is beyond the end of the chain")
	}
	intact, known := v.store.authentic(r, v.last.MAC)
	switch {
	case !known:
		return v.unknown(r.Seq, r.KeyID)
	case !intact:
		return v.fail(r.Seq, "it, or what was before it, is not what was written")
	case r.Action == storage.AuditChainBroken:
		return v.fail(r.Seq, "a server found then: %s", r.Outcome)
	}
	v.last = storage.AuditHead{Seq: r.Seq, MAC: r.MAC}
	v.verdict.Events++
	return v.meet()
}

// catchUp reads again where the chain begins and ends. Retention may have deleted
// events meanwhile, and servers may have written more.
func (v *verifier) catchUp(ctx context.Context, seq int64) error {
	if err := v.reread(ctx); err != nil {
		return err
	}
	if v.chain.Swept > v.last.Seq && v.chain.Swept < seq {
		v.last = storage.AuditHead{Seq: v.chain.Swept, MAC: v.chain.SweptMAC}
		v.verdict.Swept = v.chain.Swept
	}
	return v.meet()
}

// meet compares the expected event with the chain once its number is reached.
func (v *verifier) meet() error {
	if v.expect.Seq == 0 || v.last.Seq != v.expect.Seq {
		return nil
	}
	if v.met = hmac.Equal(v.last.MAC, v.expect.MAC); !v.met {
		return v.fail(v.last.Seq, "it is not the one that was expected")
	}
	return nil
}

// end compares the last event with the end of the chain.
func (v *verifier) end(ctx context.Context) error {
	switch {
	case v.last.Seq < v.chain.Seq:
		return v.fail(v.last.Seq+1, "it is missing; the chain ends with %d", v.chain.Seq)
	case !hmac.Equal(v.last.MAC, v.chain.MAC):
		return v.fail(v.chain.Seq, "it is not the one that the chain ends with")
	case v.expect.Seq > v.last.Seq:
		return v.fail(v.last.Seq+1, "it is missing; %d was expected to be there", v.expect.Seq)
	case v.expect.Seq > 0 && !v.met:
		return v.fail(v.expect.Seq, "retention has deleted it, so that it cannot be compared; expect a later one")
	}
	return v.outsiders(ctx)
}

// outsiders counts the events that are not in the chain.
func (v *verifier) outsiders(ctx context.Context) error {
	type count struct {
		Found int64 `gorm:"column:found"`
		Known int64 `gorm:"column:known"`
	}
	n, err := get[count](ctx, v.store, "audit events", `SELECT outside AS known,
		(SELECT count(*) FROM audit_events WHERE seq = 0) AS found FROM audit_chain WHERE id = 1`)
	if err != nil {
		return err
	}
	if v.verdict.Outside = n.Found; n.Found > n.Known {
		return v.fail(0, "%d events outside of the chain were written after it began, by an older server or by somebody else", n.Found-n.Known)
	}
	if n.Found < n.Known {
		return v.fail(0, "%d events from before the chain are missing", n.Known-n.Found)
	}
	return nil
}
