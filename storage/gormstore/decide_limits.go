package gormstore

import (
	"context"
	"slices"
	"strings"
	"time"

	"latchkey/storage"
)

const secondsPerHour = 60 * 60

// Charge charges one request to each of the budgets at the time now, in one statement, if
// all of them have room. Otherwise it charges none and returns a *storage.LimitError. The
// keys of the charges must differ.
func (s *Store) Charge(ctx context.Context, now time.Time, charges ...storage.Charge) error {
	if len(charges) == 0 {
		return nil
	}
	c := charge(now, charges)
	n, err := s.exec(ctx, "charge", c.sql, c.args...)
	if err != nil || n == int64(len(charges)) {
		return err
	}
	return s.exhausted(ctx, now, charges)
}

// charge returns one statement, the same on both databases, that charges several budgets by
// the generic cell rate algorithm (GCRA). The column tat of a budget is its theoretical
// arrival time. A charge sets tat to the later of now and tat, plus the budget's gap. It is
// refused if tat would then be further ahead of now than the budget's depth. long_tat is
// the same for the second limit.
//
// The condition on the conflict decides, under the row's lock, so that no number of
// callers gets more than the burst. The condition in the selection comes first: if a
// budget is used up already, the statement writes no row. So a refusal takes nothing
// from the other budgets and costs no commit. Only callers that race for the last
// place can lose one in another budget.
//
// All callers lock the rows in the order of their charges.
func charge(now time.Time, charges []storage.Charge) statement {
	rows := make([]string, len(charges))
	args := make([]any, 0, 5*len(charges)+5)
	for i, c := range charges {
		rows[i] = "(CAST(? AS TEXT), CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS BIGINT))"
		args = append(args, c.Key, c.Gap.Microseconds(), c.Depth().Microseconds(),
			c.LongGap.Microseconds(), c.LongDepth().Microseconds())
	}
	at := micros(now)
	args = append(args, at, at, now.Unix()/secondsPerHour, at, at)
	return statement{args: args, sql: `WITH charges (id, gap, depth, long_gap, long_depth) AS (VALUES ` + strings.Join(rows, ", ") + `)
		INSERT INTO send_limits (id, tat, gap, depth, long_tat, long_gap, long_depth, hour)
		SELECT id, CAST(? AS BIGINT) + gap, gap, depth, CAST(? AS BIGINT) + long_gap, long_gap, long_depth, CAST(? AS BIGINT)
		FROM charges
		WHERE NOT EXISTS (SELECT 1 FROM charges c JOIN send_limits l ON l.id = c.id
			WHERE l.tat + c.gap - c.depth > CAST(? AS BIGINT) OR l.long_tat + c.long_gap - c.long_depth > CAST(? AS BIGINT))
		ON CONFLICT (id) DO UPDATE SET gap = excluded.gap, depth = excluded.depth,
			long_gap = excluded.long_gap, long_depth = excluded.long_depth, hour = excluded.hour,
			tat = excluded.gap + CASE WHEN send_limits.tat > excluded.tat - excluded.gap
				THEN send_limits.tat ELSE excluded.tat - excluded.gap END,
			long_tat = excluded.long_gap + CASE WHEN send_limits.long_tat > excluded.long_tat - excluded.long_gap
				THEN send_limits.long_tat ELSE excluded.long_tat - excluded.long_gap END
		WHERE send_limits.tat + excluded.gap - excluded.depth <= excluded.tat - excluded.gap
			AND send_limits.long_tat + excluded.long_gap - excluded.long_depth <= excluded.long_tat - excluded.long_gap`}
}

// exhausted returns a *storage.LimitError for the budget that has room last.
func (s *Store) exhausted(ctx context.Context, now time.Time, charges []storage.Charge) error {
	keys := make([]any, len(charges))
	for i, c := range charges {
		keys[i] = c.Key
	}
	type row struct {
		ID      string `gorm:"column:id"`
		TAT     int64  `gorm:"column:tat"`
		LongTAT int64  `gorm:"column:long_tat"`
	}
	rows, err := query[row](ctx, s, "send limits", "SELECT id, tat, long_tat FROM send_limits WHERE id IN ("+marks(len(keys))+")", keys...)
	if err != nil {
		return err
	}
	worst := &storage.LimitError{}
	for _, r := range rows {
		c := charges[slices.IndexFunc(charges, func(c storage.Charge) bool { return c.Key == r.ID })]
		until := later(instant(r.TAT).Add(c.Gap-c.Depth()), instant(r.LongTAT).Add(c.LongGap-c.LongDepth()))
		if until.After(worst.Until) {
			worst.Budget, worst.Until = c.Budget, until
		}
	}
	// The loser of a race for a place may find a free one already.
	worst.Until = later(worst.Until, now.Add(time.Second))
	return worst
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
