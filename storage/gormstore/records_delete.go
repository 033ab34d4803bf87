package gormstore

import (
	"context"
	"fmt"
	"time"

	"latchkey/storage"
)

// Every Delete method of a record with a version takes the one to delete, 0 for
// any: another one is storage.ErrStale, and no such record storage.ErrNotFound.
// Each is one transaction. Code requests, messages and audit events of what is
// deleted stay until Sweep takes them.

// deleting locks the row, so that nothing new refers to it, sees that it is the
// one to delete, lets clear delete what refers to it, and then deletes it.
func (s *Store) deleting(ctx context.Context, what, table, column, id string, version int64, clear func(context.Context) error) error {
	what = "delete " + what
	return s.InTx(ctx, func(ctx context.Context) error {
		where := " FROM " + table + " WHERE " + column + " = ?"
		stored, err := get[int64](ctx, s, what, "SELECT version"+where+s.dialect.locks(), id)
		if err != nil {
			return err
		}
		if version != 0 && version != stored {
			return s.wrap(ctx, what, storage.ErrStale)
		}
		if err := clear(ctx); err != nil {
			return err
		}
		_, err = s.exec(ctx, what, "DELETE"+where, id)
		return err
	})
}

// each executes statements one after the other.
func (s *Store) each(ctx context.Context, what string, statements ...statement) error {
	for _, one := range statements {
		if _, err := s.exec(ctx, what, one.sql, one.args...); err != nil {
			return err
		}
	}
	return nil
}

// unused answers storage.ErrConflict if the table has a row with that value.
func (s *Store) unused(ctx context.Context, what, table, column, value string) error {
	rows, err := query[string](ctx, s, what, "SELECT id FROM "+table+" WHERE "+column+" = ? ORDER BY id LIMIT 1", value)
	if err == nil && len(rows) > 0 {
		err = fmt.Errorf("%s: %s of %q: %w", what, column, rows[0], storage.ErrConflict)
	}
	return err
}

// DeleteClient deletes a client, whatever the letter case of id, with its
// secrets. What it was granted ends with it, since every path looks for the
// client.
func (s *Store) DeleteClient(ctx context.Context, id string, version int64) error {
	key := clientKey(id)
	return s.changed(ctx, s.deleting(ctx, "client", "clients", "id_key", key, version, func(ctx context.Context) error {
		return s.each(ctx, "delete client secrets",
			statement{sql: "DELETE FROM client_secrets WHERE client_key = ?", args: []any{key}})
	}))
}

// DeleteSecurityProfile deletes a security profile and takes it from all who
// hold it.
func (s *Store) DeleteSecurityProfile(ctx context.Context, id string, version int64) error {
	return s.changed(ctx, s.deleting(ctx, "security profile", "security_profiles", "id", id, version, func(ctx context.Context) error {
		return s.each(ctx, "delete profile assignments",
			statement{sql: "DELETE FROM security_profile_assignments WHERE security_profile_id = ?", args: []any{id}})
	}))
}

// DeletePasswordProfile deletes a password profile with its logins; the users
// stay. The default one, and one that a client uses, is storage.ErrConflict.
func (s *Store) DeletePasswordProfile(ctx context.Context, id string, version int64) error {
	const what = "delete password profile"
	if id == storage.DefaultProfileID {
		return fmt.Errorf("%s: it is the default: %w", what, storage.ErrConflict)
	}
	return s.changed(ctx, s.deleting(ctx, "password profile", "password_profiles", "id", id, version, func(ctx context.Context) error {
		if err := s.unused(ctx, what, "clients", "profile_id", id); err != nil {
			return err
		}
		return s.deleteLogins(ctx, "profile_id = ?", id)
	}))
}

// deleteLogins deletes the logins that the condition selects, with their
// verification codes, former passwords and sources, by their foreign keys. It
// locks them first, in one order for all: a sign-in that settles meanwhile comes
// before, and a later one finds no login. Their families stay until Sweep takes
// them; without the login nobody is behind them, and no identifier comes back.
func (s *Store) deleteLogins(ctx context.Context, where string, args ...any) error {
	const what = "delete logins"
	_, err := query[string](ctx, s, what, "SELECT id FROM logins WHERE "+where+" ORDER BY id"+s.dialect.locks(), args...)
	if err != nil {
		return err
	}
	return s.each(ctx, what, statement{sql: "DELETE FROM logins WHERE " + where, args: args})
}

