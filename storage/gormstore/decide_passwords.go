package gormstore

import (
	"context"
	"errors"
	"time"

	"latchkey/storage"
)

// ChangePassword gives a login a new permanent password if, at this moment, the login is
// active. With a CodeID, the verification code of the login must also have that ID and be
// live, and the lock for one-time passwords, or the lock of the known source, must not be
// in force. Otherwise it returns storage.ErrRefused and changes nothing.
//
// The change ends older refresh families and access tokens of the login, except those
// of KeepSession, its one-time password and its verification code. With a code it
// clears all failures and locks, the sources' included.
func (s *Store) ChangePassword(ctx context.Context, x storage.PasswordChange) error {
	return s.InTx(ctx, func(ctx context.Context) error { return s.changePassword(ctx, x, " AND active") })
}

// changePassword does so within a transaction, on a further condition. It locks
// the login first, so that several changes with one code come one after the other.
func (s *Store) changePassword(ctx context.Context, x storage.PasswordChange, condition string) error {
	err := s.lockLogin(ctx, x.LoginID)
	if errors.Is(err, storage.ErrNotFound) {
		err = s.wrap(ctx, "change password", storage.ErrRefused)
	}
	if err == nil {
		err = s.spendVerification(ctx, x)
	}
	if err == nil {
		err = s.retire(ctx, x.LoginID, x.Now)
	}
	if err == nil {
		err = s.remember(ctx, x)
	}
	if err != nil {
		return err
	}
	var then []statement
	if x.CodeID != "" {
		then = append(
			then, forgive("", x.LoginID),
			verifyEmail(x.LoginID, "(SELECT mailed_to FROM verification_codes WHERE id = ?)", x.CodeID),
		)
	}
	changed, err := s.settle(ctx, "change password", passwordUpdate(x, condition), then...)
	if err == nil && !changed {
		err = s.wrap(ctx, "change password of login "+x.LoginID, storage.ErrRefused)
	}
	return err
}

// passwordUpdate wipes the one-time password. Where a code clears failures, the lockout
// version moves, so that no earlier failure is put back.
func passwordUpdate(x storage.PasswordChange, condition string) statement {
	now := micros(x.Now)
	set := `password_hash = ?, password_set_at = ?, sessions_valid_from = ?, kept_session = ?, code_id = '', code_request_id = '',
		code_client_id = '', code_purpose = '', code_pepper_id = '', code_digest = ?, code_name_digest = '', code_issued_at = 0, code_expires_at = 0, code_used_at = 0`
	update := statement{sql: "UPDATE logins SET " + set, args: []any{x.Hash, now, now, x.KeepSession, blob(nil)}}
	if x.CodeID != "" {
		update = update.with(", lockout_version = lockout_version + 1, " + clearAll)
	}
	update = update.with(" WHERE id = ?"+condition, x.LoginID)
	if x.CodeID != "" {
		update = update.with(` AND COALESCE((SELECT src.locked_until FROM login_sources src
			WHERE src.id = ? AND src.login_id = logins.id), codes_locked_until) <= ?`, x.SourceID, now)
	}
	return update
}

// SetPassword stores the hash of a permanent password, or none when hash is
// empty. With endSessions it ends every refresh family begun before now and the
// outstanding codes. An unknown login is storage.ErrNotFound.
func (s *Store) SetPassword(ctx context.Context, loginID, hash string, now time.Time, endSessions bool) error {
	set := "password_hash = ?, password_set_at = ?"
	args := []any{hash, micros(now)}
	if endSessions {
		set += ", sessions_valid_from = ?, kept_session = '', code_id = '', code_issued_at = 0, code_expires_at = 0"
		args = append(args, micros(now))
	}
	update := func(ctx context.Context) error {
		n, err := s.exec(ctx, "set password", "UPDATE logins SET "+set+" WHERE id = ?", append(args, loginID)...)
		return affected(n, err, s.wrap(ctx, "set password", storage.ErrNotFound))
	}
	if !endSessions {
		return update(ctx)
	}
	return s.InTx(ctx, func(ctx context.Context) error {
		if err := s.retire(ctx, loginID, now); err != nil {
			return err
		}
		if err := update(ctx); err != nil {
			return err
		}
		return s.endVerification(ctx, loginID, now)
	})
}

