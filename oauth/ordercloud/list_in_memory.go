package ordercloud

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"latchkey/storage"
)

// queryInMemory returns the page of all that q selects, for records that are few enough to
// be in memory. value returns a field of a record as text, times as in RFC 3339. The error
// is storage.ErrQuery if the page key is of another list.
func queryInMemory[R any](q storage.Query, all []R, value func(r R, field string) string) (storage.Page[R], error) {
	found := slices.DeleteFunc(slices.Clone(all), func(r R) bool {
		return slices.ContainsFunc(q.Where, func(c storage.Condition) bool { return !holds(c, func(f string) string { return value(r, f) }) })
	})
	slices.SortStableFunc(found, func(a, b R) int {
		for _, by := range q.Sort {
			if order := compareText(value(a, by.Field), value(b, by.Field)); order != 0 && by.Descending {
				return -order
			} else if order != 0 {
				return order
			}
		}
		return 0
	})
	from := q.Offset
	if q.After != "" { // the number of records before the page
		var err error
		if from, err = strconv.Atoi(q.After); err != nil || from < 0 {
			return storage.Page[R]{}, fmt.Errorf("the page key belongs to another list: %w", storage.ErrQuery)
		}
	}
	page := storage.Page[R]{Total: len(found), Offset: from}
	if from < len(found) {
		page.Items = found[from:min(from+q.Limit, len(found))]
	}
	if end := from + len(page.Items); end < page.Total && len(page.Items) > 0 {
		page.Next = strconv.Itoa(end)
	}
	return page, nil
}

func holds(c storage.Condition, value func(field string) string) bool {
	for _, field := range c.Fields {
		for _, test := range c.Tests {
			if passes(test, value(field)) != test.Not {
				return true
			}
		}
	}
	return false
}

// passes reports whether the value passes the test. It ignores Test.Not.
func passes(t storage.Test, value string) bool {
	switch t.Op {
	case storage.OpEqual:
		return compareText(value, t.Value) == 0
	case storage.OpEqualFold:
		return strings.EqualFold(value, t.Value)
	case storage.OpLike:
		return like(value, t.Value)
	case storage.OpLikeFold:
		return like(strings.ToLower(value), strings.ToLower(t.Value))
	case storage.OpEmpty:
		return value == ""
	case storage.OpLess:
		return value != "" && compareText(value, t.Value) < 0
	case storage.OpLessOrEqual:
		return value != "" && compareText(value, t.Value) <= 0
	case storage.OpGreater:
		return value != "" && compareText(value, t.Value) > 0
	case storage.OpGreaterOrEqual:
		return value != "" && compareText(value, t.Value) >= 0
	}
	return false
}

// compareText compares two times of RFC 3339 as times, and other values as text.
func compareText(a, b string) int {
	x, errX := time.Parse(time.RFC3339Nano, a)
	y, errY := time.Parse(time.RFC3339Nano, b)
	if errX == nil && errY == nil {
		return x.Compare(y)
	}
	return strings.Compare(a, b)
}

// like matches a pattern in which an asterisk stands for any text.
func like(text, pattern string) bool {
	parts := strings.Split(pattern, "*")
	first, last := parts[0], parts[len(parts)-1]
	if len(parts) == 1 {
		return text == pattern
	}
	if len(text) < len(first)+len(last) || !strings.HasPrefix(text, first) || !strings.HasSuffix(text, last) {
		return false
	}
	text = text[len(first) : len(text)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		_, after, found := strings.Cut(text, part)
		if !found {
			return false
		}
		text = after
	}
	return true
}

// timeText returns a time as queryInMemory compares it, or "" for the zero time.
func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
