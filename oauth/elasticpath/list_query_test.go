package elasticpath

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"latchkey/oauth/elasticpath/wire"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

func TestParseFilters(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text string
		want []filter
	}{
		{"eq(email,ron@x.com)", []filter{{"eq", "email", "ron@x.com", true}}},
		{"eq(email,ron@x.com):like(name,*swan*)", []filter{{"eq", "email", "ron@x.com", true}, {"like", "name", "*swan*", true}}},
		{"gt(created_at,2024-04-29T00:00:00.000Z):is_null(given_name)", []filter{
			{"gt", "created_at", "2024-04-29T00:00:00.000Z", true}, {op: "is_null", field: "given_name"},
		}},
		{"eq(name,Swan (Ron): a,b)", []filter{{"eq", "name", "Swan (Ron): a,b", true}}},
		{`eq(name,"a):eq(b,c\"")`, []filter{{"eq", "name", `a):eq(b,c"`, true}}},
		{"eq(name,)", []filter{{op: "eq", field: "name", hasValue: true}}},
		{"eq(name,x):", nil},
		{":eq(name,x)", nil},
		{"eq(name,x)eq(name,y)", []filter{{"eq", "name", "x)eq(name,y", true}}},
		{"eq(name,x", nil},
		{"eq", nil},
		{"(name,x)", nil},
		{"eq(,x)", nil},
		{"eq(Name,x)", nil},
		{`eq(name,"x)`, nil},
		{`eq(name,"x"y)`, nil},
		{`eq(name,"x\`, nil},
		{"eq(name,a\x00b)", nil},
		{"eq(name,\xff)", nil},
		{strings.Repeat("eq(name,x):", 9) + "eq(name,x)", slicesOf(filter{"eq", "name", "x", true}, 10)},
		{strings.Repeat("eq(name,x):", 10) + "eq(name,x)", nil},
		{"eq(name," + strings.Repeat("x", maxFilterBytes) + ")", nil},
	}
	for _, tt := range tests {
		t.Run(tt.text[:min(len(tt.text), 30)], func(t *testing.T) {
			t.Parallel()
			got, ok := parseFilters(tt.text)
			if ok != (tt.want != nil) {
				t.Fatalf("got ok %v", ok)
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(filter{})); ok && diff != "" {
				t.Error(diff)
			}
		})
	}
}

func slicesOf[T any](one T, n int) []T {
	all := make([]T, n)
	for i := range all {
		all[i] = one
	}
	return all
}

func FuzzParseFilters(f *testing.F) {
	for _, seed := range []string{
		"eq(email,ron@x.com):like(name,*swan*)", "is_null(given_name)", `eq(name,"a\"):b")`, "eq(a,b):", "in(id,a,b)", "::((", "eq(a,b)\xff",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		filters, ok := parseFilters(text)
		if !ok {
			return
		}
		if len(filters) == 0 || len(filters) > maxFilters {
			t.Errorf("%q: got %d filters", text, len(filters))
		}
		for _, x := range filters {
			if !isName(x.op) || !isName(x.field) || !strings.Contains(text, x.op+"("+x.field) || !surface.IsPlainText(x.value) || x.value != "" && !x.hasValue {
				t.Errorf("%q: got the filter %+v", text, x)
			}
		}
	})
}

func TestListQuery(t *testing.T) {
	t.Parallel()
	like := func(field string, op storage.Op, values ...string) storage.Condition {
		c := storage.Condition{Fields: []string{field}}
		for _, v := range values {
			c.Tests = append(c.Tests, storage.Test{Op: op, Value: v})
		}
		return c
	}
	youngest := []storage.Order{{Field: "CreatedAt", Descending: true}}
	tests := []struct {
		name, query string
		list        listing
		want        storage.Query
	}{
		{"nothing", "", userList, storage.Query{Limit: 25, Sort: youngest}},
		{"empty", "filter=&sort=", userList, storage.Query{Limit: 25, Sort: youngest}},
		{"raw brackets", "page[limit]=10&page[offset]=20", userList, storage.Query{Limit: 10, Offset: 20, Sort: youngest}},
		{"encoded brackets", "page%5Blimit%5D=100&page%5Boffset%5D=10000", userList, storage.Query{Limit: 100, Offset: 10000, Sort: youngest}},
		{"sort", "sort=-updated_at", userList, storage.Query{Limit: 25, Sort: []storage.Order{{Field: "UpdatedAt", Descending: true}}}},
		{"sort by id", "sort=id", userList, storage.Query{Limit: 25, Sort: []storage.Order{{Field: "UID"}}}},
		{"email ignores case", "filter=eq(email,Ron@x.com)", userList, storage.Query{
			Limit: 25, Sort: youngest, Where: []storage.Condition{like("Email", storage.OpEqualFold, "Ron@x.com")},
		}},
		{"times in UTC", "filter=gt(created_at,2024-04-29T02:00:00%2B02:00)", userList, storage.Query{
			Limit: 25, Sort: youngest, Where: []storage.Condition{like("CreatedAt", storage.OpGreater, "2024-04-29T00:00:00Z")},
		}},
		{"null", "filter=is_null(given_name)", userList, storage.Query{
			Limit: 25, Sort: youngest, Where: []storage.Condition{like("FirstName", storage.OpEmpty, "")},
		}},
		{"in and like", "filter=in(id,a,b):like(name,*x*)", accountList, storage.Query{
			Limit: 25, Sort: youngest, Where: []storage.Condition{like("ID", storage.OpEqual, "a", "b"), like("Name", storage.OpLike, "*x*")},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			values, err := url.ParseQuery(tt.query)
			if err != nil {
				t.Fatal(err)
			}
			got, err := tt.list.query(values)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestListQueryRefusals(t *testing.T) {
	t.Parallel()
	const badFilter = "Could not parse the supplied filter"
	for query, want := range map[string]string{
		"page[limit]=101":                    "Validation failed: field 'page[limit]' on the 'max' tag.",
		"page[limit]=0":                      "Validation failed: field 'page[limit]' on the 'min' tag.",
		"page[limit]=x":                      "Validation failed: field 'page[limit]' on the 'number' tag.",
		"page[limit]=1&page[limit]=2":        "Validation failed: field 'page[limit]' on the 'number' tag.",
		"page[offset]=-1":                    "Validation failed: field 'page[offset]' on the 'min' tag.",
		"page[offset]=10001":                 "Validation failed: field 'page[offset]' on the 'max' tag.",
		"page[offset]=99999999999999999999":  "Validation failed: field 'page[offset]' on the 'number' tag.",
		"sort=password":                      "Validation failed: field 'sort' on the 'oneof' tag.",
		"sort=--id":                          "Validation failed: field 'sort' on the 'oneof' tag.",
		"filter=eq(email":                    badFilter,
		"filter=eq(password,x)":              badFilter,
		"filter=lt(email,x)":                 badFilter,
		"filter=gt(created_at,yesterday)":    badFilter,
		"filter=is_null(given_name,x)":       badFilter,
		"filter=is_null(email)":              badFilter,
		"filter=eq(email)":                   badFilter,
		"filter=eq(name,a)&filter=eq(id,b)":  badFilter,
		"filter=in(id," + manyCommas() + ")": badFilter,
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		_, err = userList.query(values)
		if answer, known := refusalOf(err, testTime); !known || answer.status != 400 || answer.Error() != want {
			t.Errorf("%.60s: got %v, want %q", query, err, want)
		}
	}
}

func manyCommas() string { return strings.Repeat("a,", maxOptions) + "a" }

func TestPageLinks(t *testing.T) {
	t.Parallel()
	const base = "https://id.example/x/v2/accounts?"
	type want struct{ current, first, last, next, prev string }
	tests := []struct {
		name, query   string
		limit, offset int
		total         int
		want          want
		pages, number int
	}{
		{"none at all", "", 25, 0, 0, want{"page[offset]=0&page[limit]=25", "page[offset]=0&page[limit]=25", "page[offset]=0&page[limit]=25", "", ""}, 0, 1},
		{"one page", "", 25, 0, 25, want{"page[offset]=0&page[limit]=25", "page[offset]=0&page[limit]=25", "page[offset]=0&page[limit]=25", "", ""}, 1, 1},
		{"middle", "sort=-id&filter=eq(name,a%26b)&other=1", 10, 10, 35, want{
			"page[offset]=10&page[limit]=10&filter=eq%28name%2Ca%26b%29&sort=-id",
			"page[offset]=0&page[limit]=10&filter=eq%28name%2Ca%26b%29&sort=-id",
			"page[offset]=30&page[limit]=10&filter=eq%28name%2Ca%26b%29&sort=-id",
			"page[offset]=20&page[limit]=10&filter=eq%28name%2Ca%26b%29&sort=-id",
			"page[offset]=0&page[limit]=10&filter=eq%28name%2Ca%26b%29&sort=-id",
		}, 4, 2},
		{"odd offset", "", 10, 3, 20, want{"page[offset]=3&page[limit]=10", "page[offset]=0&page[limit]=10", "page[offset]=10&page[limit]=10", "page[offset]=13&page[limit]=10", "page[offset]=0&page[limit]=10"}, 2, 1},
		{"beyond the end", "", 10, 50, 20, want{"page[offset]=50&page[limit]=10", "page[offset]=0&page[limit]=10", "page[offset]=10&page[limit]=10", "", "page[offset]=40&page[limit]=10"}, 2, 6},
		{"at the ceiling", "", 100, 10000, 99999, want{"page[offset]=10000&page[limit]=100", "page[offset]=0&page[limit]=100", "page[offset]=10000&page[limit]=100", "", "page[offset]=9900&page[limit]=100"}, 1000, 101},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := &call{Request: httptest.NewRequest(http.MethodGet, "/v2/accounts?"+tt.query, nil), base: "https://id.example/x"}
			var err error
			if c.values, err = surface.ReadQuery(c.Request, listParameters()); err != nil {
				t.Fatal(err)
			}
			q := storage.Query{Limit: tt.limit, Offset: tt.offset}
			links := c.pageLinks(q, tt.total)
			wanted := wire.PageLinks{Current: base + tt.want.current, First: base + tt.want.first, Last: base + tt.want.last}
			if tt.want.next != "" {
				wanted.Next = new(base + tt.want.next)
			}
			if tt.want.prev != "" {
				wanted.Prev = new(base + tt.want.prev)
			}
			if diff := cmp.Diff(wanted, links); diff != "" {
				t.Error(diff)
			}
			meta := wire.NewListMeta(q, tt.total)
			if meta.Page.Total != tt.pages || meta.Page.Current != tt.number || meta.Results.Total != tt.total {
				t.Errorf("got the meta %+v", meta)
			}
		})
	}
}