// lockLogin locks a login until the transaction ends, or returns storage.ErrNotFound.
func (s *Store) lockLogin(ctx context.Context, id string) error {
	_, err := get[string](ctx, s, "lock login", "SELECT id FROM logins WHERE id = ?"+s.dialect.locks(), id)
	return err
}

// spendVerification uses up the verification code that allows the change, if it
// is live. Without a CodeID it ends an unused one.
func (s *Store) spendVerification(ctx context.Context, x storage.PasswordChange) error {
	if x.CodeID == "" {
		return s.endVerification(ctx, x.LoginID, x.Now)
	}
	n, err := s.exec(ctx, "use verification code",
		"UPDATE verification_codes SET used_at = ? WHERE login_id = ? AND id = ? AND used_at = 0 AND expires_at > ?",
		micros(x.Now), x.LoginID, x.CodeID, micros(x.Now))
	if err := affected(n, err, s.wrap(ctx, "use verification code", storage.ErrRefused)); err != nil {
		return err
	}
	_, err = s.exec(ctx, "note use of code", "UPDATE issued_codes SET redeemed_at = ? WHERE id = ?", micros(x.Now), x.CodeID)
	return err
}

// endVerification deletes a login's verification code. If the code was live, it stores
// that the code was retired, and withdraws its messages.
func (s *Store) endVerification(ctx context.Context, loginID string, now time.Time) error {
	ended, err := returning[verificationRow](ctx, s, "end verification code",
		"DELETE FROM verification_codes WHERE login_id = ? RETURNING "+columnsOf[verificationRow]().list(), loginID)
	for _, code := range ended {
		if err == nil && code.UsedAt == 0 && code.ExpiresAt > micros(now) {
			retire := statement{sql: "UPDATE issued_codes SET retired_at = ? WHERE id = ?", args: []any{micros(now), code.ID}}
			_, err = s.settle(ctx, "retire verification code", retire, withdrawMessages(code.RequestID, code.ID, now))
		}
	}
	return err
}

// remember stores the hash that is to be replaced, and deletes the oldest ones.
func (s *Store) remember(ctx context.Context, x storage.PasswordChange) error {
	if x.Keep > 0 {
		_, err := s.exec(ctx, "remember password",
			`INSERT INTO password_history (login_id, hash, set_at) SELECT id, password_hash, password_set_at
			FROM logins WHERE id = ? AND password_hash <> '' ON CONFLICT DO NOTHING`, x.LoginID)
		if err != nil {
			return err
		}
	}
	_, err := s.exec(ctx, "forget passwords",
		`DELETE FROM password_history WHERE login_id = ? AND (set_at, hash) NOT IN
		(SELECT set_at, hash FROM password_history WHERE login_id = ? ORDER BY set_at DESC, hash LIMIT CAST(? AS BIGINT))`,
		x.LoginID, x.LoginID, max(x.Keep, 0))
	return err
}

// FormerPasswords lists the hashes of a login's last n permanent passwords,
// newest first, the current one included.
func (s *Store) FormerPasswords(ctx context.Context, loginID string, n int) ([]string, error) {
	return query[string](ctx, s, "former passwords",
		`SELECT hash FROM (
			SELECT password_hash AS hash, 0 AS former, password_set_at AS set_at FROM logins WHERE id = ? AND password_hash <> ''
			UNION ALL SELECT hash, 1, set_at FROM password_history WHERE login_id = ?
		) known ORDER BY former, set_at DESC, hash LIMIT CAST(? AS BIGINT)`, loginID, loginID, max(n, 0))
}

// RevokeUserTokens ends the access tokens and refresh families of a user that are as old
// as now, in microseconds, or older. An unknown user is storage.ErrNotFound.
func (s *Store) RevokeUserTokens(ctx context.Context, userUID string, now time.Time) error {
	n, err := s.exec(ctx, "revoke tokens of user",
		"UPDATE users SET tokens_valid_from = ? WHERE uid = ?", micros(now)+1, userUID)
	return affected(n, err, s.wrap(ctx, "revoke tokens of user", storage.ErrNotFound))
}
