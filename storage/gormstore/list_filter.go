package gormstore

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"latchkey/storage"
)

// Limits of compared values and of paths into the administrator's own data.
const (
	maxValue = 2000 // bytes
	maxPath  = 10   // names
	maxName  = 100  // bytes of a name in a path
)

// attributeKind is the type of a field of a list.
type attributeKind int

const (
	textual  attributeKind = iota
	foldable               // text with an index on its lower-case form
	logical
	numeric
	instantly // a time that every record has
	someday   // a time that may be zero: "never" or "not yet"
	lasting   // a duration, in Go's notation
	free      // the administrator's own data; a field is a path into it
)

// attribute is a field of a list.
type attribute struct {
	kind   attributeKind
	sql    string // its value, not NULL
	within string // a condition on records with %s for the condition on sql; empty: only that
	sort   string // the expression to sort by; empty: sql
	path   []string
	joined bool // the condition needs the list's joins
	unique bool // no two records of the list share its value
}

// fields are the fields of a list by name.
type fields map[string]attribute

// find returns the field of that name. "XP.a.b" is the member b of the member a
// of the field XP.
func (f fields) find(name string) (attribute, error) {
	before, path, isPath := strings.Cut("."+name, ".XP.")
	if isPath {
		name := strings.TrimPrefix(before+".XP", ".")
		a, known := f[name]
		if a.path = strings.Split(path, "."); known && validPath(a.path) {
			return a, nil
		}
	} else if a, known := f[name]; known && a.kind != free {
		return a, nil
	}
	return attribute{}, fmt.Errorf("no field %.200q: %w", name, storage.ErrQuery)
}

func validPath(path []string) bool {
	for _, name := range path {
		if name == "" || len(name) > maxName || strings.Trim(name, pathLetters) != "" {
			return false
		}
	}
	return len(path) <= maxPath
}

const pathLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

// condition requires that one of the tests holds for one of the fields. joined
// reports whether that needs the list's joins.
func (f fields) condition(d dialect, c storage.Condition) (_ statement, joined bool, err error) {
	either := []statement{{sql: "FALSE"}}
	for _, name := range c.Fields {
		a, err := f.find(name)
		if err != nil {
			return statement{}, false, err
		}
		for _, test := range c.Tests {
			one, err := a.test(d, test)
			if err != nil {
				return statement{}, false, fmt.Errorf("field %q: %w", name, err)
			}
			either, joined = append(either, one), joined || a.joined
		}
	}
	if len(either) > 1 {
		either = either[1:]
	}
	one := combine(" OR ", either)
	one.sql = "(" + one.sql + ")"
	return one, joined, nil
}

// test returns a comparison that is true or false, never NULL.
func (a attribute) test(d dialect, t storage.Test) (statement, error) {
	is, err := a.compare(d, t)
	if err != nil {
		return statement{}, err
	}
	negated := t.Not
	if a.within != "" {
		if t.Op == storage.OpEmpty { // empty: within selects no record with a value
			is.sql, negated = "("+is.sql+") IS NOT TRUE", !negated
		}
		is.sql = strings.Replace(a.within, "%s", "("+is.sql+")", 1)
	}
	if negated {
		is.sql = "(" + is.sql + ") IS NOT TRUE"
	} else {
		is.sql = "(" + is.sql + ")"
	}
	return is, nil
}

func (a attribute) compare(d dialect, t storage.Test) (statement, error) {
	if err := storableValue(t.Value); err != nil {
		return statement{}, err
	}
	switch a.kind {
	case logical:
		return a.compareLogical(t)
	case numeric, instantly, someday, lasting:
		return a.compareNumber(t)
	case free:
		return a.compareFree(d, t)
	case textual, foldable:
	}
	return compareText(d, statement{sql: d.bytewise(a.sql)}, a.kind == foldable, t)
}

// storableValue returns an error for a value that no record can hold. PostgreSQL would
// refuse it as a parameter.
func storableValue(value string) error {
	if len(value) > maxValue || strings.IndexByte(value, 0) >= 0 || !utf8.ValidString(value) {
		return fmt.Errorf("value is not text of at most %d bytes: %w", maxValue, storage.ErrQuery)
	}
	return nil
}

