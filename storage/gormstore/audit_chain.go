package gormstore

import (
	"context"
	"crypto/hmac"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"latchkey/storage"
)

// Purposes of the MACs; see storage.AuditKeys.
const (
	purposeAuditEvent = "audit event"
	purposeAuditHead  = "audit head"
)

// ChainAuditEvents gives the store the secrets that audit events are chained with. It
// must be called before audit events are written or verified. Without the secrets
// the store writes none.
func (s *Store) ChainAuditEvents(keys storage.AuditKeys) { s.auditKeys = keys }

// chainRow is the only row of the chain: where it begins and ends. A transaction
// that changes the chain locks it first.
type chainRow struct {
	ID       int64  `gorm:"column:id;primaryKey;autoIncrement:false"` // 1
	Seq      int64  `gorm:"column:seq"`                               // of the newest event; 0: none yet
	MAC      blob   `gorm:"column:mac"`
	Stamp    int64  `gorm:"column:stamp"` // the time in its id, in microseconds
	Swept    int64  `gorm:"column:swept"` // the last event that retention deleted
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

// encoding writes fields so that no two lists of fields look the same: numbers
// have eight bytes, everything else has its length in front.
type encoding []byte

func (e encoding) number(n int64) encoding {
	return binary.BigEndian.AppendUint64(e, uint64(n)) //nolint:gosec // any bits will do
}

func (e encoding) bytes(b []byte) encoding { return append(e.number(int64(len(b))), b...) }

func (e encoding) text(s string) encoding { return append(e.number(int64(len(s))), s...) }

// canonical is the input of an event's MAC. The MACs of older events were computed
// without the count and the changed members, so these are left out where there are
// none. Changed members follow a count, so neither can be taken for the other.
// It is written into room, which may be nil, if it fits.
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

// sealedChain reports whether the row is as a store wrote it, and whether its secret
// is known.
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

// putChain seals the row and writes it.
func (s *Store) putChain(ctx context.Context, c chainRow) error {
	c.ID, c.KeyID = 1, s.auditKeys.CurrentID()
	seal, known := s.auditMAC(c.KeyID, purposeAuditHead, c.canonical())
	if !known {
		return fmt.Errorf("audit chain: no secret %q", c.KeyID)
	}
	c.Seal = seal
	return s.wrap(ctx, "audit chain", s.writing(ctx).Clauses(clause.OnConflict{UpdateAll: true}).Create(&c).Error)
}

// extendChain numbers the rows, gives them ids and MACs, and returns the chain
// that ends with them. If somebody else changed the end of the chain, an event of
// its own says so. Otherwise the next events would hide the change.
func (s *Store) extendChain(ctx context.Context, rows []auditRow) ([]auditRow, chainRow, error) {
	c, err := s.chain(ctx, s.locking(ctx))
	if err != nil {
		return nil, c, err
	}
	why := ""
	if c.unused() {
		why, err = s.beginChain(ctx, &c)
	} else if intact, known := s.sealedChain(&c); !intact {
		if why = "the end of the chain was changed"; !known {
			why = "the end of the chain is sealed with an unknown secret"
		}
	}
	if err != nil {
		return nil, c, err
	}
	if seen := s.auditSeen.Load(); c.Seq < seen && why == "" {
		why = fmt.Sprintf("the chain was cut at %d after %d events", c.Seq, seen)
	}
	if why != "" {
		s.log.Error().Int64("seq", c.Seq).Str("reason", why).Msg("the chain of audit events is broken")
		rows = append([]auditRow{{Time: micros(s.now()), Action: storage.AuditChainBroken, Outcome: why}}, rows...)
	}
	random := make([]byte, auditIDRandom*len(rows))
	if _, err := io.ReadFull(s.rand, random); err != nil {
		return nil, c, fmt.Errorf("new audit events: %w", err)
	}
	var room encoding
	for i := range rows {
		if room, err = s.link(&rows[i], &c, random[auditIDRandom*i:][:auditIDRandom], room); err != nil {
			return nil, c, err
		}
	}
	return rows, c, nil
}

// beginChain counts the events from before the chain. Ids of the chain come after
// theirs.
func (s *Store) beginChain(ctx context.Context, c *chainRow) (why string, err error) {
	type before struct {
		Outside int64 `gorm:"column:outside"`
		Chained int64 `gorm:"column:chained"`
		Stamp   int64 `gorm:"column:stamp"`
	}
	found, err := get[before](ctx, s, "audit chain",
		`SELECT count(*) AS outside, coalesce(sum(CASE WHEN seq = 0 THEN 0 ELSE 1 END), 0) AS chained,
			coalesce(max(time), 0) AS stamp FROM audit_events`)
	if c.Outside, c.Stamp = found.Outside, found.Stamp; found.Chained > 0 {
		why = "the end of the chain was erased"
	}
	return why, err
}

// link makes the row the next one of the chain. random is the part of its id that is
// not the time. room is memory for the input of the MAC; it returns room for the next row.
func (s *Store) link(r *auditRow, c *chainRow, random []byte, room encoding) (encoding, error) {
	stamp := max(r.Time, c.Stamp+1)
	r.ID, r.Seq, r.KeyID = auditID(stamp, random), c.Seq+1, s.auditKeys.CurrentID()
	room = r.canonical(room, c.MAC)
	mac, known := s.auditMAC(r.KeyID, purposeAuditEvent, room)
	if !known {
		return nil, fmt.Errorf("add audit events: no secret %q", r.KeyID)
	}
	r.MAC, c.Seq, c.MAC, c.Stamp = mac, r.Seq, mac, stamp
	return room, nil
}

// auditIDRandom is how many random bytes the id of an audit event has.
const auditIDRandom = 10

// auditID is the time in microseconds and 80 random bits. The alphabet is in
// the order of its bytes, so ids sort as their times do.
func auditID(stamp int64, random []byte) string {
	id := binary.BigEndian.AppendUint64(make([]byte, 0, 8+auditIDRandom), uint64(max(0, stamp))) //nolint:gosec // not negative
	return auditPrefix + auditAlphabet().EncodeToString(append(id, random...))
}
