package gormstore

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"gorm.io/gorm/schema"
)

// rowTypes remembers the columns of row types. A row type is a struct of strings,
// whole numbers, booleans, blobs and structs of these, with GORM's tags.
var rowTypes sync.Map // *rowType by reflect.Type

// naming does not form plurals: each row type that is a table names it.
var naming = schema.NamingStrategy{SingularTable: true}

// rowType is the columns of a row type, in the order of its fields, and the table
// that the row names.
type rowType struct {
	table   string
	columns []rowColumn
	names   columns
	byName  map[string][]int // the places
}

// rowColumn is a column of a row type.
type rowColumn struct {
	name   string
	place  []int // the index of its field, as reflect has it
	unique bool
	field  reflect.StructField
}

// rowTypeOf returns the row type of a struct. It panics if the tags are wrong.
func rowTypeOf(row reflect.Type) *rowType {
	if known, ok := rowTypes.Load(row); ok {
		return known.(*rowType) //nolint:forcetypeassert // nothing else is stored
	}
	// GORM's schema is not kept: it takes several times the memory of the part that is used.
	parsed, err := schema.Parse(reflect.New(row).Interface(), new(sync.Map), naming)
	if err != nil {
		panic(err)
	}
	fresh := &rowType{table: parsed.Table, names: columns(strings.Join(parsed.DBNames, " ")), byName: map[string][]int{}}
	for _, name := range parsed.DBNames {
		f := parsed.FieldsByDBName[name]
		unique := f.Unique || f.PrimaryKey && len(parsed.PrimaryFields) == 1
		fresh.columns = append(fresh.columns, rowColumn{name, f.StructField.Index, unique, f.StructField})
		fresh.byName[name] = f.StructField.Index
	}
	rowTypes.Store(row, fresh)
	return fresh
}

// columnsOf lists the columns of a row type, in the order of its fields.
func columnsOf[R any]() columns { return rowTypeOf(reflect.TypeFor[R]()).names }

// valuesOf returns what a row holds, in the order of columnsOf. row is a pointer to
// a struct.
func valuesOf(row any) []any {
	at := reflect.ValueOf(row).Elem()
	known := rowTypeOf(at.Type())
	values := make([]any, len(known.columns))
	for i, column := range known.columns {
		values[i] = at.FieldByIndex(column.place).Interface()
	}
	return values
}

// arraysOf returns the values of each column of the rows, in the order of columnsOf: a
// []string, an []int64 or a [][]byte. Other types of columns have no arrays.
func arraysOf[R any](rows []R) []any {
	known, all := rowTypeOf(reflect.TypeFor[R]()), reflect.ValueOf(rows)
	arrays := make([]any, len(known.columns))
	for i, column := range known.columns {
		switch column.field.Type.Kind() {
		case reflect.Int64:
			arrays[i] = arrayOf(all, column.place, reflect.Value.Int)
		case reflect.Slice:
			arrays[i] = arrayOf(all, column.place, notNull)
		default:
			arrays[i] = arrayOf(all, column.place, reflect.Value.String)
		}
	}
	return arrays
}

// notNull returns the bytes of a blob, which is never NULL.
func notNull(v reflect.Value) []byte {
	if v.Len() == 0 {
		return []byte{}
	}
	return v.Bytes()
}

func arrayOf[V any](rows reflect.Value, place []int, value func(reflect.Value) V) []V {
	values := make([]V, rows.Len())
	for i := range values {
		values[i] = value(rows.Index(i).FieldByIndex(place))
	}
	return values
}

// rowsOf is the inverse of arraysOf: it returns the values of each row.
func rowsOf(arrays []any) [][]any {
	rows := make([][]any, reflect.ValueOf(arrays[0]).Len())
	for i := range rows {
		for _, values := range arrays {
			rows[i] = append(rows[i], reflect.ValueOf(values).Index(i).Interface())
		}
	}
	return rows
}

// insertion returns the statement of a settlement that inserts a row. row is a pointer to a
// struct that names its table.
func insertion(row any) statement {
	known := rowTypeOf(reflect.TypeOf(row).Elem())
	return statement{
		sql:  "INSERT INTO " + known.table + " (" + known.names.list() + ") SELECT " + known.names.marks() + " WHERE " + ifSettled,
		args: valuesOf(row),
	}
}

// placesIn returns the place in row for each of the named columns.
func placesIn(row reflect.Value, names []string) ([]any, error) {
	if row.Kind() != reflect.Struct {
		return []any{&field{row.Addr().Interface()}}, nil
	}
	known := rowTypeOf(row.Type())
	places, wrapped := make([]any, len(names)), make([]field, len(names))
	for i, name := range names {
		index, ok := known.byName[name]
		if !ok {
			return nil, fmt.Errorf("no place for column %q in %s", name, row.Type())
		}
		places[i] = row.FieldByIndex(index).Addr().Interface()
		if _, scanner := places[i].(sql.Scanner); !scanner {
			wrapped[i].at = places[i]
			places[i] = &wrapped[i]
		}
	}
	return places, nil
}

// scan reads all rows and closes them. It does the same as GORM's Scan at a
// fraction of the cost. That matters for the rows of many columns that a sign-in
// reads.
func scan[R any](rows *sql.Rows) (all []R, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var row, empty R
	places, err := placesIn(reflect.ValueOf(&row).Elem(), names)
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		row = empty
		if err := rows.Scan(places...); err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	return all, rows.Err()
}

// field is a place for a column's value: a pointer to a string, a whole number or
// a boolean.
type field struct{ at any }

var _ sql.Scanner = (*field)(nil)

// Scan implements sql.Scanner. NULL, which only a join produces, is the zero
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
		if at, ok := f.at.(*string); ok {
			*at = v
			return nil
		}
	case []byte:
		if at, ok := f.at.(*string); ok {
			*at = string(v)
			return nil
		}
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

func (f *field) mismatch(value any) error {
	return fmt.Errorf("a value of type %T does not fit into %T", value, f.at)
}

// blob is the bytes of a column. It is never NULL, and nil if it is empty.
type blob []byte

// Value implements driver.Valuer.
func (b blob) Value() (driver.Value, error) {
	if b == nil {
		return []byte{}, nil
	}
	return []byte(b), nil
}

// Scan implements sql.Scanner. It copies the bytes, because the driver uses its
// buffer again.
func (b *blob) Scan(value any) error {
	switch v := value.(type) {
	case nil:
		*b = nil
	case []byte:
		*b = append(blob(nil), v...)
	case string:
		*b = append(blob(nil), v...)
	default:
		return fmt.Errorf("a value of type %T does not fit into %T", value, b)
	}
	return nil
}