// relation returns the SQL of a comparison operator such as <, and "" for operators that do
// not order values.
func relation(op storage.Op) string {
	switch op {
	case storage.OpLess:
		return " < "
	case storage.OpLessOrEqual:
		return " <= "
	case storage.OpGreater:
		return " > "
	case storage.OpGreaterOrEqual:
		return " >= "
	case storage.OpEqual, storage.OpEqualFold, storage.OpLike, storage.OpLikeFold, storage.OpEmpty:
	}
	return ""
}

// compareText compares bytes. With an index on the lower-case form, that index finds
// equal texts.
func compareText(d dialect, text statement, indexed bool, t storage.Test) (statement, error) {
	folded := statement{sql: "lower(" + text.sql + ")", args: text.args}
	switch t.Op {
	case storage.OpEqual:
		same := text.with(" = ?", t.Value)
		if indexed {
			same = combine(" AND ", []statement{folded.with(" = ?", fold(t.Value)), same})
		}
		return same, nil
	case storage.OpEqualFold:
		if !isASCII(t.Value) {
			return d.likeAny(text, eachCase(t.Value, false)), nil
		}
		return folded.with(" = ?", fold(t.Value)), nil
	case storage.OpLike:
		return d.like(text, t.Value), nil
	case storage.OpLikeFold:
		same := d.like(folded, fold(t.Value))
		if !isASCII(t.Value) {
			same = d.likeAny(text, eachCase(t.Value, true))
		}
		begin := beginning(t.Value)
		if !indexed || begin == "" {
			return same, nil
		}
		within := []statement{folded.with(" >= ?", begin), folded.with(" < ?", following(begin))}
		if fold(t.Value) != begin+"*" {
			within = append(within, same)
		}
		return combine(" AND ", within), nil
	case storage.OpEmpty:
		return text.with(" = ''"), nil
	case storage.OpLess, storage.OpLessOrEqual, storage.OpGreater, storage.OpGreaterOrEqual:
		return text.with(relation(t.Op)+"?", t.Value), nil
	}
	return statement{}, fmt.Errorf("operator %d: %w", t.Op, storage.ErrQuery)
}

// fold returns what lower() does with text on both databases: only ASCII letters
// change.
func fold(text string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, text)
}

// beginning returns the longest ASCII text, in lower case, with which every match of the
// pattern begins. A non-ASCII letter that folds to ASCII, such as the Kelvin sign, matches
// only patterns that contain non-ASCII letters.
func beginning(pattern string) string {
	ends := func(r rune) bool { return r == '*' || r >= utf8.RuneSelf-1 }
	if !isASCII(pattern) {
		ends = func(r rune) bool { return r == '*' || r >= utf8.RuneSelf-1 || strings.ContainsRune("KkSs", r) }
	}
	if i := strings.IndexFunc(pattern, ends); i >= 0 {
		pattern = pattern[:i]
	}
	return fold(pattern)
}

// following returns the first ASCII text that sorts after all texts with the prefix text.
func following(text string) string {
	last := len(text) - 1
	return text[:last] + string(rune(text[last]+1))
}

func isASCII(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf })
}

// eachCase returns a pattern for likeAny that matches text whatever the case of
// its letters is, by Unicode's simple case folding. Neither database folds
// letters beyond ASCII in the same way everywhere. An asterisk is any text if
// wild is true.
func eachCase(text string, wild bool) []string {
	var pattern []string
	for _, r := range text {
		if r == '*' && wild {
			pattern = append(pattern, "")
			continue
		}
		either := string(r)
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			either += string(other)
		}
		pattern = append(pattern, either)
	}
	return pattern
}

func (a attribute) compareLogical(t storage.Test) (statement, error) {
	switch {
	case t.Op == storage.OpEmpty:
		return statement{sql: "FALSE"}, nil
	case t.Op != storage.OpEqual && t.Op != storage.OpEqualFold:
	case strings.EqualFold(t.Value, "true"):
		return statement{sql: a.sql}, nil
	case strings.EqualFold(t.Value, "false"):
		return statement{sql: "NOT " + a.sql}, nil
	}
	return statement{}, fmt.Errorf("it can only equal true or false: %w", storage.ErrQuery)
}

