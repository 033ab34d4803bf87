package gormstore

import (
	"context"
	"time"
)

// MaxCounted limits the rows of each kind that Load counts, and so its cost.
const MaxCounted = 100_000

// Load holds the numbers of queued messages and of sessions. Each is at most MaxCounted.
type Load struct {
	QueuedMessages int       // also those that wait for another attempt
	OldestMessage  time.Time // when the oldest of them was queued; zero: there is none
	Sessions       int       // refresh token families that are neither expired nor revoked
}

// Load counts queued messages and sessions.
func (s *Store) Load(ctx context.Context, now time.Time) (Load, error) {
	type row struct {
		Messages int   `gorm:"column:messages"`
		Oldest   int64 `gorm:"column:oldest"`
		Sessions int   `gorm:"column:sessions"`
	}
	counted, err := get[row](ctx, s, "load",
		`SELECT count(*) AS messages, coalesce(min(created_at), 0) AS oldest,
			(SELECT count(*) FROM (SELECT 1 AS one FROM families WHERE expires_at > ? AND revoked_at = 0 LIMIT CAST(? AS BIGINT)) f) AS sessions
		FROM (SELECT created_at FROM messages WHERE state = 'queued' LIMIT CAST(? AS BIGINT)) q`,
		micros(now), MaxCounted, MaxCounted)
	return Load{QueuedMessages: counted.Messages, OldestMessage: instant(counted.Oldest), Sessions: counted.Sessions}, err
}
