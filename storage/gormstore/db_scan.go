package gormstore

import (
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// shapes keeps what is known of row types, by type. Rows are made of strings,
// whole numbers, booleans, bytes and structs of these, described by the tags
// that GORM reads: column, embedded and embeddedPrefix.
type shapes struct{ known sync.Map }

// shape says where the columns of a row go: the index of each one's field, as
// reflect has it.
type shape map[string][]int

// of gives the shape of a struct.
func (s *shapes) of(row reflect.Type) shape {
	if known, ok := s.known.Load(row); ok {
		return known.(shape) //nolint:forcetypeassert // nothing else is stored
	}
	fresh := shape{}
	fresh.add(row, "", nil)
	s.known.Store(row, fresh)
	return fresh
}

func (s shape) add(row reflect.Type, prefix string, at []int) {
	for i := range row.NumField() {
		field, index := row.Field(i), append(slices.Clone(at), i)
		tag := map[string]string{}
		for part := range strings.SplitSeq(field.Tag.Get("gorm"), ";") {
			name, value, _ := strings.Cut(part, ":")
			tag[name] = value
		}
		if _, embedded := tag["embedded"]; embedded {
			s.add(field.Type, prefix+tag["embeddedPrefix"], index)
		} else if column := tag["column"]; column != "" {
			s[prefix+column] = index
		}
	}
}

// fields gives the place in row for each of the named columns.
func (s *shapes) fields(row reflect.Value, names []string) ([]field, error) {
	if row.Kind() != reflect.Struct {
		return []field{{row.Addr().Interface()}}, nil
	}
	shape, places := s.of(row.Type()), make([]field, len(names))
	for i, name := range names {
		index, ok := shape[name]
		if !ok {
			return nil, fmt.Errorf("no place for column %q in %s", name, row.Type())
		}
		places[i].at = row.FieldByIndex(index).Addr().Interface()
	}
	return places, nil
}

// scan reads all rows and closes them. It does what GORM's Scan does at a
// fraction of the cost, which counts for the rows of many columns that a
// sign-in reads.
func scan[R any](s *shapes, rows *sql.Rows) (all []R, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var row, empty R
	places, err := s.fields(reflect.ValueOf(&row).Elem(), names)
	if err != nil {
		return nil, err
	}
	into := make([]any, len(places))
	for i := range places {
		into[i] = &places[i]
	}
	for rows.Next() {
		row = empty
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	return all, rows.Err()
}

// field is a place for a column's value: a pointer to a string, a whole number,
// a boolean or bytes.
type field struct{ at any }

var _ sql.Scanner = (*field)(nil)

// Scan implements sql.Scanner. NULL, which only a join makes, is the zero
// value.
func (f *field) Scan(value any) error {
	switch v := value.(type) {
	case nil:
		return nil
	case int64:
		return f.number(v)
	case bool:
		if at, ok := f.at.(*bool); ok {
			*at = v
			return nil
		}
	case string:
		return f.text(v)
	case []byte:
		if at, ok := f.at.(*[]byte); ok {
			*at = slices.Clone(v) // the driver's own
			return nil
		}
		return f.text(string(v))
	}
	return f.mismatch(value)
}

func (f *field) number(v int64) error {
	switch at := f.at.(type) {
	case *int64:
		*at = v
	case *int:
		*at = int(v)
	case *bool: // SQLite has no booleans
		*at = v != 0
	default:
		return f.mismatch(v)
	}
	return nil
}

func (f *field) text(v string) error {
	switch at := f.at.(type) {
	case *string:
		*at = v
	case *[]byte:
		*at = []byte(v)
	default:
		return f.mismatch(v)
	}
	return nil
}

func (f *field) mismatch(value any) error {
	return fmt.Errorf("a value of type %T does not fit into %T", value, f.at)
}
