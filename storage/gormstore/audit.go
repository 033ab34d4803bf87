package gormstore

import (
	"context"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"latchkey/storage"
)

const (
	defaultAuditRetention = 90 * 24 * time.Hour
	// auditBatch keeps one statement below SQLite's 32,766 parameters.
	auditBatch = 1000
)

type auditRow struct {
	ID       string `gorm:"column:id"`
	Time     int64  `gorm:"column:time"`
	Action   string `gorm:"column:action"`
	Outcome  string `gorm:"column:outcome"`
	ClientID string `gorm:"column:client_id"`
	UserUID  string `gorm:"column:user_uid"`
	Username string `gorm:"column:username"`
	Factor   string `gorm:"column:factor"`
	TraceID  string `gorm:"column:trace_id"`
	Source   string `gorm:"column:source"`
	Object   string `gorm:"column:object"`
	Took     int64  `gorm:"column:took"`
}

const auditColumns columns = "id time action outcome client_id user_uid username factor trace_id source object took"

func (r *auditRow) record() storage.AuditEvent {
	return storage.AuditEvent{
		ID: r.ID, Time: instant(r.Time), Action: r.Action, Outcome: r.Outcome, ClientID: r.ClientID,
		UserUID: r.UserUID, Username: r.Username, Factor: r.Factor, TraceID: r.TraceID, Source: r.Source,
		Object: r.Object, Took: span(r.Took),
	}
}

// AddAuditEvents writes events down in one statement, or in one transaction
// when they are more than a thousand. An event without an ID gets one that
// rises with its Time, one without a Time the present. An ID in use is
// storage.ErrConflict, and then none of them is written.
func (s *Store) AddAuditEvents(ctx context.Context, events []storage.AuditEvent) error {
	if len(events) <= auditBatch {
		return s.insertAuditEvents(ctx, events)
	}
	return s.InTx(ctx, func(ctx context.Context) error {
		for batch := range slices.Chunk(events, auditBatch) {
			if err := s.insertAuditEvents(ctx, batch); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Store) insertAuditEvents(ctx context.Context, events []storage.AuditEvent) error {
	if len(events) == 0 {
		return nil
	}
	var args []any
	for _, e := range events {
		if e.Time.IsZero() {
			e.Time = s.now()
		}
		if e.ID == "" {
			id, err := auditID(s.rand, e.Time)
			if err != nil {
				return err
			}
			e.ID = id
		}
		args = append(args, e.ID, micros(e.Time), e.Action, e.Outcome, e.ClientID, e.UserUID, e.Username, e.Factor,
			e.TraceID, e.Source, e.Object, e.Took.Microseconds())
	}
	rows := strings.TrimSuffix(strings.Repeat("("+auditColumns.marks()+"), ", len(events)), ", ")
	_, err := s.exec(ctx, "add audit events",
		"INSERT INTO audit_events ("+auditColumns.list()+") VALUES "+rows, args...)
	return err
}

// auditID is the time in microseconds and 80 random bits. The alphabet is in
// the order of its bytes, so ids sort as their times do.
func auditID(random io.Reader, at time.Time) (string, error) {
	var b [18]byte
	binary.BigEndian.PutUint64(b[:8], uint64(max(0, at.UnixMicro()))) //nolint:gosec // not negative
	if _, err := io.ReadFull(random, b[8:]); err != nil {
		return "", fmt.Errorf("new audit event: %w", err)
	}
	encoding := base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)
	return "aud_" + encoding.EncodeToString(b[:]), nil
}

func auditFields() fields {
	return fields{
		"ID": {sql: "id", unique: true}, "Time": {kind: instantly, sql: "time"},
		"Action": {sql: "action"}, "Outcome": {sql: "outcome"}, "ClientID": {sql: "client_id"},
		"UserUID": {sql: "user_uid"}, "Username": {sql: "username"}, "Factor": {sql: "factor"},
		"TraceID": {sql: "trace_id"}, "Source": {sql: "source"}, "Object": {sql: "object"},
		"Took": {kind: lasting, sql: "took"},
	}
}

// ListAuditEvents lists audit events, without a Sort the oldest first. Fields
// are those of storage.AuditEvent.
func (s *Store) ListAuditEvents(ctx context.Context, q storage.Query) (storage.Page[storage.AuditEvent], error) {
	l := listing{what: "audit events", table: "audit_events", fields: auditFields(), key: byField("ID"), tie: "id"}
	rows, total, err := page[auditRow](ctx, s, l, auditColumns.list(), q)
	return recorded(rows, total, (*auditRow).record), err
}
