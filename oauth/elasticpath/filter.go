package elasticpath

import (
	"slices"
	"strings"
	"time"

	"latchkey/oauth/surface"
	"latchkey/storage"
)

// Bounds of the parameter filter.
const (
	maxFilters     = 10 // documented
	maxFilterBytes = 4096
	maxOptions     = 50 // of one in()
)

// filter is one condition of the parameter filter: operator(field) or
// operator(field,value).
type filter struct {
	op, field, value string
	hasValue         bool
}

// parseFilters reads the grammar of the parameter filter:
//
//	filters = filter *( ":" filter )
//	filter  = name "(" name [ "," value ] ")"
//	value   = DQUOTE *( any but DQUOTE and "\" / "\" any ) DQUOTE / *any
//
// A value without quotes ends at the first ")" that is followed by another filter or
// by nothing. So times with colons and names with brackets need no quotes.
func parseFilters(text string) ([]filter, bool) {
	if len(text) > maxFilterBytes || !surface.IsPlainText(text) {
		return nil, false
	}
	var all []filter
	for rest := text; ; {
		f, left, ok := parseFilter(rest)
		if !ok || len(all) == maxFilters {
			return nil, false
		}
		all = append(all, f)
		if left == "" {
			return all, true
		}
		rest = left[1:] // the colon
	}
}

// parseFilter reads the first filter of text. left is the rest: empty, or the colon
// and the next filter.
func parseFilter(text string) (f filter, left string, ok bool) {
	op, rest, ok := strings.Cut(text, "(")
	if !ok || !isName(op) {
		return f, "", false
	}
	end := strings.IndexAny(rest, ",)")
	if end < 0 || !isName(rest[:end]) {
		return f, "", false
	}
	f = filter{op: op, field: rest[:end]}
	if rest[end] == ')' {
		left = rest[end+1:]
		return f, left, left == "" || left[0] == ':'
	}
	f.hasValue = true
	f.value, left, ok = parseValue(rest[end+1:])
	return f, left, ok
}

func parseValue(text string) (value, left string, ok bool) {
	if strings.HasPrefix(text, `"`) {
		return parseQuoted(text[1:])
	}
	for i := range len(text) {
		if text[i] == ')' && endsFilter(text[i+1:]) {
			return text[:i], text[i+1:], true
		}
	}
	return "", "", false
}

// endsFilter reports whether the text after a ")" is empty or begins another filter.
func endsFilter(after string) bool {
	if after == "" {
		return true
	}
	op, _, more := strings.Cut(after, "(")
	return more && op[0:min(1, len(op))] == ":" && isName(op[1:])
}

func parseQuoted(text string) (value, left string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			if i++; i == len(text) {
				return "", "", false
			}
			b.WriteByte(text[i])
		case '"':
			left, ok = strings.CutPrefix(text[i+1:], ")")
			return b.String(), left, ok && (left == "" || left[0] == ':')
		default:
			b.WriteByte(text[i])
		}
	}
	return "", "", false
}

// isName reports whether s can be an operator or a field.
func isName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return (r < 'a' || r > 'z') && r != '_' })
}

// filterable is a field that a list can be filtered by.
type filterable struct {
	record string // its name in a storage.Query
	ops    string // the operators it takes, separated by spaces
	fold   bool   // eq ignores letter case
	time   bool   // its values are times
}

// condition translates a filter. ok is false if the field does not have the operator
// or the value is wrong.
func (f filterable) condition(x filter) (condition storage.Condition, ok bool) {
	c := storage.Condition{Fields: []string{f.record}}
	if !slices.Contains(strings.Fields(f.ops), x.op) || x.hasValue == (x.op == "is_null") {
		return c, false
	}
	values := []string{x.value}
	if x.op == "in" {
		values = strings.Split(x.value, ",")
	}
	if len(values) > maxOptions {
		return c, false
	}
	for _, v := range values {
		if f.time {
			at, err := time.Parse(time.RFC3339Nano, v)
			if err != nil {
				return c, false
			}
			v = at.UTC().Format(time.RFC3339Nano)
		}
		c.Tests = append(c.Tests, storage.Test{Op: f.operator(x.op), Value: v})
	}
	return c, true
}

func (f filterable) operator(name string) storage.Op {
	switch name {
	case "like":
		return storage.OpLike
	case "ilike":
		return storage.OpLikeFold
	case "lt":
		return storage.OpLess
	case "le":
		return storage.OpLessOrEqual
	case "gt":
		return storage.OpGreater
	case "ge":
		return storage.OpGreaterOrEqual
	case "is_null":
		return storage.OpEmpty
	}
	if f.fold {
		return storage.OpEqualFold
	}
	return storage.OpEqual
}
