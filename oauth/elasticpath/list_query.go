package elasticpath

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"latchkey/oauth/elasticpath/wire"
	"latchkey/oauth/openapi"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

// Bounds of a page. The vendor documents them.
const (
	defaultPageLimit = 25
	maxPageLimit     = 100
	maxPageOffset    = 10_000
)

// listing says how a list can be filtered and sorted. The keys of both maps are
// names of the wire.
type listing struct {
	filters map[string]filterable
	sorts   map[string]string // to the field of a storage.Query
}

// Operators that fields can be filtered by, separated by spaces.
const (
	timeOps = "lt le eq gt ge"
	textOps = "eq like ilike"
	nameOps = "eq like ilike is_null" // of names that may be absent
)

// byTime returns a listing with the fields that all lists have and the filters of more.
// sorts are the names in more by which the list can be sorted too.
func byTime(more map[string]filterable, sorts ...string) listing {
	l := listing{
		filters: map[string]filterable{
			"created_at": {record: "CreatedAt", ops: timeOps, time: true},
			"updated_at": {record: "UpdatedAt", ops: timeOps, time: true},
		},
		sorts: map[string]string{"created_at": "CreatedAt", "updated_at": "UpdatedAt", "id": "ID"},
	}
	for name, f := range more {
		l.filters[name] = f
		if strings.Contains(" "+strings.Join(sorts, " ")+" ", " "+name+" ") {
			l.sorts[name] = f.record
		}
	}
	return l
}

// withID returns the listing with another field to sort by id.
func (l listing) withID(record string) listing {
	l.sorts["id"] = record
	return l
}

// listParameters returns the parameters of all lists, those of the page first.
func listParameters() []openapi.Parameter {
	return []openapi.Parameter{
		{Name: "page[limit]", About: "Items on a page, 1 to 100; 25 by default", Type: "integer"},
		{Name: "page[offset]", About: "Items to leave out first, at most 10000", Type: "integer"},
		{Name: "filter", About: "Conditions as operator(field,value), with a colon between them; all of them hold"},
		{Name: "sort", About: "Field to sort by; - before it sorts downwards"},
	}
}

// query translates the parameters of a list.
func (l listing) query(values url.Values) (storage.Query, error) {
	q, err := pageQuery(values)
	if err != nil {
		return q, err
	}
	if q.Where, err = l.where(values); err != nil {
		return q, err
	}
	q.Sort, err = l.order(values)
	return q, err
}

// pageQuery translates the parameters of the page only.
func pageQuery(values url.Values) (q storage.Query, err error) {
	if q.Limit, err = pageNumber(values, "page[limit]", 1, maxPageLimit, defaultPageLimit); err != nil {
		return q, err
	}
	q.Offset, err = pageNumber(values, "page[offset]", 0, maxPageOffset, 0)
	return q, err
}

func pageNumber(values url.Values, name string, low, high, otherwise int) (int, error) {
	given := values[name]
	if len(given) == 0 {
		return otherwise, nil
	}
	n, err := strconv.Atoi(given[0])
	var check wire.Check
	switch {
	case err != nil || len(given) > 1:
		check.Fail(name, "number")
	default:
		check.Between(name, &n, low, high)
	}
	return n, check.Err()
}

func (l listing) where(values url.Values) ([]storage.Condition, error) {
	given := values["filter"]
	if len(given) == 0 || len(given) == 1 && given[0] == "" {
		return nil, nil
	}
	filters, ok := parseFilters(given[0])
	if !ok || len(given) > 1 {
		return nil, errFilter
	}
	var all []storage.Condition
	for _, f := range filters {
		field, known := l.filters[f.field]
		condition, ok := field.condition(f)
		if !known || !ok {
			return nil, errFilter
		}
		all = append(all, condition)
	}
	return all, nil
}

// order translates the parameter sort. Without it, the youngest items come first.
func (l listing) order(values url.Values) ([]storage.Order, error) {
	given := values["sort"]
	if len(given) == 0 || len(given) == 1 && given[0] == "" {
		return []storage.Order{{Field: "CreatedAt", Descending: true}}, nil
	}
	name, descending := strings.CutPrefix(given[0], "-")
	field, ok := l.sorts[name]
	if !ok || len(given) > 1 {
		return nil, wire.Invalid("sort", "oneof")
	}
	return []storage.Order{{Field: field, Descending: descending}}, nil
}

// list returns the answer with a page of a list. fetch returns the records for the query of
// the request, and show the shape of a record.
func list[R, T any](
	c *call, l listing, fetch func(storage.Query) (storage.Page[R], error), show func(R) (T, error),
) (surface.Answer, error) {
	q, err := l.query(c.values)
	if err != nil {
		return surface.Answer{}, err
	}
	found, err := fetch(q)
	if err != nil {
		return surface.Answer{}, err
	}
	page := wire.List[T]{Data: make([]T, 0, len(found.Items)), Meta: wire.NewListMeta(q, found.Total), Links: c.pageLinks(q, found.Total)}
	for _, r := range found.Items {
		item, err := show(r)
		if err != nil {
			return surface.Answer{}, err
		}
		page.Data = append(page.Data, item)
	}
	return surface.Answer{Status: http.StatusOK, Body: page, Estimated: found.Estimated}, nil
}

// withIncluded adds related resources to the answer of a list.
func withIncluded[T any](a surface.Answer, included *wire.Included) surface.Answer {
	if page, ok := a.Body.(wire.List[T]); ok {
		page.Included = included
		a.Body = page
	}
	return a
}

// pageLinks returns the links of a page. No link has an offset above maxPageOffset.
func (c *call) pageLinks(q storage.Query, total int) wire.PageLinks {
	at := func(offset int) string {
		return c.base + c.URL.EscapedPath() + "?" + pageParameters(c.values, offset, q.Limit)
	}
	last := max(wire.Pages(q.Limit, total)-1, 0) * q.Limit
	links := wire.PageLinks{Current: at(q.Offset), First: at(0), Last: at(min(last, maxPageOffset))}
	if next := q.Offset + q.Limit; next < total && next <= maxPageOffset {
		links.Next = new(at(next))
	}
	if q.Offset > 0 {
		links.Prev = new(at(max(q.Offset-q.Limit, 0)))
	}
	return links
}

// pageParameters returns the query string of a page of the same list. The brackets
// are not encoded, as in Elastic Path's links.
func pageParameters(values url.Values, offset, limit int) string {
	parts := []string{"page[offset]=" + strconv.Itoa(offset), "page[limit]=" + strconv.Itoa(limit)}
	for _, name := range []string{"filter", "sort", "include"} {
		if value := values.Get(name); value != "" {
			parts = append(parts, name+"="+url.QueryEscape(value))
		}
	}
	return strings.Join(parts, "&")
}
