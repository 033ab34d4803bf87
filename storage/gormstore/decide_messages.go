package gormstore

import (
	"cmp"
	"context"
	"slices"
	"time"

	"latchkey/storage"
)

type messageRow struct {
	ID           string `gorm:"column:id" list:"ID"`
	RequestID    string `gorm:"column:request_id" list:"RequestID"`
	CodeID       string `gorm:"column:code_id" list:"CodeID"`
	SenderID     string `gorm:"column:sender_id" list:"SenderID"`
	Type         string `gorm:"column:type" list:"Type"`
	UserUID      string `gorm:"column:user_uid" list:"UserUID"`
	TraceID      string `gorm:"column:trace_id" list:"TraceID"`
	PayloadKeyID string `gorm:"column:payload_key_id"`
	Payload      blob   `gorm:"column:payload"`
	State        string `gorm:"column:state" list:"State"`
	Attempts     int    `gorm:"column:attempts" list:"Attempts"`
	LastError    string `gorm:"column:last_error" list:"LastError"`
	RunAt        int64  `gorm:"column:run_at" list:"RunAt,time"`
	ExpiresAt    int64  `gorm:"column:expires_at" list:"ExpiresAt,time"`
	CreatedAt    int64  `gorm:"column:created_at" list:"CreatedAt,time"`
	EndedAt      int64  `gorm:"column:ended_at" list:"EndedAt,optional time"`
	LeaseUntil   int64  `gorm:"column:lease_until"`
	LeaseOwner   string `gorm:"column:lease_owner"`
}

func (*messageRow) TableName() string { return "messages" }

func messageRowOf(m storage.Message) messageRow {
	return messageRow{
		ID: m.ID, RequestID: m.RequestID, CodeID: m.CodeID, SenderID: m.SenderID, Type: string(m.Type),
		UserUID: m.UserUID, TraceID: m.TraceID, PayloadKeyID: m.Payload.KeyID, Payload: m.Payload.Data,
		State: string(m.State), Attempts: m.Attempts, LastError: m.LastError,
		RunAt: micros(m.RunAt), ExpiresAt: micros(m.ExpiresAt),
		CreatedAt: micros(m.CreatedAt), EndedAt: micros(m.EndedAt), LeaseUntil: micros(m.LeaseUntil),
	}
}

func (r *messageRow) record() storage.Message {
	return storage.Message{
		ID: r.ID, RequestID: r.RequestID, CodeID: r.CodeID, SenderID: r.SenderID, Type: storage.MessageType(r.Type),
		UserUID: r.UserUID, TraceID: r.TraceID, Payload: sealed(r.PayloadKeyID, r.Payload),
		State: storage.MessageState(r.State), Attempts: r.Attempts, LastError: r.LastError,
		RunAt: instant(r.RunAt), ExpiresAt: instant(r.ExpiresAt),
		CreatedAt: instant(r.CreatedAt), EndedAt: instant(r.EndedAt),
	}
}

func (s *Store) addMessage(ctx context.Context, m storage.Message) error {
	row := messageRowOf(m)
	if row.LeaseUntil != 0 {
		row.LeaseOwner = s.leaseOwner()
	}
	insert := insertion(&row)
	_, err := s.exec(ctx, "queue message", insert.alone(), insert.args...)
	return err
}

type attemptRow struct {
	MessageID string `gorm:"column:message_id" list:"MessageID"`
	Number    int    `gorm:"column:number" list:"Number"`
	State     string `gorm:"column:state" list:"State"`
	Error     string `gorm:"column:error" list:"Error"`
	BeganAt   int64  `gorm:"column:began_at" list:"BeganAt,time"`
	EndedAt   int64  `gorm:"column:ended_at" list:"EndedAt,time"`
}

func (*attemptRow) TableName() string { return "message_attempts" }

func (r *attemptRow) record() storage.AttemptRecord {
	return storage.AttemptRecord{
		MessageID: r.MessageID, Number: r.Number, State: storage.MessageState(r.State), Error: r.Error,
		BeganAt: instant(r.BeganAt), EndedAt: instant(r.EndedAt),
	}
}

func (s *Store) insertAttempt(a storage.Attempt) statement {
	return insertion(&attemptRow{
		MessageID: a.MessageID, Number: a.Number, State: string(a.State), Error: a.Error,
		BeganAt: micros(a.BeganAt), EndedAt: micros(a.Now),
	})
}

// Message reads a message or returns storage.ErrNotFound.
func (s *Store) Message(ctx context.Context, id string) (storage.Message, error) {
	row, err := first[messageRow](ctx, s, "message", "id = ?", id)
	return row.record(), err
}

