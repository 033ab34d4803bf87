package gormstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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
	// keepConsent is how long a user's consent is remembered.
	keepConsent = 365 * 24 * time.Hour
)

// expiring describes the rows of a table that can be deleted after their end.
type expiring struct {
	table string
	where string // holds for rows that have ended; it has an index
	args  []any

	since string        // the column that the index begins with: the lowest rows ended first
	unit  time.Duration // of that column
	due   int64         // the highest value of that column in rows that have ended
}

// auditEvents is the table of audit events, which are deleted in the order of their chain
// and not by a condition.
const auditEvents = "audit_events"

// Sweep deletes rows that have ended, up to limit of each table (see SweepTable), and
// returns their number. Call it again while it returns limit or more. Tables after one
// that fails are swept as well.
func (s *Store) Sweep(ctx context.Context, now time.Time, limit int) (int, error) {
	total, errs := 0, []error(nil)
	for _, table := range s.SweepTables() {
		n, err := s.SweepTable(ctx, table, now, limit)
		total += n
		errs = append(errs, err)
	}
	return total, errors.Join(errs...)
}

// SweepTables returns the tables whose rows end.
func (s *Store) SweepTables() []string {
	var tables []string
	for _, r := range expiringRows(time.Time{}) {
		if !slices.Contains(tables, r.table) {
			tables = append(tables, r.table)
		}
	}
	return append(tables, auditEvents)
}

// SweepTable deletes up to limit rows of a table that have ended, the oldest first, and
// returns their number. Requests and messages are deleted a day after their end. Families,
// sessions and authorizations are deleted a day after their expiry or revocation, and
// consents after a year. Revocations of tokens, spent ids, kept answers and tasks are
// deleted after their expiry, audit events after Config.AuditRetention, and sources after
// 90 days without a sign-in. Failures of unknown names are deleted after two days, unless
// the name is locked.
//
// On PostgreSQL, callers at the same time delete different rows and do not wait for each
// other, except for audit events.
func (s *Store) SweepTable(ctx context.Context, table string, now time.Time, limit int) (int, error) {
	if table == auditEvents {
		return s.sweepAudit(ctx, s.auditDue(now), limit)
	}
	total := 0
	for _, r := range expiringRows(now) {
		if r.table != table || total >= limit {
			continue
		}
		n, err := s.exec(ctx, "sweep "+table, s.dialect.deletesUpTo(limit-total, table, r.where, r.since), r.args...)
		if total += int(n); err != nil {
			return total, err
		}
	}
	return total, nil
}

// Overdue returns, for each table of SweepTables, the time since the oldest row became due
// for deletion. 0: no row is due. The time is exact to the hour for send_limits, and to the
// day for phantoms.
func (s *Store) Overdue(ctx context.Context, now time.Time) (map[string]time.Duration, error) {
	type oldest struct {
		Kind  int   `gorm:"column:kind"`
		Since int64 `gorm:"column:since"`
	}
	kinds := expiringRows(now)
	var selects []string
	var args []any
	for i, r := range kinds {
		selects = append(selects, fmt.Sprintf("SELECT %d AS kind, coalesce((SELECT %s FROM %s WHERE %s ORDER BY %[2]s LIMIT 1), ?) AS since",
			i, r.since, r.table, r.where))
		args = append(append(args, r.args...), r.due)
	}
	kinds = append(kinds, expiring{table: auditEvents, unit: time.Microsecond, due: s.auditDue(now)})
	selects = append(selects, fmt.Sprintf("SELECT %d AS kind, coalesce((SELECT time FROM audit_events ORDER BY id LIMIT 1), ?) AS since", len(kinds)-1))
	args = append(args, s.auditDue(now))
	rows, err := query[oldest](ctx, s, "overdue rows", strings.Join(selects, " UNION ALL "), args...)
	if err != nil {
		return nil, err
	}
	overdue := map[string]time.Duration{}
	for _, row := range rows {
		kind := kinds[row.Kind]
		overdue[kind.table] = max(overdue[kind.table], time.Duration(kind.due-row.Since)*kind.unit)
	}
	return overdue, nil
}

// auditDue returns the time before which audit events are deleted, as stored.
func (s *Store) auditDue(now time.Time) int64 { return micros(now.Add(-s.auditRetention)) }

// expiringRows lists conditions that each have an index.
func expiringRows(now time.Time) []expiring {
	ended := now.Add(-keepEnded)
	before := func(table, column string, at time.Time) expiring {
		return expiring{
			table: table, where: column + " < ?", args: []any{micros(at)},
			since: column, unit: time.Microsecond, due: micros(at),
		}
	}
	messages, revoked, attempts := before("messages", "ended_at", ended), before("families", "revoked_at", ended), before("message_attempts", "ended_at", ended)
	signedOut := before("sessions", "ended_at", ended)
	signedOut.where = "ended_at > 0 AND " + signedOut.where
	messages.where = "ended_at > 0 AND " + messages.where
	revoked.where = "revoked_at > 0 AND " + revoked.where
	// Attempts end with their message, which may be deleted before them.
	attempts.where += " AND coalesce((SELECT m.ended_at FROM messages m WHERE m.id = message_attempts.message_id), 1) BETWEEN 1 AND ?"
	attempts.args = append(attempts.args, micros(ended)-1)
	quiet := now.Add(-keepQuiet)
	hour, day := now.Unix()/secondsPerHour, quiet.Unix()/secondsPerDay
	return []expiring{
		before("code_requests", "expires_at", ended), // a request ends at its expiry at the latest
		attempts,
		messages,
		before("issued_codes", "expires_at", ended),
		before("verification_codes", "expires_at", ended),
		// A budget whose times are past is full again and needs no row.
		{
			table: "send_limits", where: "hour < ? AND tat <= ? AND long_tat <= ?", args: []any{hour, micros(now), micros(now)},
			since: "hour", unit: time.Hour, due: hour - 1,
		},
		before("families", "expires_at", ended),
		revoked,
		before("revoked_tokens", "expires_at", now),
		before("spent_ids", "expires_at", now),
		before("kept_answers", "expires_at", now),
		before("tasks", "expires_at", now),
		before("authorizations", "expires_at", ended),
		before("sessions", "idle_until", ended), // never after the end of their life
		signedOut,
		before("consents", "granted_at", now.Add(-keepConsent)),
		before("login_sources", "seen_at", now.Add(-keepSource)),
		{
			table: "phantoms", where: "quiet_day <= ? AND last_failure_at < ? AND locked_until <= ? AND codes_locked_until <= ?",
			args:  []any{day, micros(quiet), micros(now), micros(now)},
			since: "quiet_day", unit: 24 * time.Hour, due: day,
		},
	}
}
