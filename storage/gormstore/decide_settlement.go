package gormstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"latchkey/storage"
)

// SettleLogin lets a successful attempt take effect if, at this moment, the login is
// active, the lock that counts is not in force (see storage.Settlement), and the code is
// live or, without one, the password unchanged. Otherwise it returns storage.ErrRefused and
// changes nothing. A SourceID of another login or of a deleted source counts as unknown.
// With Resumed it clears no failures and stores no source.
func (s *Store) SettleLogin(ctx context.Context, x storage.Settlement) error {
	settled, err := s.settleLogin(ctx, &x)
	if err == nil && !settled {
		err = storage.ErrRefused
	}
	return s.wrap(ctx, fmt.Sprintf("settle sign-in of login %s", x.LoginID), err)
}

// settleLogin first tries one statement. On PostgreSQL a statement that waited for the
// login's row reads the sources as they were before the wait, so it may refuse without
// need. Then settleLogin decides again in a transaction that locks the login first.
func (s *Store) settleLogin(ctx context.Context, x *storage.Settlement) (settled bool, err error) {
	first, then := decision(x), s.consequences(x)
	settled, err = s.settle(ctx, "settle sign-in", first, then...)
	if err != nil || settled || !aboutSources(x) || !s.dialect.readsBeforeWait() {
		return settled, err
	}
	err = s.InTx(ctx, func(ctx context.Context) error {
		if err := s.lockLogin(ctx, x.LoginID); err != nil {
			return err
		}
		settled, err = s.settle(ctx, "settle sign-in", first, then...)
		return err
	})
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	return settled, err
}

// settle runs a settlement whose first statement writes one row.
func (s *Store) settle(ctx context.Context, what string, first statement, then ...statement) (bool, error) {
	return s.dialect.settle(ctx, s, settlement{what: what, first: first, rows: 1, then: then})
}

// aboutSources reports whether the settlement reads or writes sources.
func aboutSources(x *storage.Settlement) bool { return x.SourceID != "" || remembers(x) }

func remembers(x *storage.Settlement) bool { return x.Remember != nil && !x.Resumed }

// consequences returns the statements that follow the decision of a settlement.
func (s *Store) consequences(x *storage.Settlement) []statement {
	var then []statement
	switch {
	case remembers(x):
		then = remember(x.LoginID, *x.Remember)
		if x.SourceID != "" && x.SourceID != x.Remember.ID {
			then = append(then, forgive(x.SourceID, x.LoginID))
		}
	case x.SourceID != "" && !x.Resumed:
		then = append(then, forgive(x.SourceID, x.LoginID))
	}
	if x.VerifyEmail != "" {
		then = append(then, verifyEmail(x.LoginID, "?", x.VerifyEmail))
	}
	if x.BeginFamily != nil {
		then = append(then, s.insertFamily(x.BeginFamily))
	}
	if x.BeginSession != nil {
		then = append(then, s.beginSession(x.BeginSession, x.Authorize))
	}
	if x.Authorize != nil {
		then = append(then, s.insertAuthorization(x.Authorize))
	}
	return then
}

// verifyEmail returns the statement that marks the e-mail address of a login's user as
// verified, if a code was mailed to this address. mailedTo is SQL for the address of the
// code, with its arguments.
func verifyEmail(loginID, mailedTo string, args ...any) statement {
	return statement{
		sql: `UPDATE users SET verified_email = email_key WHERE uid = (SELECT user_uid FROM logins WHERE id = ?)
			AND email_key <> '' AND email_key = ` + mailedTo + " AND " + ifSettled,
		args: append([]any{loginID}, args...),
	}
}

// decision returns the conditional update that decides a settlement. It locks the login's
// row, as every write to the lockout of the login or of its sources does. So these writes
// run one after the other.
func decision(x *storage.Settlement) statement {
	now := micros(x.Now)
	update := statement{sql: "UPDATE logins SET failures = failures"} // the condition decides, and nothing changes
	if !x.Resumed {
		update = clearing(x, now)
	}
	if x.NewHash != "" {
		update = update.with(", password_hash = CASE WHEN password_hash = ? THEN ? ELSE password_hash END", x.OldHash, x.NewHash)
	}
	if x.CodeID != "" {
		update = update.with(", code_used_at = ?", now)
	}
	update = unlocked(update.with(" WHERE id = ? AND active", x.LoginID), x, now)
	if x.CodeID != "" {
		return update.with(" AND code_id = ? AND code_used_at = 0 AND code_expires_at > ?", x.CodeID, now)
	}
	return update.with(" AND password_set_at = ?", micros(x.PasswordSetAt))
}

// clearing returns the update that resets the counters whose lock is not in force. It
// increments the version if there was something to clear, so that a concurrent failure does
// not restore the old counters. It also increments the version when a source becomes known,
// so that concurrent transactions that read the sources notice it.
func clearing(x *storage.Settlement, now int64) statement {
	const (
		all   = "(failures <> 0 OR locked_until <> 0) AND locked_until <= ?"
		codes = "(codes_failures <> 0 OR codes_locked_until <> 0) AND codes_locked_until <= ?"
	)
	moves := statement{sql: all + " OR " + codes, args: []any{now, now}}
	if x.SourceID != "" {
		moves = moves.with(` OR EXISTS (SELECT 1 FROM login_sources src
			WHERE src.id = ? AND src.login_id = logins.id AND (src.failures <> 0 OR src.locked_until <> 0))`, x.SourceID)
	}
	if remembers(x) {
		moves = statement{sql: "TRUE"}
	}
	update := statement{
		sql:  "UPDATE logins SET lockout_version = lockout_version + CASE WHEN " + moves.sql + " THEN 1 ELSE 0 END",
		args: moves.args,
	}
	for _, lock := range []string{"", "codes_"} {
		for _, column := range []string{"failures", "last_failure_at", "locked_until"} {
			update = update.with(", "+lock+column+" = CASE WHEN "+lock+"locked_until <= ? THEN 0 ELSE "+lock+column+" END", now)
		}
	}
	return update.with(", last_active_at = ?", now)
}

// unlocked adds the condition that the lock for this kind of attempt is not in force. If
// the statement waited for the login's row, its subqueries read the rows as they were
// before the wait. So it also requires that the version has not changed.
func unlocked(update statement, x *storage.Settlement, now int64) statement {
	lock := "locked_until"
	if x.CodeID != "" {
		lock = "codes_locked_until"
	}
	if !aboutSources(x) {
		return update.with(" AND "+lock+" <= ?", now)
	}
	return update.with(` AND lockout_version = (SELECT v.lockout_version FROM logins v WHERE v.id = ?)
		AND COALESCE((SELECT src.locked_until FROM login_sources src
			WHERE src.id = ? AND src.login_id = logins.id), `+lock+") <= ?", x.LoginID, x.SourceID, now)
}

// Unlock clears the failures and the locks of a login and of its sources. An
// unknown login is storage.ErrNotFound.
func (s *Store) Unlock(ctx context.Context, loginID string, now time.Time) error {
	update := statement{
		sql:  "UPDATE logins SET " + clearAll + ", lockout_version = lockout_version + 1, updated_at = ? WHERE id = ?",
		args: []any{micros(now), loginID},
	}
	unlocked, err := s.settle(ctx, "unlock login", update, forgive("", loginID))
	if err == nil && !unlocked {
		err = s.wrap(ctx, "unlock login", storage.ErrNotFound)
	}
	return err
}

// clearAll resets all failures and locks of a login.
const clearAll = `failures = 0, last_failure_at = 0, locked_until = 0,
	codes_failures = 0, codes_last_failure_at = 0, codes_locked_until = 0`
