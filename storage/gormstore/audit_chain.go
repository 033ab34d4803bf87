package gormstore

import (
	"context"
	"crypto/hmac"
	"encoding/binary"
	"errors"
	"fmt"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"latchkey/storage"
)

// Purposes of the MACs; see storage.AuditKeys.
const (
	purposeAuditEvent = "audit event"
	purposeAuditBatch = "audit batch"
	purposeAuditHead  = "audit head"
)

// ChainAuditEvents gives the store the secrets that audit events are chained with. It
// must be called before audit events are written or verified. Without the secrets
// the store writes none.
func (s *Store) ChainAuditEvents(keys storage.AuditKeys) { s.auditKeys = keys }

// chainRow is the only row of the chain: where it begins and ends. A transaction
// that changes the chain locks it last, for two statements and its commit.
type chainRow struct {
	ID       int64  `gorm:"column:id;primaryKey;autoIncrement:false"` // 1
	Seq      int64  `gorm:"column:seq"`                               // of the newest event; 0: none yet
	MAC      blob   `gorm:"column:mac"`                               // of the newest batch
	Stamp    int64  `gorm:"column:stamp"`                             // the latest time in an id, in microseconds
	Swept    int64  `gorm:"column:swept"`                             // the last event that retention deleted
	SweptMAC blob   `gorm:"column:swept_mac"`
	Outside  int64  `gorm:"column:outside"` // how many events are not in the chain
	KeyID    string `gorm:"column:key_id"`
	Seal     blob   `gorm:"column:seal"`
}

func (*chainRow) TableName() string { return "audit_chain" }

func (c *chainRow) head() storage.AuditHead { return storage.AuditHead{Seq: c.Seq, MAC: c.MAC} }

// unused reports whether no event has been chained yet, as after the migration.
func (c *chainRow) unused() bool {
	return c.Seq == 0 && c.Swept == 0 && c.Outside == 0 && c.KeyID == "" && len(c.MAC)+len(c.SweptMAC)+len(c.Seal) == 0
}

func (c *chainRow) canonical() []byte {
	var e encoding
	return e.number(c.Seq).bytes(c.MAC).number(c.Stamp).number(c.Swept).bytes(c.SweptMAC).number(c.Outside).text(c.KeyID)
}

// encoding is an unambiguous encoding of a list of fields: numbers have eight bytes, and
// every other field follows its length.
type encoding []byte

func (e encoding) number(n int64) encoding {
	return binary.BigEndian.AppendUint64(e, uint64(n)) //nolint:gosec // any bits will do
}

func (e encoding) bytes(b []byte) encoding { return append(e.number(int64(len(b))), b...) }

func (e encoding) text(s string) encoding { return append(e.number(int64(len(s))), s...) }

// canonical returns the input of an event's MAC. The MACs of events from earlier versions
// were computed without the count and the changed members, so both are left out if the
// event has none. Changed members always follow a count, so a count cannot be read as a
// member. The result is written into room if it fits. room may be nil.
func (r *auditRow) canonical(room encoding, before []byte) encoding {
	e := room[:0].bytes(before).number(r.Seq).text(r.KeyID).text(r.ID).number(r.Time).text(r.Action).text(r.Outcome)
	e = e.text(r.ClientID).text(r.UserUID).text(r.Username).text(r.Factor).text(r.TraceID).text(r.Source)
	e = e.text(r.Object).number(r.Took)
	if r.Count > 0 || r.Changed != "" {
		e = e.number(r.Count)
	}
	if r.Changed != "" {
		e = e.text(r.Changed)
	}
	return e
}

// auditMAC computes a MAC. known is false if the store does not have the secret.
func (s *Store) auditMAC(keyID, purpose string, data []byte) (mac []byte, known bool) {
	if s.auditKeys == nil || keyID == "" {
		return nil, false
	}
	return s.auditKeys.MAC(keyID, purpose, data)
}

// sealedChain reports whether the MAC of the row is right, and whether its secret is known.
func (s *Store) sealedChain(c *chainRow) (intact, known bool) {
	want, known := s.auditMAC(c.KeyID, purposeAuditHead, c.canonical())
	return known && hmac.Equal(want, c.Seal), known
}

// authentic reports whether the row is the event that follows the one with the
// MAC before, and whether its secret is known.
func (s *Store) authentic(r *auditRow, before []byte) (intact, known bool) {
	want, known := s.auditMAC(r.KeyID, purposeAuditEvent, r.canonical(nil, before))
	return known && hmac.Equal(want, r.MAC), known
}

// chain reads the chain's row through db, which locks it in a transaction that
// changes it.
func (s *Store) chain(ctx context.Context, db *gorm.DB) (chainRow, error) {
	c, err := take(ctx, s, "audit chain", db.Where("id = 1"), new(chainRow))
	if errors.Is(err, storage.ErrNotFound) {
		return chainRow{KeyID: "-"}, nil // somebody deleted it; a chain that was never used has a row
	}
	return c, err
}

// putChain computes the MAC of the row and writes the row.
func (s *Store) putChain(ctx context.Context, c chainRow) error {
	c.ID, c.KeyID = 1, s.auditKeys.CurrentID()
	seal, known := s.auditMAC(c.KeyID, purposeAuditHead, c.canonical())
	if !known {
		return fmt.Errorf("audit chain: no secret %q", c.KeyID)
	}
	c.Seal = seal
	return s.wrap(ctx, "audit chain", s.writing(ctx).Clauses(clause.OnConflict{UpdateAll: true}).Create(&c).Error)
}

// chainFault returns why the end of the chain is not the one that a store wrote, or "" if
// it is. If the chain has not been used yet, chainFault begins it. batch is the caller's
// batch: its events are stored but not part of the chain yet.
func (s *Store) chainFault(ctx context.Context, c *chainRow, batch int64) (why string, err error) {
	if c.unused() {
		why, err = s.beginChain(ctx, c, batch)
	} else if intact, known := s.sealedChain(c); !intact {
		if why = "the end of the chain was changed"; !known {
			why = "the end of the chain is sealed with an unknown secret"
		}
	}
	if seen := s.auditSeen.Load(); c.Seq < seen && why == "" {
		why = fmt.Sprintf("the chain was cut at %d after %d events", c.Seq, seen)
	}
	return why, err
}

// beginChain counts the events that were stored before events were chained. It returns a
// reason if some event was chained already.
func (s *Store) beginChain(ctx context.Context, c *chainRow, batch int64) (why string, err error) {
	type before struct {
		Outside int64 `gorm:"column:outside"`
		Chained int64 `gorm:"column:chained"`
	}
	found, err := get[before](ctx, s, "audit chain",
		`SELECT count(*) AS outside, coalesce(sum(CASE WHEN seq = 0 THEN 0 ELSE 1 END), 0) AS chained
			FROM audit_events WHERE batch <> ?`, batch)
	if c.Outside = found.Outside; found.Chained > 0 {
		why = "the end of the chain was erased"
	}
	return why, err
}
