package storetest

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/storage"
)

// listTest tests a List method. It compares the results with a simple evaluation of the query
// over all records.
type listTest struct {
	name   string
	fields []string
	list   func(q storage.Query) (storage.Page[any], error)
	value  func(record any, field string) any
}

// newListTest returns a listTest of a List method. Fields are looked up in the record by
// name, and otherwise in its field root.
func newListTest[R any](name, root, fields string, list func(storage.Query) (storage.Page[R], error)) listTest {
	return listTest{
		name: name, fields: strings.Fields(fields),
		list: func(q storage.Query) (storage.Page[any], error) {
			got, err := list(q)
			var items []any
			for _, item := range got.Items {
				items = append(items, item)
			}
			return storage.WithItems(got, items), err
		},
		value: func(record any, field string) any { return member(reflect.ValueOf(record), root, field) },
	}
}

// member returns the value of a field of a record as a string, bool, int64, Time or
// Duration.
func member(record reflect.Value, root, field string) any {
	name, rest, nested := strings.Cut(field, ".")
	at := record.FieldByName(name)
	switch {
	case field == "Name" && record.Type() == reflect.TypeFor[storage.User]():
		return fullName(record.Interface().(storage.User)) //nolint:forcetypeassert // just seen
	case !at.IsValid() && root != "":
		if root == "User" && field == "Username" {
			return usernameOf(record.Interface().(storage.UserLogin)) //nolint:forcetypeassert // the only such
		}
		return member(record.FieldByName(root), "", field)
	case nested:
		return member(at, "", rest)
	}
	switch v := at.Interface().(type) {
	case time.Time, time.Duration, bool:
		return v
	}
	if at.Kind() == reflect.String {
		return at.String()
	}
	return at.Int()
}

// missing is the username of a user without a login. It sorts like an empty one.
const missing = "\x00"

func usernameOf(u storage.UserLogin) string {
	if u.Login.ID == "" {
		return missing
	}
	return u.Login.Username
}

func fullName(u storage.User) string {
	if u.Name != "" {
		return u.Name
	}
	return strings.Trim(u.FirstName+" "+u.LastName, " ")
}

// text returns a value in the format of Test.Value.
func text(value any) string {
	switch v := value.(type) {
	case time.Time:
		return v.Format(time.RFC3339Nano)
	case bool:
		return strconv.FormatBool(v)
	}
	return fmt.Sprint(value)
}

// compared compares two values of a field, like cmp.Compare.
func compared(a, b any) int {
	switch a := a.(type) {
	case string:
		other := b.(string) //nolint:forcetypeassert // of one field
		return strings.Compare(strings.TrimPrefix(a, missing), strings.TrimPrefix(other, missing))
	case time.Time:
		return a.Compare(b.(time.Time)) //nolint:forcetypeassert // of one field
	case time.Duration:
		return int(a - b.(time.Duration)) //nolint:forcetypeassert // of one field
	case int64:
		return int(a - b.(int64)) //nolint:forcetypeassert // of one field
	case bool:
		return strings.Compare(strconv.FormatBool(a), text(b))
	}
	panic(fmt.Sprintf("a field of type %T", a))
}

// holds reports whether a Test holds for a value.
func holds(t storage.Test, value, operand any) bool {
	if unset(value) {
		return (t.Op == storage.OpEmpty) != t.Not
	}
	is := false
	switch t.Op {
	case storage.OpEqual:
		is = compared(value, operand) == 0
	case storage.OpEqualFold:
		is = lower(text(value)) == lower(t.Value)
	case storage.OpLike:
		is = pattern(t.Value).MatchString(text(value))
	case storage.OpLikeFold:
		is = pattern(lower(t.Value)).MatchString(lower(text(value)))
	case storage.OpLess:
		is = compared(value, operand) < 0
	case storage.OpLessOrEqual:
		is = compared(value, operand) <= 0
	case storage.OpGreater:
		is = compared(value, operand) > 0
	case storage.OpGreaterOrEqual:
		is = compared(value, operand) >= 0
	case storage.OpEmpty:
		is = value == ""
	}
	return is != t.Not
}

// unset reports whether a record has no value for the field.
func unset(value any) bool {
	at, isTime := value.(time.Time)
	return isTime && at.IsZero() || value == missing
}

func lower(s string) string {
	return regexp.MustCompile(`[A-Z]`).ReplaceAllStringFunc(s, strings.ToLower)
}

func pattern(p string) *regexp.Regexp {
	parts := strings.Split(p, "*")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile(`^(?s:` + strings.Join(parts, ".*") + `)$`)
}

// all returns the records of the list in the default order.
func (l *listTest) all(t *testing.T) []any {
	t.Helper()
	page := must(l.list(storage.Query{Limit: 1000}))(t)
	if page.Total != len(page.Items) || page.Total < 2 {
		t.Fatalf("%s: got %d items of %d, want all and at least 2", l.name, len(page.Items), page.Total)
	}
	return page.Items
}

// operators returns all operators for values of that type.
func operators(value any) []storage.Op {
	switch value.(type) {
	case string:
		return []storage.Op{
			storage.OpEqual, storage.OpEqualFold, storage.OpLike, storage.OpLikeFold, storage.OpLess,
			storage.OpLessOrEqual, storage.OpGreater, storage.OpGreaterOrEqual, storage.OpEmpty,
		}
	case bool:
		return []storage.Op{storage.OpEqual, storage.OpEqualFold, storage.OpEmpty}
	}
	return []storage.Op{
		storage.OpEqual, storage.OpLess, storage.OpLessOrEqual, storage.OpGreater, storage.OpGreaterOrEqual, storage.OpEmpty,
	}
}

