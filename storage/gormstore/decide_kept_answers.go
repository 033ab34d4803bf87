package gormstore

import (
	"context"
	"time"

	"latchkey/storage"
)

type keptAnswerRow struct {
	Request   blob   `gorm:"column:request"`
	KeyID     string `gorm:"column:answer_key_id"`
	Answer    blob   `gorm:"column:answer"`
	CreatedAt int64  `gorm:"column:created_at"`
	ExpiresAt int64  `gorm:"column:expires_at"`
}

// KeptAnswer returns the answer with that id, or storage.ErrNotFound if there is none or it
// has expired at the time now.
func (s *Store) KeptAnswer(ctx context.Context, id string, now time.Time) (storage.KeptAnswer, error) {
	row, err := get[keptAnswerRow](ctx, s, "kept answer",
		"SELECT request, answer_key_id, answer, created_at, expires_at FROM kept_answers WHERE id = ? AND expires_at > ?", id, micros(now))
	return storage.KeptAnswer{
		ID: id, Request: row.Request, Answer: sealed(row.KeyID, row.Answer),
		CreatedAt: instant(row.CreatedAt), ExpiresAt: instant(row.ExpiresAt),
	}, err
}

// KeepAnswer stores an answer. The error is storage.ErrConflict if an answer with that id
// has not expired at the time a.CreatedAt. Call it in the transaction of the operation that
// it answers.
func (s *Store) KeepAnswer(ctx context.Context, a storage.KeptAnswer) error {
	n, err := s.exec(ctx, "keep answer", `INSERT INTO kept_answers (id, request, answer_key_id, answer, created_at, expires_at)
		VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET request = excluded.request, answer_key_id = excluded.answer_key_id,
			answer = excluded.answer, created_at = excluded.created_at, expires_at = excluded.expires_at
		WHERE kept_answers.expires_at <= excluded.created_at`,
		a.ID, blob(a.Request), a.Answer.KeyID, blob(a.Answer.Data), micros(a.CreatedAt), micros(a.ExpiresAt))
	return affected(n, err, s.wrap(ctx, "keep answer", storage.ErrConflict))
}

// CloseAnswer clears the request digest of the answer with that id, so that no further
// request matches it.
func (s *Store) CloseAnswer(ctx context.Context, id string) error {
	_, err := s.exec(ctx, "close answer", "UPDATE kept_answers SET request = ? WHERE id = ?", blob{}, id)
	return err
}
