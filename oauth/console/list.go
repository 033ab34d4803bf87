package console

import (
	"maps"
	"net/url"
	"strconv"
	"strings"

	"latchkey/oauth/ordercloud/wire"
)

// rowsOfList is how many rows a page of a list has.
const rowsOfList = 50

// list is a page of a list of /v1, with what the template "list" needs. T is the shape of
// an entry.
type list[T any] struct {
	Items  []T
	Search string     // as typed
	Values url.Values // the filters as chosen
	Next   string     // URL of the next page; empty: this is the last one
	First  string     // URL of the first page; empty: this is it
	Action string     // where searches are sent
}

// readList reads a page of the list at path, which pathOf made. The query of the screen may
// have "search", "pageKey" and the parameters of /v1 that filters names; others are ignored.
func readList[T any](x *call, path string, filters ...string) (list[T], error) {
	given := x.URL.Query()
	l := list[T]{Search: strings.TrimSpace(given.Get("search")), Values: url.Values{}, Action: x.console.base + x.URL.Path}
	query := url.Values{}
	if l.Search != "" {
		query.Set("search", l.Search)
	}
	for _, name := range filters {
		for _, value := range given[name] {
			if value = strings.TrimSpace(value); value != "" {
				query.Add(name, value)
				l.Values.Add(name, value)
			}
		}
	}
	start := maps.Clone(query)
	query.Set("pageSize", strconv.Itoa(rowsOfList))
	query.Set("pageKey", "first") // no screen shows a total, and to count takes longer than the page
	if key := given.Get("pageKey"); key != "" {
		query.Set("pageKey", key)
		l.First = l.Action + "?" + start.Encode()
	}
	var page wire.List[T]
	if _, err := x.get(path, query, &page); err != nil {
		return l, err
	}
	l.Items = page.Items
	if key := page.Meta.NextPageKey; key != nil {
		next := maps.Clone(start)
		next.Set("pageKey", *key)
		l.Next = l.Action + "?" + next.Encode()
	}
	return l, nil
}