// filters tests a few operators with a value of each field.
func (l *listTest) filters(t *testing.T) {
	records := l.all(t)
	for _, field := range l.fields {
		operand := l.values(records, field)[0]
		tried := operators(operand)
		if _, isText := operand.(string); isText {
			tried = []storage.Op{storage.OpEqualFold, storage.OpGreater}
		}
		for i, op := range tried {
			l.filter(t, records, field, storage.Test{Op: op, Value: text(operand), Not: i%2 == 1}, operand)
		}
	}
}

// textFilters tests every operator of a text field with its values, with parts of them,
// and with text that may be mistaken for a pattern or for SQL.
func (l *listTest) textFilters(t *testing.T, field string) {
	records := l.all(t)
	operands := []any{"*", "**", "", "%", "[a-z]*", "[^a]*", "?*", `\`, `\*`, "*'*", "' OR ''='", "\n"}
	for i, v := range l.values(records, field) {
		s := v.(string) //nolint:forcetypeassert // fields of text
		operands = append(operands, v, []any{"*" + s[len(s)/2:], s[:len(s)/2] + "*", "_" + s}[i%3])
	}
	for i, operand := range operands {
		for _, op := range operators(operand) {
			value := text(operand)
			if upper := strings.ToUpper(value); (op == storage.OpEqualFold || op == storage.OpLikeFold) && lower(upper) == lower(value) {
				value = upper
			}
			l.filter(t, records, field, storage.Test{Op: op, Value: value, Not: (i+int(op))%2 == 1}, operand)
		}
	}
}

// values returns the values of the field that a Test can contain.
func (l *listTest) values(records []any, field string) (values []any) {
	for _, r := range records {
		if v := l.value(r, field); !unset(v) && !slices.Contains(values, v) {
			values = append(values, v)
		}
	}
	return values
}

func (l *listTest) filter(t *testing.T, records []any, field string, test storage.Test, operand any) {
	t.Helper()
	var want []any
	for _, r := range records {
		if holds(test, l.value(r, field), operand) {
			want = append(want, r)
		}
	}
	page, err := l.list(storage.Query{
		Where: []storage.Condition{{Fields: []string{field}, Tests: []storage.Test{test}}}, Limit: 1000,
	})
	if err != nil {
		t.Errorf("%s with %s %+v: got error %v", l.name, field, test, err)
		return
	}
	if page.Total != len(want) || !reflect.DeepEqual(page.Items, want) {
		t.Errorf("%s with %s %+v: %d of %d, want %d (-want +got):\n%s",
			l.name, field, test, len(page.Items), page.Total, len(want), cmp.Diff(want, page.Items))
	}
}

// sorts tests sorting by each field in both directions, and in pages.
func (l *listTest) sorts(t *testing.T) {
	records := l.all(t)
	for _, field := range l.fields {
		var up []any
		for _, descending := range []bool{false, true} {
			if descending && strings.Contains(field, ".") {
				continue // field of a joined table; other fields cover both directions
			}
			sort := []storage.Order{{Field: field, Descending: descending}}
			got := must(l.list(storage.Query{Sort: sort, Limit: 1000}))(t).Items
			if len(got) != len(records) {
				t.Errorf("%s by %s: got %d of %d records", l.name, field, len(got), len(records))
			}
			sorted := slices.IsSortedFunc(got, func(a, b any) int {
				if descending {
					a, b = b, a
				}
				return compared(l.value(a, field), l.value(b, field))
			})
			if !sorted {
				t.Errorf("%s by %s, descending %v, is not sorted", l.name, field, descending)
			}
			if pages := l.byKeys(t, sort, 7); !reflect.DeepEqual(got, pages) {
				t.Errorf("%s by %s, descending %v, by page keys (-one +pages):\n%s", l.name, field, descending, cmp.Diff(got, pages))
			}
			if descending {
				slices.Reverse(got)
				if !reflect.DeepEqual(up, got) {
					t.Errorf("%s by %s, descending, is not the reverse:\n%s", l.name, field, cmp.Diff(up, got))
				}
			} else if pages := l.inPages(t, sort, 8); !reflect.DeepEqual(got, pages) {
				t.Errorf("%s by %s in pages (-one +pages):\n%s", l.name, field, cmp.Diff(got, pages))
			}
			up = got
		}
	}
}

// inPages reads a list in pages, and one page beyond its end.
func (l *listTest) inPages(t *testing.T, sort []storage.Order, size int) (items []any) {
	t.Helper()
	for offset := 0; ; offset += size {
		page := must(l.list(storage.Query{Sort: sort, Offset: offset, Limit: size}))(t)
		items = append(items, page.Items...)
		if want := min(size, max(0, page.Total-offset)); len(page.Items) != want {
			t.Fatalf("%s from %d: got %d of %d, want %d", l.name, offset, len(page.Items), page.Total, want)
		}
		if offset > page.Total {
			return items
		}
	}
}

// byKeys reads a list in pages, each by the key of the one before.
func (l *listTest) byKeys(t *testing.T, sort []storage.Order, size int) (items []any) {
	t.Helper()
	for key, first := "", true; first || key != ""; first = false {
		page := must(l.list(storage.Query{Sort: sort, After: key, Limit: size}))(t)
		if page.Offset != len(items) {
			t.Fatalf("%s: a page begins after %d records, want %d", l.name, page.Offset, len(items))
		}
		items, key = append(items, page.Items...), page.Next
		if last := len(items) == page.Total; last != (key == "") || len(page.Items) != min(size, page.Total-page.Offset) {
			t.Fatalf("%s from %d: %d of %d records, next key %q", l.name, page.Offset, len(page.Items), page.Total, key)
		}
	}
	return items
}
