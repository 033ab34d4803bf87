package gormstore

import (
	"context"

	"latchkey/storage"
)

// ListAccounts lists the accounts of a realm, of one kind or, with an empty
// one, of both; without a Sort by ID. Fields are those of storage.Account, with
// paths into XP.
func (s *Store) ListAccounts(ctx context.Context, realmID string, kind storage.UserKind, q storage.Query) (storage.Page[storage.Account], error) {
	l := listing{
		what: "accounts", table: "accounts", fields: fieldsOf[accountRow](""), key: byField("ID"), tie: "uid",
		scope: statement{sql: "realm_id = ?", args: []any{realmID}},
	}
	if kind != "" {
		l.scope = l.scope.with(" AND kind = ?", string(kind))
		l.fields.makeUnique("ID")
	}
	found, err := page[accountRow](ctx, s, l, q)
	return recorded(found, (*accountRow).record), err
}

// makeUnique marks a field whose values no two records in the scope share.
func (f fields) makeUnique(name string) {
	a := f[name]
	a.unique = true
	f[name] = a
}

// ListUsers lists users, each with its first login by profile; without a Sort
// by ID. Admin users have no account, whatever the scope says. Fields are those
// of storage.User except EmailKey, with paths into XP, and Username, the login's.
// Name is the first and the last name of a user without a full name. Email and
// Username are compared as typed, not as otp.NormalizeUsername returns them; an
// index finds equal ones whatever their case.
func (s *Store) ListUsers(ctx context.Context, scope storage.UserScope, q storage.Query) (storage.Page[storage.UserLogin], error) {
	l := s.usersIn(scope)
	l.fields["Username"] = usernameField()
	rows, err := page[userRow](ctx, s, l, q)
	users := make([]storage.UserLogin, 0, len(rows.Items))
	if err != nil || len(rows.Items) == 0 {
		return storage.WithItems(rows, users), err
	}
	first, err := s.firstLogins(ctx, rows.Items)
	for i := range rows.Items {
		users = append(users, storage.UserLogin{User: rows.Items[i].record(), Login: first[rows.Items[i].Facts.UID]})
	}
	return storage.WithItems(rows, users), err
}

func (s *Store) usersIn(scope storage.UserScope) listing {
	l := listing{what: "users", table: "users", fields: userFields("users."), key: byField("ID"), tie: "users.uid"}
	restrict := func(column, value string) {
		if l.scope.sql != "" {
			l.scope.sql += " AND "
		}
		l.scope = l.scope.with("users."+column+" = ?", value)
	}
	if scope.RealmID != "" {
		restrict("realm_id", scope.RealmID)
	}
	if scope.Kind != "" {
		restrict("kind", string(scope.Kind))
	}
	if scope.AccountUID != "" || scope.Kind == storage.Admin {
		if scope.Kind == storage.Admin {
			scope.AccountUID = "" // the index begins with this column
		}
		restrict("account_uid", scope.AccountUID)
		if scope.RealmID != "" && scope.Kind != "" {
			l.fields.makeUnique("ID")
		}
	}
	return l
}

// firstLogins reads each user's first login by profile, by the user's UID.
func (s *Store) firstLogins(ctx context.Context, users []userRow) (map[string]storage.Login, error) {
	uids := make([]string, len(users))
	for i := range users {
		uids[i] = users[i].Facts.UID
	}
	rows, err := find[loginRow](ctx, s, "logins of users", "profile_id, username_key", "user_uid IN ?", uids)
	first := make(map[string]storage.Login, len(users))
	for i := range rows {
		uid := rows[i].Facts.UserUID
		if _, known := first[uid]; !known {
			first[uid] = rows[i].record()
		}
	}
	return first, err
}

// ListLogins lists the logins of a user, without a Sort by profile and name.
// Fields are those of storage.Login but the password and the code; the lockout
// state is "Lockout.Failures", "Lockout.LastFailureAt" and
// "Lockout.LockedUntil".
func (s *Store) ListLogins(ctx context.Context, userUID string, q storage.Query) (storage.Page[storage.Login], error) {
	l := byID[loginRow]("logins", "logins")
	l.key = []storage.Order{{Field: "ProfileID"}, {Field: "UsernameKey"}}
	l.scope = statement{sql: "user_uid = ?", args: []any{userUID}}
	found, err := page[loginRow](ctx, s, l, q)
	return recorded(found, (*loginRow).record), err
}

// ListMemberships lists the memberships of an account or of a user, each with its account
// and its user, even if these are inactive; without a Sort the oldest first. Fields are
// those of storage.Membership but Roles, and with "Account." or "User." in front those of
// ListAccounts and ListUsers but Username.
func (s *Store) ListMemberships(ctx context.Context, scope storage.MembershipScope, q storage.Query) (storage.Page[storage.MembershipDetail], error) {
	l := listing{
		what: "memberships", table: "memberships m",
		joins: " JOIN accounts a ON a.uid = m.account_uid JOIN users u ON u.uid = m.user_uid",
		fields: fieldsOf[membershipRow]("m.").and(fieldsOf[accountRow]("a.").under("Account.")).
			and(userFields("u.").under("User.")),
		key: byField("CreatedAt"), tie: "m.account_uid m.user_uid",
	}
	switch {
	case scope.AccountUID != "" && scope.UserUID != "":
		l.scope = statement{sql: "m.account_uid = ? AND m.user_uid = ?", args: []any{scope.AccountUID, scope.UserUID}}
	case scope.AccountUID != "":
		l.scope, l.tie = statement{sql: "m.account_uid = ?", args: []any{scope.AccountUID}}, "m.user_uid"
	case scope.UserUID != "":
		l.scope, l.tie = statement{sql: "m.user_uid = ?", args: []any{scope.UserUID}}, "m.account_uid"
	}
	found, err := page[membershipDetailRow](ctx, s, l, q)
	return recorded(found, (*membershipDetailRow).record), err
}

// ListNonMembers lists the users of kind storage.Buyer of a realm who are no
// members of the account, without a Sort by ID. Fields are those of ListUsers
// but Username.
func (s *Store) ListNonMembers(ctx context.Context, realmID, accountUID string, q storage.Query) (storage.Page[storage.User], error) {
	l := s.usersIn(storage.UserScope{RealmID: realmID, Kind: storage.Buyer})
	l.scope = l.scope.with(` AND NOT EXISTS (SELECT 1 FROM memberships m
		WHERE m.account_uid = ? AND m.user_uid = users.uid)`, accountUID)
	found, err := page[userRow](ctx, s, l, q)
	return recorded(found, (*userRow).record), err
}
