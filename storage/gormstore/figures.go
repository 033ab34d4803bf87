package gormstore

import (
	"context"
	"time"

	"latchkey/storage"
)

// The results of this file are shown to administrators. Each statement reads a bounded
// number of rows along an index, the latest first, within the limits of lists; see asList.

const (
	maxFunnelRows   = 50_000 // of each kind that CodeFunnel reads
	maxAttemptsRead = 10_000 // that SenderActivity reads
)

// withCode lists the message types that carry a code; see storage.MessageType.HasCode.
const withCode = "('OneTimePassword', 'ForgottenPassword', 'NewUserInvitation')"

// CodeFunnel counts, for each of the periods that end at the time until, what happened to
// codes. For each kind of row and each period it reads at most 50,000 rows, in four
// statements.
func (s *Store) CodeFunnel(ctx context.Context, until time.Time, periods ...time.Duration) ([]storage.CodeFunnel, error) {
	var all []storage.CodeFunnel
	err := s.asList(ctx, func(ctx context.Context) error {
		for _, period := range periods {
			f, err := s.codeFunnel(ctx, until.Add(-period), until)
			if err != nil {
				return err
			}
			all = append(all, f)
		}
		return nil
	})
	return all, err
}

func (s *Store) codeFunnel(ctx context.Context, since, until time.Time) (storage.CodeFunnel, error) {
	f, from, to := storage.CodeFunnel{Since: since}, micros(since), micros(until)
	for _, part := range []struct {
		sql  string
		args []any
		into []*int
	}{
		{
			`SELECT count(*) AS read, count(CASE WHEN type IN ` + withCode + ` THEN 1 END) AS first, 0 AS second
				FROM (SELECT type FROM code_requests WHERE created_at >= ? AND created_at < ? ORDER BY created_at DESC LIMIT CAST(? AS BIGINT)) r`,
			[]any{from, to},
			[]*int{&f.Requested},
		},
		{
			`SELECT count(*) AS read, count(CASE WHEN state = 'delivered' AND type IN ` + withCode + ` THEN 1 END) AS first,
					count(CASE WHEN state = 'dead' AND type IN ` + withCode + ` THEN 1 END) AS second
				FROM (SELECT type, state, request_id FROM messages WHERE ended_at > 0 AND ended_at >= ? AND ended_at < ? ORDER BY ended_at DESC LIMIT CAST(? AS BIGINT)) m
				WHERE request_id <> ''`,
			[]any{from, to},
			[]*int{&f.Delivered, &f.Dead},
		},
		{
			`SELECT count(*) AS read, count(CASE WHEN redeemed_at >= ? AND redeemed_at < ? THEN 1 END) AS first,
					count(CASE WHEN redeemed_at = 0 AND retired_at = 0 AND expires_at < ? THEN 1 END) AS second
				FROM (SELECT c.expires_at, c.retired_at, CASE WHEN l.code_id = c.id THEN l.code_used_at ELSE c.redeemed_at END AS redeemed_at
					FROM issued_codes c LEFT JOIN logins l ON l.id = c.login_id WHERE c.expires_at >= ? ORDER BY c.expires_at DESC LIMIT CAST(? AS BIGINT)) c`,
			[]any{from, to, to, from},
			[]*int{&f.Redeemed, &f.Expired},
		},
		{
			`SELECT count(*) AS read, CAST(coalesce(sum(CASE WHEN action = 'sign_in' AND outcome = 'wrong_credentials' AND factor = 'otp'
					AND time >= ? AND time < ? THEN CASE WHEN count > 1 THEN count ELSE 1 END ELSE 0 END), 0) AS BIGINT) AS first, 0 AS second
				FROM (SELECT action, outcome, factor, time, count FROM audit_events WHERE id > ? ORDER BY id DESC LIMIT CAST(? AS BIGINT)) e`,
			[]any{from, to, auditIDFrom(since)},
			[]*int{&f.Guessed},
		},
	} {
		n, err := get[counted](ctx, s, "code funnel", part.sql, append(part.args, maxFunnelRows)...)
		if err != nil {
			return f, err
		}
		for i, into := range part.into {
			*into = []int{n.First, n.Second}[i]
		}
		f.AtLeast = f.AtLeast || n.Read >= maxFunnelRows
	}
	return f, nil
}

// counted is what was counted among the rows that were read.
type counted struct {
	Read   int `gorm:"column:read"`
	First  int `gorm:"column:first"`
	Second int `gorm:"column:second"`
}

