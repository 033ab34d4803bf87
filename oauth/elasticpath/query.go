package elasticpath

import (
	"net/url"
	"strconv"
	"strings"

	"latchkey/oauth/openapi"
	"latchkey/storage"
)

// Bounds of a page (contract section 1).
const (
	defaultPageLimit = 25
	maxPageLimit     = 100
	maxPageOffset    = 10_000
)

// listing says how a list can be filtered and sorted. Both maps are by the
// names of the wire.
type listing struct {
	filters map[string]filterable
	sorts   map[string]string // to the field of a storage.Query
}

const (
	timeOps   = "lt le eq gt ge"
	peopleOps = "eq like ilike"
	nameOps   = "eq like ilike is_null"
)

// byTime are the fields that every list is filtered and sorted by.
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

// withID lets the sort id stand for another field than ID.
func (l listing) withID(record string) listing {
	l.sorts["id"] = record
	return l
}

// listParameters are those of every list.
func listParameters() []openapi.Parameter {
	return []openapi.Parameter{
		{Name: "page[limit]", About: "Items on a page, 1 to 100; 25 unless told otherwise", Type: "integer"},
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
	var c check
	switch {
	case err != nil || len(given) > 1:
		c.fail(name, "number")
	default:
		c.between(name, &n, low, high)
	}
	return n, c.err()
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

// order reads sort; what is not told is sorted by age, youngest first.
func (l listing) order(values url.Values) ([]storage.Order, error) {
	given := values["sort"]
	if len(given) == 0 || len(given) == 1 && given[0] == "" {
		return []storage.Order{{Field: "CreatedAt", Descending: true}}, nil
	}
	name, descending := strings.CutPrefix(given[0], "-")
	field, ok := l.sorts[name]
	if !ok || len(given) > 1 {
		var c check
		c.fail("sort", "oneof")
		return nil, c.err()
	}
	return []storage.Order{{Field: field, Descending: descending}}, nil
}
