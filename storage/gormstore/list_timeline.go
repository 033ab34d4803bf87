package gormstore

import (
	"context"
	"strings"

	"latchkey/storage"
)

type fateRow struct {
	ID         string `gorm:"column:id"`
	RequestID  string `gorm:"column:request_id"`
	LoginID    string `gorm:"column:login_id"`
	Username   string `gorm:"column:username"`
	UserUID    string `gorm:"column:user_uid"`
	IssuedAt   int64  `gorm:"column:issued_at"`
	ExpiresAt  int64  `gorm:"column:expires_at"`
	RedeemedAt int64  `gorm:"column:redeemed_at"`
	RetiredAt  int64  `gorm:"column:retired_at"`
}

func (r *fateRow) record() storage.CodeHistory {
	return storage.CodeHistory{
		ID: r.ID, RequestID: r.RequestID, LoginID: r.LoginID, Username: r.Username, UserUID: r.UserUID,
		IssuedAt: instant(r.IssuedAt), ExpiresAt: instant(r.ExpiresAt),
		RedeemedAt: instant(r.RedeemedAt), RetiredAt: instant(r.RetiredAt),
	}
}

type resolvedRow struct {
	Request    requestRow `gorm:"embedded"`
	EndedAt    int64      `gorm:"column:ended_at" list:"ResolvedAt,optional time"`
	Superseded bool       `gorm:"column:superseded"`
}

func (r *resolvedRow) timeline() storage.Timeline {
	return storage.Timeline{Request: r.Request.record(), ResolvedAt: instant(r.EndedAt), Superseded: r.Superseded}
}

// Timeline reads a request with its codes, messages and attempts, or returns
// storage.ErrNotFound. It takes four statements.
func (s *Store) Timeline(ctx context.Context, requestID string) (storage.Timeline, error) {
	request, err := get[resolvedRow](ctx, s, "code request",
		"SELECT "+columnsOf[resolvedRow]().list()+" FROM code_requests WHERE id = ?", requestID)
	if err != nil {
		return storage.Timeline{}, err
	}
	all := []storage.Timeline{request.timeline()}
	if err := s.addOutcomes(ctx, all); err != nil {
		return all[0], err
	}
	attempts, err := find[attemptRow](ctx, s, "attempts of request", "ended_at, message_id, number",
		"message_id IN (SELECT id FROM messages WHERE request_id = ?)", requestID)
	for i := range attempts {
		all[0].Attempts = append(all[0].Attempts, attempts[i].record())
	}
	return all[0], err
}

// addOutcomes adds their codes and messages to requests, in two statements.
func (s *Store) addOutcomes(ctx context.Context, all []storage.Timeline) error {
	if len(all) == 0 {
		return nil
	}
	of, ids := make(map[string]*storage.Timeline, len(all)), make([]any, len(all))
	for i := range all {
		ids[i] = all[i].Request.ID
		of[all[i].Request.ID] = &all[i]
	}
	theirs := " WHERE request_id IN (" + marks(len(ids)) + ")"
	fates, err := query[fateRow](ctx, s, "codes of request",
		`SELECT c.id, c.request_id, c.login_id, coalesce(l.username, '') AS username, coalesce(l.user_uid, '') AS user_uid, c.issued_at, c.expires_at, c.retired_at,
		CASE WHEN l.code_id = c.id THEN l.code_used_at ELSE c.redeemed_at END AS redeemed_at
		FROM issued_codes c LEFT JOIN logins l ON l.id = c.login_id`+theirs+" ORDER BY c.id", ids...)
	if err != nil {
		return err
	}
	for i := range fates {
		t := of[fates[i].RequestID]
		t.Codes = append(t.Codes, fates[i].record())
	}
	messages, err := s.messages(ctx, theirs+" ORDER BY created_at, id", ids...)
	for _, m := range messages {
		t := of[m.RequestID]
		t.Messages = append(t.Messages, m)
	}
	return err
}

// Messages lists messages, without their payload, the newest first.
func (s *Store) Messages(ctx context.Context, f storage.MessageFilter) ([]storage.Message, error) {
	var where []string
	var args []any
	if f.State != "" {
		where, args = append(where, "state = ?"), append(args, string(f.State))
	}
	if f.SenderID != "" {
		where, args = append(where, "sender_id = ?"), append(args, f.SenderID)
	}
	rest := " ORDER BY created_at DESC, id LIMIT CAST(? AS BIGINT)"
	if len(where) > 0 {
		rest = " WHERE " + strings.Join(where, " AND ") + rest
	}
	return s.messages(ctx, rest, append(args, f.Limit)...)
}

func (s *Store) messages(ctx context.Context, rest string, args ...any) ([]storage.Message, error) {
	rows, err := query[messageRow](ctx, s, "messages", "SELECT "+columnsOf[messageRow]().list()+" FROM messages"+rest, args...)
	var found []storage.Message
	for i := range rows {
		m := rows[i].record()
		m.Payload = storage.Sealed{}
		found = append(found, m)
	}
	return found, err
}