// SenderActivity returns the activity of each sender that has a queued message or an
// attempt since the time. It reads at most the last maxAttemptsRead attempts and MaxCounted
// queued messages.
func (s *Store) SenderActivity(ctx context.Context, since time.Time) ([]storage.SenderActivity, error) {
	var rows []activityRow
	err := s.asList(ctx, func(ctx context.Context) (err error) {
		rows, err = query[activityRow](ctx, s, "sender activity", `WITH recent AS (
				SELECT m.sender_id, t.state, t.error, t.ended_at FROM (SELECT message_id, number, state, error, ended_at FROM message_attempts
					WHERE ended_at >= ? ORDER BY ended_at DESC, message_id DESC, number DESC LIMIT CAST(? AS BIGINT)) t
				JOIN messages m ON m.id = t.message_id),
			done AS (SELECT sender_id, count(CASE WHEN state = 'delivered' THEN 1 END) AS accepted, count(CASE WHEN state <> 'delivered' THEN 1 END) AS failed,
				coalesce(max(CASE WHEN state = 'delivered' THEN ended_at END), 0) AS accepted_at,
				coalesce(max(CASE WHEN state <> 'delivered' THEN ended_at END), 0) AS failed_at FROM recent GROUP BY sender_id),
			waiting AS (SELECT sender_id, count(*) AS queued, min(created_at) AS oldest
				FROM (SELECT sender_id, created_at FROM messages WHERE state = 'queued' LIMIT CAST(? AS BIGINT)) q GROUP BY sender_id),
			named AS (SELECT sender_id FROM done UNION SELECT sender_id FROM waiting)
			SELECT n.sender_id, coalesce(w.queued, 0) AS queued, coalesce(w.oldest, 0) AS oldest, coalesce(d.accepted, 0) AS accepted,
				coalesce(d.failed, 0) AS failed, coalesce(d.accepted_at, 0) AS accepted_at, coalesce(d.failed_at, 0) AS failed_at,
				(SELECT count(*) FROM recent r WHERE r.sender_id = n.sender_id AND r.state <> 'delivered' AND r.ended_at > coalesce(d.accepted_at, 0)) AS failed_since,
				coalesce((SELECT max(r.error) FROM recent r WHERE r.sender_id = n.sender_id AND r.state <> 'delivered' AND r.ended_at = d.failed_at), '') AS error
			FROM named n LEFT JOIN done d ON d.sender_id = n.sender_id LEFT JOIN waiting w ON w.sender_id = n.sender_id ORDER BY n.sender_id`,
			micros(since), maxAttemptsRead, MaxCounted)
		return err
	})
	return recordsOf(rows, (*activityRow).record), err
}

type activityRow struct {
	SenderID    string `gorm:"column:sender_id"`
	Queued      int    `gorm:"column:queued"`
	Oldest      int64  `gorm:"column:oldest"`
	Accepted    int    `gorm:"column:accepted"`
	Failed      int    `gorm:"column:failed"`
	FailedSince int    `gorm:"column:failed_since"`
	AcceptedAt  int64  `gorm:"column:accepted_at"`
	FailedAt    int64  `gorm:"column:failed_at"`
	Error       string `gorm:"column:error"`
}

func (r *activityRow) record() storage.SenderActivity {
	return storage.SenderActivity{
		SenderID: r.SenderID, Queued: r.Queued, OldestQueued: instant(r.Oldest), Accepted: r.Accepted, Failed: r.Failed,
		FailedSince: r.FailedSince, AcceptedAt: instant(r.AcceptedAt), FailedAt: instant(r.FailedAt), Error: r.Error,
	}
}

// DeadMessages counts the messages that became undeliverable since the time, at most
// MaxCounted. Test messages do not count.
func (s *Store) DeadMessages(ctx context.Context, since time.Time) (storage.DeadMessages, error) {
	type row struct {
		SenderID string `gorm:"column:sender_id"`
		Count    int    `gorm:"column:dead"`
		Last     int64  `gorm:"column:last"`
	}
	rows, err := query[row](ctx, s, "dead messages", `SELECT sender_id, count(*) AS dead, max(ended_at) AS last
		FROM (SELECT sender_id, ended_at FROM messages WHERE state = 'dead' AND ended_at >= ? AND request_id <> '' ORDER BY ended_at DESC LIMIT CAST(? AS BIGINT)) m
		GROUP BY sender_id ORDER BY sender_id`, micros(since), MaxCounted)
	var dead storage.DeadMessages
	for _, r := range rows {
		dead.Count, dead.Senders = dead.Count+r.Count, append(dead.Senders, r.SenderID)
		if last := instant(r.Last); last.After(dead.Last) {
			dead.Last = last
		}
	}
	return dead, err
}

// RunningServers counts the servers that run on the database, by their last signs of life.
func (s *Store) RunningServers(ctx context.Context) (storage.RunningServers, error) {
	type row struct {
		All     int `gorm:"column:servers"`
		Unaware int `gorm:"column:unaware"`
	}
	found, err := get[row](ctx, s, "running servers", "SELECT count(*) AS servers, count(CASE WHEN hears = ? THEN 1 END) AS unaware FROM servers", string(HearsNothing))
	return storage.RunningServers(found), err
}

// AddTestMessage stores a message that the caller sends itself, once. The caller then
// stores the outcome with FinishAttempt. No worker claims the message, because it becomes
// due only when it expires. It has neither payload nor request.
func (s *Store) AddTestMessage(ctx context.Context, m storage.Message) error {
	m.Payload, m.RequestID, m.State, m.Attempts, m.RunAt, m.LeaseUntil = storage.Sealed{}, "", storage.MessageQueued, 1, m.ExpiresAt, m.ExpiresAt
	return s.addMessage(ctx, m)
}
