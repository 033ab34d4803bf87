package gormstore

import (
	"maps"
	"reflect"
	"strings"

	"latchkey/storage"
)

// fieldsOf returns the fields of a list from the tags "list" of a row type. A tag has the
// name of the field in the record of package storage and, if the Go type is ambiguous, its
// kind. t is the table or its alias in a join, followed by a dot; empty: none.
func fieldsOf[R any](t string) fields {
	listed := fields{}
	for _, column := range rowTypeOf(reflect.TypeFor[R]()).columns {
		if name, kind, _ := strings.Cut(column.field.Tag.Get("list"), ","); name != "" {
			listed[name] = attribute{kind: listKind(kind, column.field.Type.Kind()), sql: t + column.name, unique: column.unique}
		}
	}
	return listed
}

// listKind returns the kind of a field by its name in the tag. Without a name it
// follows from the Go type of the column.
func listKind(name string, of reflect.Kind) attributeKind {
	switch {
	case name == "folded":
		return foldable
	case name == "time":
		return instantly
	case name == "optional time":
		return someday
	case name == "duration":
		return lasting
	case name == "json":
		return free
	case of == reflect.Bool:
		return logical
	case of == reflect.Int, of == reflect.Int64:
		return numeric
	}
	return textual
}

func (f fields) and(more fields) fields {
	maps.Copy(f, more)
	return f
}

// with adds or replaces a field.
func (f fields) with(name string, a attribute) fields {
	f[name] = a
	return f
}

// under returns the fields with a prefix before their names, for the fields of a joined
// table.
func (f fields) under(prefix string) fields {
	renamed := make(fields, len(f))
	for name, a := range f {
		a.joined, a.unique = true, false
		renamed[prefix+name] = a
	}
	return renamed
}

// usedProfile is a condition. It is false for the default password profile until the profile is
// changed or gets a login.
const usedProfile = "(id <> '" + storage.DefaultProfileID + "' OR version > 1 OR EXISTS (SELECT 1 FROM logins l WHERE l.profile_id = password_profiles.id))"

// userFields are the fields of lists of users. For a user without a full name, the field
// Name is the first and the last name.
func userFields(t string) fields {
	name := "(CASE WHEN " + t + "name <> '' THEN " + t + "name ELSE TRIM(" + t + "first_name || ' ' || " + t + "last_name) END)"
	return fieldsOf[userRow](t).with("Name", attribute{sql: name})
}

// usernameField is the name of a user's first login, in a list of users.
func usernameField() attribute {
	return attribute{
		kind: foldable, sql: "l.username",
		within: `users.uid IN (SELECT l.user_uid FROM logins l WHERE ` + ifRunning + ` AND %s AND NOT EXISTS (SELECT 1 FROM logins e
			WHERE e.user_uid = l.user_uid AND (e.profile_id, e.username_key) < (l.profile_id, l.username_key)))`,
		sort: `COALESCE((SELECT l.username FROM logins l WHERE l.user_uid = users.uid
			ORDER BY l.profile_id, l.username_key LIMIT 1), '')`,
	}
}