// DeleteLogin deletes a login with its verification code, former passwords and
// sources. Its families are those of nobody then. Its ID is never used again.
func (s *Store) DeleteLogin(ctx context.Context, id string, version int64) error {
	return s.deleting(ctx, "login", "logins", "id", id, version, func(ctx context.Context) error {
		return s.deleteLogins(ctx, "id = ?", id)
	})
}

// DeleteUser deletes a user with its logins, memberships and security profile
// assignments. Its families are those of nobody then. Its UID is never used
// again.
func (s *Store) DeleteUser(ctx context.Context, uid string, version int64) error {
	return s.deleting(ctx, "user", "users", "uid", uid, version, func(ctx context.Context) error {
		return s.clearUsers(ctx, "uid = ?", uid)
	})
}

// clearUsers deletes what refers to the users that the condition selects.
func (s *Store) clearUsers(ctx context.Context, where string, arg any) error {
	users := "(SELECT uid FROM users WHERE " + where + ")"
	if err := s.deleteLogins(ctx, "user_uid IN "+users, arg); err != nil {
		return err
	}
	return s.each(ctx, "delete users",
		statement{sql: "DELETE FROM memberships WHERE user_uid IN " + users, args: []any{arg}},
		statement{
			sql: `DELETE FROM security_profile_assignments
				WHERE party IN (SELECT 'user:' || uid FROM users WHERE ` + where + ")",
			args: []any{arg},
		})
}

// DeleteAccount deletes an account with its own users, as DeleteUser does, its
// memberships and its assignments of security profiles, clients and senders.
// Accounts that were part of it are part of none.
func (s *Store) DeleteAccount(ctx context.Context, uid string, version int64) error {
	return s.changed(ctx, s.deleting(ctx, "account", "accounts", "uid", uid, version, func(ctx context.Context) error {
		now := s.now()
		_, err := query[string](ctx, s, "delete account",
			"SELECT uid FROM users WHERE account_uid = ? ORDER BY uid"+s.dialect.locks(), uid)
		if err == nil {
			err = s.clearUsers(ctx, "account_uid = ?", uid)
		}
		if err != nil {
			return err
		}
		return s.each(ctx, "delete account",
			statement{sql: "DELETE FROM users WHERE account_uid = ?", args: []any{uid}},
			statement{sql: "DELETE FROM memberships WHERE account_uid = ?", args: []any{uid}},
			statement{
				sql:  "DELETE FROM security_profile_assignments WHERE party = ?",
				args: []any{string(storage.AccountParty(uid))},
			},
			withoutAccount("clients", uid, now), withoutAccount("senders", uid, now),
			statement{
				sql:  "UPDATE accounts SET parent_uid = '', version = version + 1, updated_at = ? WHERE parent_uid = ?",
				args: []any{micros(now), uid},
			})
	}))
}

// withoutAccount takes an account from the words of account_uids. Between
// spaces each word is told from the longer ones that it is part of.
func withoutAccount(table, uid string, now time.Time) statement {
	const without = "REPLACE(' ' || account_uids || ' ', ' ' || CAST(? AS TEXT) || ' ', ' ')"
	return statement{
		sql: "UPDATE " + table + " SET account_uids = TRIM(" + without + `), version = version + 1, updated_at = ?
			WHERE TRIM(` + without + ") <> account_uids",
		args: []any{uid, micros(now), uid},
	}
}

// DeleteSender deletes a sender. What is queued for it is never delivered.
func (s *Store) DeleteSender(ctx context.Context, id string, version int64) error {
	return s.changed(ctx, s.deleting(ctx, "sender", "senders", "id", id, version, nothing))
}

func nothing(context.Context) error { return nil }

// DeleteDeliveryConfig deletes a delivery config. One that a sender uses is
// storage.ErrConflict. PutSender locks the row as well: of a sender that is
// given it at the same moment either comes first.
func (s *Store) DeleteDeliveryConfig(ctx context.Context, id string, version int64) error {
	return s.changed(ctx, s.deleting(ctx, "delivery config", "delivery_configs", "id", id, version, func(ctx context.Context) error {
		return s.unused(ctx, "delete delivery config", "senders", "delivery_config", id)
	}))
}