// ClaimMessages leases up to limit queued messages that are due, unexpired, not leased and
// not of the senders except, the longest due first, and counts the attempt that is to
// follow. No two callers get the same message before its lease ends, or before the server
// of the store is removed; see RegisterServer.
func (s *Store) ClaimMessages(ctx context.Context, now, leaseUntil time.Time, limit int, except ...string) ([]storage.Message, error) {
	others, args := "", []any{micros(now), micros(now), micros(now)}
	if len(except) > 0 {
		others = " AND sender_id NOT IN (" + marks(len(except)) + ")"
	}
	for _, sender := range except {
		args = append(args, sender)
	}
	rows, err := returning[messageRow](ctx, s, "claim messages",
		`WITH due AS MATERIALIZED (SELECT id FROM messages
			WHERE state = 'queued' AND run_at <= ? AND lease_until <= ? AND expires_at > ?`+others+`
			ORDER BY run_at LIMIT CAST(? AS BIGINT)`+s.dialect.claims()+`)
		UPDATE messages SET lease_until = ?, lease_owner = ?, attempts = attempts + 1 WHERE id IN (SELECT id FROM due)
		RETURNING `+columnsOf[messageRow]().list(),
		append(args, limit, micros(leaseUntil), s.leaseOwner())...)
	slices.SortFunc(rows, func(a, b messageRow) int { return cmp.Compare(a.RunAt, b.RunAt) })
	messages := make([]storage.Message, 0, len(rows))
	for i := range rows {
		messages = append(messages, rows[i].record())
	}
	return messages, err
}

// ExtendLease prolongs the lease of a message while the attempt of that number
// is under way. It returns storage.ErrStale if the message was claimed again
// since, or has ended.
func (s *Store) ExtendLease(ctx context.Context, messageID string, attempt int, until time.Time) error {
	n, err := s.exec(ctx, "extend lease of message",
		"UPDATE messages SET lease_until = ? WHERE id = ? AND attempts = ? AND state = 'queued'",
		micros(until), messageID, attempt)
	if err == nil && n == 0 {
		err = s.wrap(ctx, "extend lease of message", storage.ErrStale)
	}
	return err
}

// FinishAttempt stores the outcome of an attempt, in the message and in a record of its
// own, and ends its lease. If the message is no longer queued, or was claimed again
// since, it returns storage.ErrStale. A message that is not queued again loses its
// payload.
func (s *Store) FinishAttempt(ctx context.Context, a storage.Attempt) error {
	set := "state = ?, last_error = ?, lease_until = 0"
	args := []any{string(a.State), a.Error}
	if a.State == storage.MessageQueued { // a message that was withdrawn meanwhile keeps that reason
		set = "state = ?, last_error = CASE WHEN last_error = ? THEN last_error ELSE ? END, lease_until = 0, run_at = ?"
		args = []any{string(a.State), storage.MessageWithdrawn, a.Error, micros(a.RunAt)}
	} else {
		set, args = set+", "+ended, append(args, micros(a.Now), blob(nil))
	}
	update := statement{
		sql:  "UPDATE messages SET " + set + " WHERE id = ? AND attempts = ? AND state = 'queued'",
		args: append(args, a.MessageID, a.Number),
	}
	done, err := s.settle(ctx, "finish attempt", update, s.insertAttempt(a))
	if err == nil && !done {
		err = s.wrap(ctx, "finish attempt", storage.ErrStale)
	}
	return err
}

// ended wipes the payload, which only a queued message may hold.
const ended = "ended_at = ?, payload = ?, payload_key_id = ''"

// ExpireMessages ends up to limit expired messages that are queued and not being
// delivered, wipes their payload and returns them.
func (s *Store) ExpireMessages(ctx context.Context, now time.Time, limit int) ([]storage.Message, error) {
	rows, err := returning[messageRow](ctx, s, "expire messages",
		`WITH due AS MATERIALIZED (SELECT id FROM messages
			WHERE state = 'queued' AND expires_at <= ? AND lease_until <= ?
			ORDER BY expires_at LIMIT CAST(? AS BIGINT)`+s.dialect.claims()+`)
		UPDATE messages SET state = 'expired', `+ended+` WHERE id IN (SELECT id FROM due)
		RETURNING `+columnsOf[messageRow]().list(),
		micros(now), micros(now), limit, micros(now), blob(nil))
	var expired []storage.Message
	for i := range rows {
		expired = append(expired, rows[i].record())
	}
	return expired, err
}

// HurryMessage makes a queued message due now. The error is storage.ErrStale if the message
// is not queued, has expired or is being delivered.
func (s *Store) HurryMessage(ctx context.Context, id string, now time.Time) error {
	n, err := s.exec(ctx, "hurry message",
		"UPDATE messages SET run_at = ? WHERE id = ? AND state = 'queued' AND expires_at > ? AND lease_until <= ?",
		micros(now), id, micros(now), micros(now))
	return affected(n, err, s.wrap(ctx, "hurry message", storage.ErrStale))
}
