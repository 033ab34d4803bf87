package gormstore

import (
	"context"
	"fmt"
	"time"

	"latchkey/storage"
)

// Every Delete method takes the version of the record to delete; 0: any version. The error
// is storage.ErrStale if the record has another version, and storage.ErrNotFound if there
// is no such record. Each method is one transaction. Code requests, messages and audit
// events about the deleted record stay until Sweep deletes them.

// deleteRecord locks the row that the condition selects, so that nothing new refers
// to it, compares its version, lets deleteReferring delete the rows that refer to it, and deletes it.
func deleteRecord[R any, P record[R]](
	ctx context.Context, s *Store, what, where, key string, version int64, deleteReferring func(context.Context) error,
) error {
	return s.InTx(ctx, func(ctx context.Context) error {
		stored, err := locked[R](ctx, s, what, where, key)
		if err != nil {
			return err
		}
		if version != 0 && version != P(&stored).stamp().Version {
			return s.wrap(ctx, what, storage.ErrStale)
		}
		if err := deleteReferring(ctx); err != nil {
			return err
		}
		return s.wrap(ctx, what, s.writing(ctx).Delete(&stored).Error)
	})
}

// deleteAll deletes the rows that the condition selects.
func deleteAll[R any](ctx context.Context, s *Store, what, where string, args ...any) error {
	return s.wrap(ctx, what, s.writing(ctx).Where(where, args...).Delete(new(R)).Error)
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

// unused returns storage.ErrConflict if a row of the type has that value in the
// column.
func unused[R any](ctx context.Context, s *Store, what, column, value string) error {
	ids, err := pluck[R](s.reading(ctx).Limit(1), "id", column+" = ?", value)
	if err == nil && len(ids) > 0 {
		err = fmt.Errorf("%s of %q: %w", column, ids[0], storage.ErrConflict)
	}
	return s.wrap(ctx, what, err)
}

// DeleteClient deletes a client, whatever the letter case of id, with its secrets. Its
// tokens and codes end with it, because every use of them reads the client.
func (s *Store) DeleteClient(ctx context.Context, id string, version int64) error {
	const what = "delete client"
	key := clientKey(id)
	return s.changed(ctx, deleteRecord[clientRow](ctx, s, what, "id_key = ?", key, version, func(ctx context.Context) error {
		// A later client may have the ID.
		consents := statement{sql: "DELETE FROM consents WHERE client_id IN (SELECT id FROM clients WHERE id_key = ?)", args: []any{key}}
		if err := s.each(ctx, what, consents); err != nil {
			return err
		}
		return deleteAll[secretRow](ctx, s, what, "client_key = ?", key)
	}), configChange{clientChanged, key})
}

// DeleteSecurityProfile deletes a security profile with its assignments.
func (s *Store) DeleteSecurityProfile(ctx context.Context, id string, version int64) error {
	const what = "delete security profile"
	return s.changed(ctx, deleteRecord[securityProfileRow](ctx, s, what, "id = ?", id, version, func(ctx context.Context) error {
		return deleteAll[profileAssignmentRow](ctx, s, what, "security_profile_id = ?", id)
	}), configChange{securityProfileChanged, ""})
}

// DeletePasswordProfile deletes a password profile with its logins; the users stay. The
// error is storage.ErrConflict for the default profile and for a profile that a client
// uses.
func (s *Store) DeletePasswordProfile(ctx context.Context, id string, version int64) error {
	const what = "delete password profile"
	if id == storage.DefaultProfileID {
		return fmt.Errorf("%s: it is the default: %w", what, storage.ErrConflict)
	}
	return s.changed(ctx, deleteRecord[passwordProfileRow](ctx, s, what, "id = ?", id, version, func(ctx context.Context) error {
		if err := unused[clientRow](ctx, s, what, "profile_id", id); err != nil {
			return err
		}
		return s.deleteLogins(ctx, "profile_id = ?", id)
	}), configChange{passwordProfileChanged, id})
}

// deleteLogins deletes the logins that the condition selects, with their verification
// codes, former passwords and sources, by their foreign keys. It locks them first, in one
// order for all callers. A concurrent sign-in is either settled before, or finds no login
// afterwards. Token families stay until Sweep deletes them. A family without its login is
// refused, and no ID is used again.
func (s *Store) deleteLogins(ctx context.Context, where string, args ...any) error {
	const what = "delete logins"
	if _, err := pluck[loginRow](s.locking(ctx), "id", where, args...); err != nil {
		return s.wrap(ctx, what, err)
	}
	return deleteAll[loginRow](ctx, s, what, where, args...)
}

// DeleteLogin deletes a login with its verification code, former passwords and
// sources. Its token families are refused then. Its ID is never used again.
func (s *Store) DeleteLogin(ctx context.Context, id string, version int64) error {
	return deleteRecord[loginRow](ctx, s, "delete login", "id = ?", id, version, func(ctx context.Context) error {
		return s.deleteLogins(ctx, "id = ?", id)
	})
}

// DeleteUser deletes a user with its logins, memberships and security profile
// assignments. Its token families are refused then. Its UID is never used again.
func (s *Store) DeleteUser(ctx context.Context, uid string, version int64) error {
	return deleteRecord[userRow](ctx, s, "delete user", "uid = ?", uid, version, func(ctx context.Context) error {
		return s.clearUsers(ctx, "uid = ?", uid)
	})
}

// clearUsers deletes what refers to the users that the condition selects.
func (s *Store) clearUsers(ctx context.Context, where string, arg any) error {
	const what = "delete users"
	selected := "IN (SELECT uid FROM users WHERE " + where + ")"
	if err := s.deleteLogins(ctx, "user_uid "+selected, arg); err != nil {
		return err
	}
	if err := deleteAll[membershipRow](ctx, s, what, "user_uid "+selected, arg); err != nil {
		return err
	}
	for _, table := range []string{"sessions", "consents"} {
		if err := s.each(ctx, what, statement{sql: "DELETE FROM " + table + " WHERE user_uid " + selected, args: []any{arg}}); err != nil {
			return err
		}
	}
	return deleteAll[profileAssignmentRow](ctx, s, what, "party IN (SELECT 'user:' || uid FROM users WHERE "+where+")", arg)
}

// DeleteMembership ends a membership.
func (s *Store) DeleteMembership(ctx context.Context, id string, version int64) error {
	return deleteRecord[membershipRow](ctx, s, "delete membership", "id = ?", id, version, func(context.Context) error { return nil })
}

// DeleteAccount deletes an account with its own users, as DeleteUser does, its
// memberships and its assignments of security profiles, clients and senders.
// Accounts that were part of it are part of none.
func (s *Store) DeleteAccount(ctx context.Context, uid string, version int64) error {
	const what = "delete account"
	return s.changed(ctx, deleteRecord[accountRow](ctx, s, what, "uid = ?", uid, version, func(ctx context.Context) error {
		if _, err := pluck[userRow](s.locking(ctx), "uid", "account_uid = ?", uid); err != nil {
			return s.wrap(ctx, what, err)
		}
		if err := s.clearUsers(ctx, "account_uid = ?", uid); err != nil {
			return err
		}
		if err := deleteAll[userRow](ctx, s, what, "account_uid = ?", uid); err != nil {
			return err
		}
		if err := deleteAll[membershipRow](ctx, s, what, "account_uid = ?", uid); err != nil {
			return err
		}
		if err := deleteAll[profileAssignmentRow](ctx, s, what, "party = ?", string(storage.AccountParty(uid))); err != nil {
			return err
		}
		now := s.now()
		return s.each(ctx, what, withoutAccount("clients", uid, now), withoutAccount("senders", uid, now), statement{
			sql:  "UPDATE accounts SET parent_uid = '', version = version + 1, updated_at = ? WHERE parent_uid = ?",
			args: []any{micros(now), uid},
		})
	}), configChange{})
}

// withoutAccount returns a statement that removes an account from the words of
// account_uids. The spaces around a word distinguish it from longer words that contain it.
func withoutAccount(table, uid string, now time.Time) statement {
	const without = "REPLACE(' ' || account_uids || ' ', ' ' || CAST(? AS TEXT) || ' ', ' ')"
	return statement{
		sql: "UPDATE " + table + " SET account_uids = TRIM(" + without + `), version = version + 1, updated_at = ?
			WHERE TRIM(` + without + ") <> account_uids",
		args: []any{uid, micros(now), uid},
	}
}

// DeleteSender deletes a sender. Its queued messages are never delivered.
func (s *Store) DeleteSender(ctx context.Context, id string, version int64) error {
	return s.changed(ctx, deleteRecord[senderRow](ctx, s, "delete sender", "id = ?", id, version, func(context.Context) error {
		return nil
	}), configChange{senderChanged, ""})
}

// DeleteDeliveryConfig deletes a delivery config. The error is storage.ErrConflict if a
// sender uses it. PutSender locks the row as well, so that a concurrent assignment to a
// sender runs before or after the deletion.
func (s *Store) DeleteDeliveryConfig(ctx context.Context, id string, version int64) error {
	const what = "delete delivery config"
	return s.changed(ctx, deleteRecord[deliveryConfigRow](ctx, s, what, "id = ?", id, version, func(ctx context.Context) error {
		return unused[senderRow](ctx, s, what, "delivery_config", id)
	}), configChange{deliveryConfigChanged, id})
}
