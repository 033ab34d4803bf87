package gormstore

import (
	"context"
	"fmt"
	"strings"

	"latchkey/storage"
)

// searchedTotal is the number up to which the results of a search are counted. If there are
// more, the total is searchedTotal+1. Counting or estimating all of them would take longer
// than finding a page.
const searchedTotal = 200

// SearchUsers finds users of all accounts of a realm by a prefix of their username, e-mail
// address or last name, in any letter case. A search for a username returns an item for
// each login that is found. Other searches return each user with its first login by
// profile. An index finds the page, so the cost does not depend on the number of users. The
// error is storage.ErrQuery for a field that cannot be searched and for a page key of
// another search.
func (s *Store) SearchUsers(ctx context.Context, find storage.UserSearch) (storage.Page[storage.UserLogin], error) {
	l, err := s.searched(find)
	if err != nil {
		return storage.Page[storage.UserLogin]{}, err
	}
	q := storage.Query{
		Where: []storage.Condition{{
			Fields: []string{find.Field}, Tests: []storage.Test{{Op: storage.OpLikeFold, Value: find.Prefix + "*"}},
		}},
		Sort: []storage.Order{{Field: find.Field}}, After: find.After, Limit: find.Limit,
	}
	found, err := page[userLoginRow](ctx, s, l, q)
	return recorded(found, (*userLoginRow).record), err
}

// searched returns the list that a search reads. It begins with the table whose index
// finds the users.
func (s *Store) searched(find storage.UserSearch) (listing, error) {
	l := listing{what: "searched users", exactTotal: searchedTotal, scope: statement{sql: "u.realm_id = ?", args: []any{find.RealmID}}}
	if kinds := len(find.Kinds); kinds < 3 {
		l.scope.sql += " AND u.kind IN (''" + strings.Repeat(", ?", kinds) + ")" // no user has the kind ''
		for _, kind := range find.Kinds {
			l.scope.args = append(l.scope.args, string(kind))
		}
	}
	column := ""
	switch find.Field {
	case storage.SearchUsername:
		column, l.table, l.joins, l.tie = "l.username", "logins l", " JOIN users u ON u.uid = l.user_uid", "l.id"
	case storage.SearchEmail, storage.SearchLastName:
		column = map[string]string{storage.SearchEmail: "u.email", storage.SearchLastName: "u.last_name"}[find.Field]
		l.table, l.tie = "users u", "u.uid"
		l.joins = ` LEFT JOIN logins l ON l.user_uid = u.uid AND NOT EXISTS (SELECT 1 FROM logins e
			WHERE e.user_uid = l.user_uid AND (e.profile_id, e.username_key) < (l.profile_id, l.username_key))`
	default:
		return l, fmt.Errorf("search users by %q: %w", find.Field, storage.ErrQuery)
	}
	l.fields = fields{find.Field: {kind: foldable, sql: column, sort: "lower(" + s.dialect.bytewise(column) + ")", joined: true}}
	return l, nil
}

// userLoginRow is a user with one of its logins.
type userLoginRow struct {
	User  userRow  `gorm:"embedded;embeddedPrefix:u_"`
	Login loginRow `gorm:"embedded;embeddedPrefix:l_"`
}

func (r *userLoginRow) record() storage.UserLogin {
	found := storage.UserLogin{User: r.User.record()}
	if r.Login.Facts.ID != "" {
		found.Login = r.Login.record()
	}
	return found
}
