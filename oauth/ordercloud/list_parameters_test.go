package ordercloud

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/oauth/surface"
	"latchkey/storage"
)

func testFields() fields {
	return text("ID", "Name").with("Active", "Active", otherField).with("DateCreated", "CreatedAt", timeField).
		with("Minutes", "TTL", minutesField).with("xp", "XP", textField)
}

func on(field string, tests ...storage.Test) storage.Condition {
	return storage.Condition{Fields: []string{field}, Tests: tests}
}

// listCall returns the call of a GET request for a list.
func listCall(query string) (*call, error) {
	request := httptest.NewRequest("GET", "/v1/x", nil)
	request.URL.RawQuery = query
	c := &call{Request: request, api: &API{cfg: Config{Runtime: surface.Runtime{TraceID: func(context.Context) string { return "" }}}}}
	var err error
	c.values, err = surface.ReadQuery(request, nil)
	return c, err
}

func listQuery(query string, f fields, searched ...string) (storage.Query, error) {
	c, err := listCall(query)
	if err != nil {
		return storage.Query{}, err
	}
	return c.query(f, searched)
}

func TestListFilters(t *testing.T) {
	t.Parallel()
	fold, like := storage.OpEqualFold, storage.OpLikeFold
	tests := map[string][]storage.Condition{
		"Name=a":       {on("Name", storage.Test{Op: fold, Value: "a"})},
		"name=A":       {on("Name", storage.Test{Op: fold, Value: "A"})}, // field names ignore case
		"Name=a|b*|!c": {on("Name", storage.Test{Op: fold, Value: "c", Not: true}), on("Name", storage.Test{Op: fold, Value: "a"}, storage.Test{Op: like, Value: "b*"})},
		// Negated alternatives apply together: a value that is neither a nor b.
		"Name=!a|!b":                {on("Name", storage.Test{Op: fold, Value: "a", Not: true}), on("Name", storage.Test{Op: fold, Value: "b", Not: true})},
		"Name=a&Name=b":             {on("Name", storage.Test{Op: fold, Value: "a"}), on("Name", storage.Test{Op: fold, Value: "b"})},
		"Name=*":                    {on("Name", storage.Test{Op: storage.OpEmpty, Not: true})},
		"Name=!*":                   {on("Name", storage.Test{Op: storage.OpEmpty})},
		"Name=%3Cm":                 {on("Name", storage.Test{Op: storage.OpLess, Value: "m"})},
		"Name=%3C%3Dm":              {on("Name", storage.Test{Op: storage.OpLessOrEqual, Value: "m"})},
		"Name=%3Em":                 {on("Name", storage.Test{Op: storage.OpGreater, Value: "m"})},
		"Name=!%3E%3D%3Em":          {on("Name", storage.Test{Op: storage.OpGreaterOrEqual, Value: ">m", Not: true})},
		"Active=true":               {on("Active", storage.Test{Op: storage.OpEqual, Value: "true"})},
		"Minutes=%3E15":             {on("TTL", storage.Test{Op: storage.OpGreater, Value: "15m"})},
		"DateCreated=!*":            {on("CreatedAt", storage.Test{Op: storage.OpEmpty})},
		"DateCreated=%3E2026-03-01": {on("CreatedAt", storage.Test{Op: storage.OpGreater, Value: "2026-03-01T00:00:00Z"})},
		"DateCreated=2026-03-01T02:00:00%2B01:00": {on("CreatedAt", storage.Test{Op: storage.OpEqual, Value: "2026-03-01T01:00:00Z"})},
		"xp.a.B=!x":                   {on("XP.a.B", storage.Test{Op: fold, Value: "x", Not: true})},
		"search=50*&searchOn=Name,ID": {{Fields: []string{"Name", "ID"}, Tests: []storage.Test{{Op: like, Value: "*50*"}}}},
		"search=x":                    {{Fields: []string{"ID"}, Tests: []storage.Test{{Op: like, Value: "*x*"}}}},
		"search=x&searchType=AnyTerm": {{Fields: []string{"ID"}, Tests: []storage.Test{{Op: like, Value: "*x*"}}}},
		"":                            nil,
	}
	for query, want := range tests {
		got, err := listQuery(query, testFields(), "ID")
		if diff := cmp.Diff(want, got.Where); err != nil || diff != "" {
			t.Errorf("%s: error %v\n(-want +got):\n%s", query, err, diff)
		}
	}
}

