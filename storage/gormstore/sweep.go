package gormstore

import (
	"context"
	"time"
)

const (
	// keepEnded is how long ended requests, messages and families can still be read.
	keepEnded = 24 * time.Hour
	// keepQuiet is how long the failures of a name without a login are kept.
	keepQuiet = 48 * time.Hour
	// keepSource is how long an address stays known to a login that no longer signs in
	// from it.
	keepSource = 90 * 24 * time.Hour
)

// expiring is a kind of row that ends.
type expiring struct {
	table, key string
	where      string
	args       []any
}

// Sweep deletes up to limit rows that have ended and returns their number: requests
// and messages a day after their end, families a day after their expiry or
// revocation, marks of revoked tokens and spent ids after their expiry, audit events
// after Config.AuditRetention, sources without a sign-in for 90 days, and the
// failures of names without a login after two days, unless they are locked. Call it
// again while it returns limit.
func (s *Store) Sweep(ctx context.Context, now time.Time, limit int) (int, error) {
	total := 0
	for _, r := range s.sweepable(now) {
		if total >= limit {
			break
		}
		n, err := s.exec(ctx, "sweep "+r.table,
			"DELETE FROM "+r.table+" WHERE "+r.key+" IN (SELECT "+r.key+" FROM "+r.table+" WHERE "+r.where+" LIMIT ?)",
			append(r.args, limit-total)...)
		total += int(n)
		if err != nil {
			return total, err
		}
	}
	n, err := s.sweepAudit(ctx, micros(now.Add(-s.auditRetention)), limit-total)
	return total + n, err
}

// sweepable lists conditions that each have an index.
func (s *Store) sweepable(now time.Time) []expiring {
	ended := micros(now.Add(-keepEnded))
	quiet := now.Add(-keepQuiet)
	return []expiring{
		// A request ends at its expiry at the latest.
		{table: "code_requests", key: "id", where: "expires_at < ?", args: []any{ended}},
		{
			table: "message_attempts", key: "message_id",
			where: "message_id IN (SELECT id FROM messages WHERE ended_at > 0 AND ended_at < ?)", args: []any{ended},
		},
		{table: "messages", key: "id", where: "ended_at > 0 AND ended_at < ?", args: []any{ended}},
		{table: "issued_codes", key: "id", where: "expires_at < ?", args: []any{ended}},
		{table: "verification_codes", key: "login_id", where: "expires_at < ?", args: []any{ended}},
		// A budget whose times are past is full again and needs no row.
		{table: "send_limits", key: "id", where: "hour < ? AND tat <= ? AND long_tat <= ?", args: []any{now.Unix() / secondsPerHour, micros(now), micros(now)}},
		{table: "families", key: "id", where: "expires_at < ?", args: []any{ended}},
		{table: "families", key: "id", where: "revoked_at > 0 AND revoked_at < ?", args: []any{ended}},
		{table: "revoked_tokens", key: "jti", where: "expires_at < ?", args: []any{micros(now)}},
		{table: "spent_ids", key: "id", where: "expires_at < ?", args: []any{micros(now)}},
		{table: "login_sources", key: "id", where: "seen_at < ?", args: []any{micros(now.Add(-keepSource))}},
		{
			table: "phantoms", key: "name_digest",
			where: "quiet_day <= ? AND last_failure_at < ? AND locked_until <= ? AND codes_locked_until <= ?",
			args:  []any{quiet.Unix() / secondsPerDay, micros(quiet), micros(now), micros(now)},
		},
	}
}
