package gormstore

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// queryer is a connection or a transaction.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// table is a table of the schema.
type table struct {
	name    string
	columns []column // in the order of their names
}

// column is a column with the kind of its values. The kinds are the same in both
// databases.
type column struct {
	name string
	kind valueKind
}

type valueKind int

const (
	numberKind valueKind = iota + 1
	flagKind             // a boolean; SQLite keeps 0 or 1
	textKind
	bytesKind
)

func kindOfType(name string) (valueKind, error) {
	switch name {
	case "integer", "bigint":
		return numberKind, nil
	case "boolean":
		return flagKind, nil
	case "text":
		return textKind, nil
	case "bytea", "blob":
		return bytesKind, nil
	}
	return 0, fmt.Errorf("columns of type %s cannot be copied", name)
}

// isMomentary reports whether a table holds only the state of the servers that run on one
// database. Such a table is not copied.
func isMomentary(table string) bool {
	return slices.Contains([]string{"goose_db_version", "servers", "config_changes", manifestTable}, table)
}

// copiedTables returns the tables that are copied. A table comes after those that it
// refers to.
func copiedTables(ctx context.Context, q queryer, c copying) ([]table, error) {
	names, err := textRows(ctx, q, 1, c.tables)
	if err != nil {
		return nil, err
	}
	references, err := textRows(ctx, q, 2, c.references)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(names, slices.Compare)
	var ordered []string
	var visit func(name string)
	visit = func(name string) {
		if slices.Contains(ordered, name) || isMomentary(name) {
			return
		}
		for _, r := range references {
			if r[0] == name {
				visit(r[1])
			}
		}
		ordered = append(ordered, name)
	}
	for _, name := range names {
		visit(name[0])
	}
	tables := make([]table, len(ordered))
	for i, name := range ordered {
		if tables[i], err = describeTable(ctx, q, c, name); err != nil {
			return nil, err
		}
	}
	return tables, nil
}

func describeTable(ctx context.Context, q queryer, c copying, name string) (table, error) {
	described, err := textRows(ctx, q, 2, c.columns, name)
	if err != nil {
		return table{}, err
	}
	slices.SortFunc(described, slices.Compare)
	t := table{name: name}
	for _, d := range described {
		kind, err := kindOfType(d[1])
		if err != nil {
			return table{}, fmt.Errorf("table %s, column %s: %w", name, d[0], err)
		}
		t.columns = append(t.columns, column{d[0], kind})
	}
	return t, nil
}

// textRows reads rows of texts.
func textRows(ctx context.Context, q queryer, width int, query string, args ...any) (all [][]string, err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		row, into := make([]string, width), make([]any, width)
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	return all, rows.Err()
}

func (t table) columnList() string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = `"` + c.name + `"`
	}
	return strings.Join(names, ", ")
}

// insert returns a statement that inserts n rows.
func (t table) insert(n int) string {
	row := "(" + marks(len(t.columns)) + ")"
	return `INSERT INTO "` + t.name + `" (` + t.columnList() + ") VALUES " + row + strings.Repeat(", "+row, n-1)
}

// eachRow calls do with the values of every row, in the order of the columns. The
// values are of the same Go types whatever the database. do may keep them.
func (t table) eachRow(ctx context.Context, q queryer, do func(values []any) error) (err error) {
	rows, err := q.QueryContext(ctx, "SELECT "+t.columnList()+` FROM "`+t.name+`"`) //nolint:gosec // names of the schema
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	into := make([]any, len(t.columns))
	for rows.Next() {
		values := make([]any, len(t.columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		for i, c := range t.columns {
			if values[i], err = c.kind.convert(values[i]); err != nil {
				return fmt.Errorf("column %s: %w", c.name, err)
			}
		}
		if err := do(values); err != nil {
			return err
		}
	}
	return rows.Err()
}

// convert returns the value as the type of the kind: int64, bool, string or []byte.
// SQLite keeps a value as the type that was written, and booleans as numbers.
func (k valueKind) convert(value any) (any, error) {
	switch v := value.(type) {
	case nil:
		return nil, nil
	case int64:
		if k == numberKind {
			return v, nil
		}
		if k == flagKind && (v == 0 || v == 1) {
			return v == 1, nil
		}
	case bool:
		if k == flagKind {
			return v, nil
		}
		if k == numberKind {
			return map[bool]int64{true: 1}[v], nil
		}
	case string:
		if k == textKind {
			return v, nil
		}
		if k == bytesKind {
			return []byte(v), nil
		}
	case []byte:
		if k == bytesKind {
			return append([]byte{}, v...), nil // never NULL
		}
		if k == textKind {
			return string(v), nil
		}
	}
	return nil, fmt.Errorf("has a value of the wrong type %T", value)
}

// digest is the digest of the rows of a table in any order: the number of rows and the
// sum of their digests.
type digest struct {
	rows int64
	sum  [4]uint64
}

// add adds a row. Each value is encoded with its type and length, so that no two rows
// look the same.
func (d *digest) add(values []any) {
	var e encoding
	for _, value := range values {
		switch v := value.(type) {
		case int64:
			e = append(e, 'i').number(v)
		case bool:
			e = append(e, 'i').number(map[bool]int64{true: 1}[v])
		case string:
			e = append(e, 't').text(v)
		case []byte:
			e = append(e, 'b').bytes(v)
		default:
			e = append(e, 'n')
		}
	}
	sum := sha256.Sum256(e)
	for i := range d.sum {
		d.sum[i] += binary.BigEndian.Uint64(sum[8*i:])
	}
	d.rows++
}

// String returns the sum in hexadecimal digits.
func (d digest) String() string {
	var b []byte
	for _, part := range d.sum {
		b = binary.BigEndian.AppendUint64(b, part)
	}
	return hex.EncodeToString(b)
}

// digestOf reads all rows of a table.
func (t table) digestOf(ctx context.Context, q queryer) (d digest, err error) {
	err = t.eachRow(ctx, q, func(values []any) error {
		d.add(values)
		return nil
	})
	return d, err
}