func TestListOrderAndPages(t *testing.T) {
	t.Parallel()
	tests := map[string]storage.Query{
		"":                               {Limit: 20},
		"page=3&pageSize=7":              {Offset: 14, Limit: 7},
		"pageSize=100":                   {Limit: 100},
		"sortBy=Name,!xp.rank,!id":       {Limit: 20, Sort: []storage.Order{{Field: "Name"}, {Field: "XP.rank", Descending: true}, {Field: "ID", Descending: true}}},
		"sortBy=!DateCreated&page=":      {Limit: 20, Sort: []storage.Order{{Field: "CreatedAt", Descending: true}}},
		"sortBy=, ,&search=&searchOn=no": {Limit: 20},
		"depth=all&page=2":               {Offset: 20, Limit: 20},
		"page=1000000&pageSize=100&a=":   {Offset: 99_999_900, Limit: 100},
	}
	for query, want := range tests {
		got, err := listQuery(strings.ReplaceAll(query, " ", "%20"), testFields(), "ID")
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: error %v\n(-want +got):\n%s", query, err, diff)
		}
	}
}

func TestListFaults(t *testing.T) {
	t.Parallel()
	var alternatives, filters []string
	for i := range 51 {
		alternatives, filters = append(alternatives, "a"), append(filters, fmt.Sprintf("xp.f%d=1", i))
	}
	for query, path := range map[string]string{
		"page=0": "page", "page=-1": "page", "page=x": "page", "page=1000001": "page", "page=99999999999999999999": "page",
		"pageSize=0": "pageSize", "pageSize=101": "pageSize", "pageSize=1.5": "pageSize",
		"sortBy=Nothing": "sortBy", "sortBy=xp": "sortBy", "sortBy=xp.": "sortBy",
		"search=a&searchOn=Active": "searchOn", "search=a&searchOn=Nothing": "searchOn",
		"xp=1": "xp", "xp.=1": "xp.", "Hidden=1": "Hidden",
		// Misspelled parameters and fields are not ignored. Otherwise the list would have more
		// records than requested.
		"pagesize=1": "pagesize", "Page=1": "Page", "serach=x": "serach", "Nmae=x": "Nmae", "Minuts=1": "Minuts", "hidden=1": "hidden", "DateCretaed=*": "DateCretaed",
		"page=1&page=2": "page", "search=a&search=b": "search",
		"DateCreated=yesterday": "DateCreated", "DateCreated=*1*": "DateCreated",
		"Minutes=ten": "Minutes", "Minutes=-1": "Minutes", "Minutes=1s": "Minutes",
		"Name=%00": "", "Name=a%0Ab": "", "Name=%ff": "", "N%00=a": "", "Name=%zz": "", "search=%00": "",
		"Name=" + strings.Join(alternatives, "|"): "Name",
		strings.Join(filters, "&"):                "",
	} {
		_, err := listQuery(query, testFields().withMembersOf(struct{ ID, Hidden string }{}), "ID")
		answer := answerTo(err, time.Now())
		if want := map[string]string{"Path": path}; answer.status != http.StatusBadRequest || len(answer.entries) != 1 || !cmp.Equal(answer.entries[0].Data, any(want)) {
			t.Errorf("%.40q: got %v, want a fault at %q", query, err, path)
		}
	}
}

func TestAskMemory(t *testing.T) {
	t.Parallel()
	type row struct{ id, name, at string }
	rows := []row{
		{"1", "Ann", "2026-03-01T00:00:00.5Z"}, {"2", "bob", "2026-03-01T00:00:00Z"}, {"3", "Bo*b", ""}, {"4", "", "2027-01-01T00:00:00Z"},
	}
	f := text("ID", "Name").with("At", "At", timeField)
	for query, want := range map[string]string{
		"": "1234", "Name=BOB": "2", "Name=b*": "23", "Name=*o*b": "23", "Name=*n*n*n*": "", "Name=!b*": "14", "Name=ann|bob": "12",
		"Name=!*": "4", "At=*": "124", "At=%3C2026-03-02": "12", "At=%3E2026-03-01": "14", "At=%3E%3D2026-03-01": "124", "At=2026-03-01": "2",
		"sortBy=!ID": "4321", "sortBy=Name": "4132", "sortBy=Name&pageSize=1": "4132", "pageSize=3": "1234", "sortBy=At": "3214", "page=2&pageSize=3": "4", "page=9": "", "search=NN": "1",
	} {
		q, err := listQuery(query, f, "ID", "Name")
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		var got string
		for more := true; more; more = q.After != "" && !strings.Contains(query, "page=") {
			page, err := queryInMemory(q, rows, func(r row, field string) string {
				return map[string]string{"ID": r.id, "Name": r.name, "At": r.at}[field]
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page.Items {
				got += r.id
			}
			q.After = page.Next
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
	none := func(row, string) string { return "" }
	page, err := queryInMemory(storage.Query{Limit: 1}, rows, none)
	if err != nil || page.Total != 4 || page.Next != "1" {
		t.Errorf("got %+v, error %v", page, err)
	}
	for _, key := range []string{"-1", "x", "99999999999999999999"} {
		if _, err := queryInMemory(storage.Query{Limit: 1, After: key}, rows, none); !errors.Is(err, storage.ErrQuery) {
			t.Errorf("page key %q: got %v, want storage.ErrQuery", key, err)
		}
	}
}
