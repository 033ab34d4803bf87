package gormstore

import (
	"context"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"time"

	"latchkey/storage"
)

const defaultAuditRetention = 90 * 24 * time.Hour

type auditRow struct {
	ID       string `gorm:"column:id" list:"ID"`
	Time     int64  `gorm:"column:time" list:"Time,time"`
	Action   string `gorm:"column:action" list:"Action"`
	Outcome  string `gorm:"column:outcome" list:"Outcome"`
	ClientID string `gorm:"column:client_id" list:"ClientID"`
	UserUID  string `gorm:"column:user_uid" list:"UserUID"`
	Username string `gorm:"column:username" list:"Username"`
	Factor   string `gorm:"column:factor" list:"Factor"`
	TraceID  string `gorm:"column:trace_id" list:"TraceID"`
	Source   string `gorm:"column:source" list:"Source"`
	Object   string `gorm:"column:object" list:"Object"`
	Changed  string `gorm:"column:changed" list:"Changed"` // member names, separated by spaces
	Took     int64  `gorm:"column:took" list:"Took,duration"`
	Count    int64  `gorm:"column:count" list:"Count"`
	Seq      int64  `gorm:"column:seq"`   // in its batch, or in the chain without one; 0: outside of the chain
	Batch    int64  `gorm:"column:batch"` // 0: none
	KeyID    string `gorm:"column:key_id"`
	MAC      blob   `gorm:"column:mac"`
}

func (*auditRow) TableName() string { return "audit_events" }

func (r *auditRow) record() storage.AuditEvent {
	return storage.AuditEvent{
		ID: r.ID, Time: instant(r.Time), Action: r.Action, Outcome: r.Outcome, ClientID: r.ClientID,
		UserUID: r.UserUID, Username: r.Username, Factor: r.Factor, TraceID: r.TraceID, Source: r.Source,
		Object: r.Object, Changed: list(r.Changed), Took: span(r.Took), Count: r.Count,
	}
}

// AddAuditEvents writes events as one batch at the end of the chain (see ChainAuditEvents):
// all of them or none, in one transaction of four statements. With SQLite, each thousand
// events after the first takes one more. An event without a Time gets the present time. The
// ids of one store rise in the order in which it writes. The ids of several stores are
// ordered by time.
func (s *Store) AddAuditEvents(ctx context.Context, events []storage.AuditEvent) error {
	if len(events) == 0 {
		return nil
	}
	if s.auditKeys == nil {
		return errors.New("add audit events: no secrets to chain them with")
	}
	rows := make([]auditRow, len(events))
	for i := range events {
		rows[i] = s.auditRowOf(&events[i])
	}
	batch, err := s.newAuditBatch(rows)
	if err != nil {
		return err
	}
	var end chainRow
	err = s.InTx(ctx, func(ctx context.Context) error {
		if err := s.insertAuditEvents(ctx, batch.rows); err != nil {
			return err
		}
		end, err = s.appendBatch(ctx, batch)
		return err
	})
	if err == nil && s.tx(ctx) == nil {
		s.auditSeen.Store(end.Seq) // another writer may be ahead; the next call corrects it
	}
	return err
}

// auditRowOf keeps the text that the database can store; see storable.
func (s *Store) auditRowOf(e *storage.AuditEvent) auditRow {
	at := e.Time
	if at.IsZero() {
		at = s.now()
	}
	text := storage.StorableText
	return auditRow{
		Time: micros(at), Action: text(e.Action), Outcome: text(e.Outcome), ClientID: text(e.ClientID),
		UserUID: text(e.UserUID), Username: text(e.Username), Factor: text(e.Factor), TraceID: text(e.TraceID),
		Source: text(e.Source), Object: text(e.Object), Changed: text(words(e.Changed)),
		Took: e.Took.Microseconds(), Count: e.Count,
	}
}

func (s *Store) insertAuditEvents(ctx context.Context, rows []auditRow) error {
	for _, insert := range s.dialect.insertRows("audit_events", columnsOf[auditRow](), arraysOf(rows)) {
		if _, err := s.exec(ctx, "add audit events", insert.sql, insert.args...); err != nil {
			return err
		}
	}
	return nil
}

const auditPrefix = "aud_"

func auditAlphabet() *base32.Encoding {
	return base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)
}

// auditIDFrom returns a text below the id of every event of that time or later.
func auditIDFrom(at time.Time) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(max(0, micros(at)))) //nolint:gosec // not negative
	id := auditAlphabet().EncodeToString(b[:])
	return auditPrefix + id[:len(id)-1] // the last letter holds bits of what follows
}

// ListAuditEvents lists audit events, oldest first without a Sort. Fields are those
// of storage.AuditEvent.
func (s *Store) ListAuditEvents(ctx context.Context, q storage.Query) (storage.Page[storage.AuditEvent], error) {
	found, err := page[auditRow](ctx, s, auditListing(q.Where), q)
	return recorded(found, (*auditRow).record), err
}

// auditListing returns the list of audit events. If a condition sets an earliest time, the
// list reads the index by id from that time on. Otherwise a list of the last hour would
// read all events.
func auditListing(where []storage.Condition) listing {
	l := byID[auditRow]("audit events", "audit_events")
	if from := auditFrom(where); from != "" {
		l.scope = statement{sql: "id > ?", args: []any{from}}
	}
	return l
}

// auditFrom returns a text below the ids of all events that the conditions select. It
// returns "" if no condition sets an earliest time. The time in an id is that of the event
// or later.
func auditFrom(where []storage.Condition) (from string) {
	for _, c := range where {
		if len(c.Fields) != 1 || c.Fields[0] != "Time" || len(c.Tests) != 1 {
			continue
		}
		test := c.Tests[0]
		at, err := time.Parse(time.RFC3339Nano, test.Value)
		if err == nil && !test.Not && (test.Op == storage.OpGreater || test.Op == storage.OpGreaterOrEqual) {
			from = max(from, auditIDFrom(at))
		}
	}
	return from
}
