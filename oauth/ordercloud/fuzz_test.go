package ordercloud

import (
	"slices"
	"testing"
	"time"

	"latchkey/storage"
)

// FuzzListQuery tests that parameters of lists give a query with existing fields and a page
// that can exist, or an error.
func FuzzListQuery(f *testing.F) {
	for _, seed := range []string{
		"", "page=2&pageSize=100&sortBy=!Name,ID", "search=a*b&searchOn=Name", "Name=a|b*&Age=>3", "Name=!*", "Active=true|false",
		"sortBy=", "page=0", "pageSize=1e9", "Name=%00", "Name=%ff", "xp.a=1", "At=<2030-01-02T03:04:05Z", "page=9223372036854775807", "Age=!!1", "a=%",
	} {
		f.Add(seed)
	}
	list := text("ID", "Name").with("Age", "Years", minutesField).with("Active", "Active", otherField).with("At", "CreatedAt", timeField)
	records := []string{"ID", "Name", "Years", "Active", "CreatedAt"}
	f.Fuzz(func(t *testing.T, query string) {
		c, err := listCall(query)
		if err != nil {
			return
		}
		q, err := c.query(list, []string{"ID", "Name"})
		if err != nil {
			if answer := answerTo(err, time.Now()); answer.status < 400 || answer.status > 499 {
				t.Errorf("%q: got %v, want a 4xx status", query, err)
			}
			return
		}
		if q.Limit < 1 || q.Limit > maxPageSize || q.Offset < 0 || q.Offset%q.Limit != 0 || q.Offset/q.Limit >= maxPage {
			t.Errorf("%q: got the offset %d and the limit %d", query, q.Offset, q.Limit)
		}
		for _, o := range q.Sort {
			if !slices.Contains(records, o.Field) {
				t.Errorf("%q: got the order %q, want a field of the list", query, o.Field)
			}
		}
		checkConditions(t, query, q.Where, records)
	})
}

func checkConditions(t *testing.T, query string, where []storage.Condition, records []string) {
	t.Helper()
	for _, c := range where {
		if len(c.Fields) == 0 || len(c.Tests) == 0 {
			t.Errorf("%q: got the condition %+v", query, c)
		}
		for _, name := range c.Fields {
			if !slices.Contains(records, name) {
				t.Errorf("%q: got a filter by %q, want a field of the list", query, name)
			}
		}
	}
}
