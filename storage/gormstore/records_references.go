package gormstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"latchkey/storage"
)

// parents has the foreign keys of configuration records: for each table and column, the
// table that the column refers to.
var parents = map[string]map[string]string{
	"accounts":                     {"realm_id": "realms"},
	"client_secrets":               {"client_key": "clients"},
	"clients":                      {"profile_id": "password_profiles"},
	"delivery_configs":             {"realm_id": "realms"},
	"logins":                       {"profile_id": "password_profiles", "user_uid": "users"},
	"memberships":                  {"account_uid": "accounts", "user_uid": "users"},
	"password_profiles":            {"realm_id": "realms"},
	"security_profile_assignments": {"security_profile_id": "security_profiles"},
	"security_profiles":            {"realm_id": "realms"},
	"senders":                      {"realm_id": "realms"},
	"users":                        {"realm_id": "realms"},
}

// parentKeys has the column that foreign keys refer to, by table. In other tables it is id.
var parentKeys = map[string]string{"accounts": "uid", "clients": "id_key", "users": "uid"}

// nameOf returns the name that the table's records have in errors.
func nameOf(table string) string {
	return map[string]string{
		"accounts": "account", "clients": "client", "password_profiles": "password profile",
		"realms": "realm", "security_profiles": "security profile", "users": "user",
	}[table]
}

// checkKey returns an error with the name of the field if a row has no primary key.
func (s *Store) checkKey(ctx context.Context, what string, row any) error {
	described, err := s.describe(row)
	if err != nil {
		return err
	}
	for _, field := range described.PrimaryFields {
		if _, empty := field.ValueOf(ctx, reflect.ValueOf(row)); empty {
			return fmt.Errorf("%s: %s is empty", what, field.Name)
		}
	}
	return nil
}

// wrapRow is wrap for an error of a statement that writes a row. If the row refers to a
// record that does not exist, the error names the field and the record.
func (s *Store) wrapRow(ctx context.Context, what string, row any, err error) error {
	if err == nil || !errors.Is(s.dialect.classify(err), storage.ErrNotFound) {
		return s.wrap(ctx, what, err)
	}
	described, describeErr := s.describe(row)
	if describeErr != nil {
		return s.wrap(ctx, what, err)
	}
	for _, column := range slices.Sorted(maps.Keys(parents[described.Table])) {
		field, table := described.FieldsByDBName[column], parents[described.Table][column]
		value, empty := field.ValueOf(ctx, reflect.ValueOf(row))
		count := "SELECT count(*) FROM " + table + " WHERE " + cmp.Or(parentKeys[table], "id") + " = ?"
		if s.dialect.refersToNothing(ctx, s, err, column, count, value) {
			if empty {
				return fmt.Errorf("%s: %s is empty: %w", what, field.Name, storage.ErrNotFound)
			}
			return fmt.Errorf("%s: %s: there is no %s %q: %w", what, field.Name, nameOf(table), value, storage.ErrNotFound)
		}
	}
	return s.wrap(ctx, what, err)
}