// compareNumber compares numbers, times and durations. No comparison with a zero time
// is true.
func (a attribute) compareNumber(t storage.Test) (statement, error) {
	left := a.sql
	if t.Op == storage.OpEmpty {
		if a.kind == someday {
			return statement{sql: left + " = 0"}, nil
		}
		return statement{sql: "FALSE"}, nil
	}
	n, err := a.number(t.Value)
	if err != nil {
		return statement{}, err
	}
	if a.kind == someday {
		left = "NULLIF(" + left + ", 0)"
	}
	is := relation(t.Op)
	if t.Op == storage.OpEqual || t.Op == storage.OpEqualFold {
		is = " = "
	}
	if is == "" {
		return statement{}, fmt.Errorf("it is not text: %w", storage.ErrQuery)
	}
	return statement{sql: left + is + "CAST(? AS BIGINT)", args: []any{n}}, nil
}

func (a attribute) number(value string) (n int64, err error) {
	switch a.kind {
	case numeric:
		if n, err = strconv.ParseInt(value, 10, 64); err != nil {
			return 0, fmt.Errorf("not a whole number: %w", storage.ErrQuery)
		}
	case lasting:
		d, err := time.ParseDuration(value)
		if err != nil {
			return 0, fmt.Errorf("not a duration: %w", storage.ErrQuery)
		}
		n = d.Microseconds()
	default:
		at, err := time.Parse(time.RFC3339Nano, value)
		if err != nil {
			return 0, fmt.Errorf("not a time of RFC 3339: %w", storage.ErrQuery)
		}
		n = micros(at)
	}
	return n, nil
}

// compareFree compares a member of the administrator's own data: a number as a
// number, true and false as these words. Lists, objects, null and missing members
// have no value.
func (a attribute) compareFree(d dialect, t storage.Test) (statement, error) {
	text, number := d.member(a.sql, a.path)
	if t.Op == storage.OpEmpty {
		return combine(" AND ", []statement{
			{sql: "COALESCE(" + text.sql + ", '') = ''", args: text.args}, number.with(" IS NULL"),
		}), nil
	}
	value, isNumber := parseNumber(t.Value)
	if isNumber && relation(t.Op) != "" {
		operand := d.number(value)
		return number.with(relation(t.Op)+operand.sql, operand.args...), nil
	}
	is, err := compareText(d, text, false, t)
	if err == nil && isNumber && (t.Op == storage.OpEqual || t.Op == storage.OpEqualFold) {
		operand := d.number(value)
		is = combine(" OR ", []statement{is, number.with(" = "+operand.sql, operand.args...)})
	}
	return is, err
}

// parseNumber reads a number of JSON, as a whole number or with the precision of a
// float.
func parseNumber(value string) (json.Number, bool) {
	if value == "" || strings.Trim(value[:1], "-0123456789") != "" || !json.Valid([]byte(value)) {
		return "", false
	}
	if n, err := strconv.ParseInt(value, 10, 64); err == nil {
		return json.Number(strconv.FormatInt(n, 10)), true
	}
	f, err := strconv.ParseFloat(value, 64)
	return json.Number(strconv.FormatFloat(f, 'g', -1, 64)), err == nil
}

// terms returns the order by a field. Free data without a value comes first, then
// numbers, then text.
func (a attribute) terms(d dialect, descending bool) []term {
	by := a.sql
	if a.sort != "" {
		by = a.sort
	}
	switch a.kind {
	case free:
		text, number := d.member(a.sql, a.path)
		return []term{
			{statement: text, descending: descending, nullable: true},
			{statement: number, kind: free, descending: descending, nullable: true},
		}
	case textual, foldable:
		by = d.bytewise(by)
	case logical, numeric, instantly, someday, lasting:
	}
	return []term{{statement: statement{sql: by}, kind: a.kind, descending: descending}}
}
