package ordercloud

import (
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"latchkey/oauth/openapi"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

const (
	defaultPageSize = 20
	maxPageSize     = 100
	maxPage         = 1_000_000
	maxFilters      = 20
	maxAlternatives = 50 // of one filter
)

// field is a member by which a collection is filtered and sorted.
type field struct {
	record string // name in the storage.Query
	kind   fieldKind
}

type fieldKind int

const (
	textField fieldKind = iota
	otherField
	timeField
	minutesField // a duration, on the wire a number
	shownField   // shown only: no list is filtered or sorted by it
)

// fields maps the names of members on the wire to the fields of a storage.Query.
type fields map[string]field

// text returns fields of the kind textField that have the same names in a storage.Query.
func text(names ...string) fields { return namedFields(textField, names) }

func namedFields(kind fieldKind, names []string) fields {
	f := fields{}
	for _, n := range names {
		f[n] = field{record: n, kind: kind}
	}
	return f
}

// with adds a field to f and returns f.
func (f fields) with(name, record string, kind fieldKind) fields {
	f[name] = field{record: record, kind: kind}
	return f
}

// withMembersOf returns a copy of f with the other members of a shape as shownField, so that
// a filter by one of them is refused and not ignored.
func (f fields) withMembersOf(shape any) fields {
	all := maps.Clone(f)
	for name := range wire.MemberIndexes(reflect.TypeOf(shape)) {
		if _, ok := all[name]; !ok {
			all[name] = field{kind: shownField}
		}
	}
	return all
}

// names returns the sorted names of the fields that can be filtered by, for messages.
func (f fields) names() []string {
	names := make([]string, 0, len(f))
	for n, of := range f {
		if of.kind != shownField {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names
}

// find returns the field that the wire calls name, without regard to the case
// of its letters; xp.… names a member of the administrator's own data.
func (f fields) find(name string) (field, bool) {
	if path, ok := strings.CutPrefix(name, "xp."); ok {
		return field{record: "XP." + path, kind: textField}, f["xp"].kind == textField && f["xp"].record != "" && path != ""
	}
	for n, found := range f {
		if strings.EqualFold(n, name) && n != "xp" && found.kind != shownField {
			return found, true
		}
	}
	return field{}, false
}

// listParameters are those that every list takes besides filters.
func listParameters() []openapi.Parameter {
	return []openapi.Parameter{
		{Name: "search", About: "Text that one of the fields of searchOn contains"},
		{Name: "searchOn", About: "Fields to search, separated by commas"},
		{Name: "sortBy", About: "Fields to sort by, separated by commas; ! before one sorts downwards"},
		{Name: "page", About: "Number of the page, from 1; ignored beside pageKey", Type: "integer"},
		{Name: "pageKey", About: "NextPageKey of the page before, with the same filters and sortBy; " + firstPageKey + " is that of the first page, and counts nothing"},
		{Name: "pageSize", About: "Items on a page, 1 to 100", Type: "integer"},
	}
}

// query translates the parameters of a list. The parameter search looks in the fields
// searched unless searchOn names others. A parameter that the operation does not define is
// a filter by the field of that name. If there is no such field it is ignored, unless its
// name looks like a misspelling.
func (c *call) query(f fields, searched []string) (storage.Query, error) {
	values := maps.Clone(c.values)
	if !plain(values) {
		return storage.Query{}, wire.Faults{{Problem: "the query of the URL has control characters"}}
	}
	own := slices.Concat([]string{"searchType"}, parameterNames(listParameters()), parameterNames(c.route.Query))
	for _, name := range own {
		if len(values[name]) > 1 {
			return storage.Query{}, wire.Faults{{Path: name, Problem: "occurs more than once"}}
		}
	}
	page, err := number(values.Get("page"), "page", 1, maxPage, 1)
	if err != nil {
		return storage.Query{}, err
	}
	size, err := number(values.Get("pageSize"), "pageSize", 1, maxPageSize, defaultPageSize)
	if err != nil {
		return storage.Query{}, err
	}
	q := storage.Query{Offset: (page - 1) * size, Limit: size}
	switch key := values.Get("pageKey"); key {
	case "":
	case firstPageKey:
		q.Offset, q.Uncounted = 0, true
	default:
		if q.After, err = c.openPageKey(key); err != nil {
			return q, err
		}
	}
	if q.Sort, err = order(values.Get("sortBy"), f); err != nil {
		return q, err
	}
	if search := values.Get("search"); search != "" {
		condition, err := searchFor(search, values.Get("searchOn"), f, searched)
		if err != nil {
			return q, err
		}
		q.Where = append(q.Where, condition)
	}
	maps.DeleteFunc(values, func(name string, _ []string) bool { return slices.Contains(own, name) })
	filters, err := c.filter(values, f, own)
	q.Where = append(q.Where, filters...)
	return q, err
}

// plain reports whether names and values of the parameters are UTF-8 without control
// characters.
func plain(values url.Values) bool {
	for name, texts := range values {
		for _, text := range append([]string{name}, texts...) {
			if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
				return false
			}
		}
	}
	return true
}

func number(text, name string, low, high, otherwise int) (int, error) {
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		return 0, wire.Faults{{Path: name, Problem: "must be a whole number between " + strconv.Itoa(low) + " and " + strconv.Itoa(high)}}
	}
	return n, nil
}

// order reads sortBy: names separated by commas, "!" before one for descending.
func order(sortBy string, f fields) ([]storage.Order, error) {
	var sorted []storage.Order
	for name := range strings.SplitSeq(sortBy, ",") {
		name, descending := strings.CutPrefix(strings.TrimSpace(name), "!")
		if name == "" {
			continue
		}
		found, ok := f.find(name)
		if !ok {
			return nil, unknownField("sortBy", name, f)
		}
		sorted = append(sorted, storage.Order{Field: found.record, Descending: descending})
	}
	return sorted, nil
}

func unknownField(parameter, name string, f fields) error {
	return wire.Faults{{Path: parameter, Problem: strconv.Quote(printable(name)) + " is none of " + strings.Join(f.names(), ", ")}}
}

// searchFor returns the condition that one of the fields in on contains the text. If on is
// empty, the fields are those of searched.
func searchFor(text, on string, f fields, searched []string) (storage.Condition, error) {
	if on != "" {
		searched = strings.Split(on, ",")
	}
	condition := storage.Condition{Tests: []storage.Test{{Op: storage.OpLikeFold, Value: "*" + strings.Trim(text, "*") + "*"}}}
	for _, name := range searched {
		found, ok := f.find(strings.TrimSpace(name))
		if !ok || found.kind != textField {
			return condition, unknownField("searchOn", name, f)
		}
		condition.Fields = append(condition.Fields, found.record)
	}
	return condition, nil
}

// filter translates the parameters that the operation does not define; see query. own are
// the names of the defined ones.
func (c *call) filter(values url.Values, f fields, own []string) ([]storage.Condition, error) {
	var all []storage.Condition
	var ignored []string
	filters := 0
	for _, name := range slices.Sorted(maps.Keys(values)) {
		found, ok := f.find(name)
		if !ok {
			if err := f.checkUnknown(name, own); err != nil {
				return nil, err
			}
			ignored = append(ignored, name)
			continue
		}
		if filters++; filters > maxFilters {
			return nil, wire.Faults{{Path: "", Problem: "at most " + strconv.Itoa(maxFilters) + " filters"}}
		}
		for _, text := range values[name] {
			conditions, err := found.conditions(name, text)
			if err != nil {
				return nil, err
			}
			all = append(all, conditions...)
		}
	}
	c.noteIgnored("parameters", ignored)
	return all, nil
}

// checkUnknown returns the fault of a parameter that is no field but must not be
// ignored, or nil: it asks for a filter that the collection does not have, or
// looks like a misspelt field or parameter.
func (f fields) checkUnknown(name string, parameters []string) error {
	known := slices.Concat(slices.Collect(maps.Keys(f)), parameters)
	meant := surface.Resembled(name, known)
	switch {
	case slices.Contains(known, name) || strings.HasPrefix(name, "xp."):
		return unknownField(printable(name), name, f)
	case meant != "":
		return wire.Faults{{Path: printable(name), Problem: "unknown parameter; did you mean " + meant + "?"}}
	}
	return nil
}

func parameterNames(all []openapi.Parameter) []string {
	names := make([]string, len(all))
	for i, p := range all {
		names[i] = p.Name
	}
	return names
}

// conditions translates one filter: alternatives separated by "|", each with an operator
// in front and with asterisks that stand for any text. Negated alternatives must all hold:
// "!a|!b" selects values other than a and b.
func (f field) conditions(name, text string) ([]storage.Condition, error) {
	alternatives := strings.Split(text, "|")
	if len(alternatives) > maxAlternatives {
		return nil, wire.Faults{{Path: printable(name), Problem: "at most " + strconv.Itoa(maxAlternatives) + " alternatives"}}
	}
	var all []storage.Condition
	either := storage.Condition{Fields: []string{f.record}}
	for _, alternative := range alternatives {
		test, err := f.test(name, alternative)
		switch {
		case err != nil:
			return nil, err
		case test.Not:
			all = append(all, storage.Condition{Fields: []string{f.record}, Tests: []storage.Test{test}})
		default:
			either.Tests = append(either.Tests, test)
		}
	}
	if len(either.Tests) > 0 {
		all = append(all, either)
	}
	return all, nil
}

func (f field) test(name, text string) (storage.Test, error) {
	test := storage.Test{Op: storage.OpEqual}
	text, test.Not = strings.CutPrefix(text, "!")
	if text == "*" { // any value at all
		return storage.Test{Op: storage.OpEmpty, Not: !test.Not}, nil
	}
	for _, operator := range []struct {
		sign string
		op   storage.Op
	}{
		{">=", storage.OpGreaterOrEqual}, {"<=", storage.OpLessOrEqual}, {">", storage.OpGreater}, {"<", storage.OpLess},
	} {
		if rest, ok := strings.CutPrefix(text, operator.sign); ok && test.Op == storage.OpEqual {
			text, test.Op = rest, operator.op
		}
	}
	if test.Op == storage.OpEqual && f.kind == textField {
		test.Op = storage.OpEqualFold
		if strings.Contains(text, "*") {
			test.Op = storage.OpLikeFold
		}
	}
	var err error
	switch f.kind {
	case timeField:
		if text, err = parseTime(text); err != nil {
			return test, wire.Faults{{Path: printable(name), Problem: "must be a date or a time of RFC 3339"}}
		}
	case minutesField:
		if _, err := strconv.ParseUint(text, 10, 31); err != nil {
			return test, wire.Faults{{Path: printable(name), Problem: "must be a whole number"}}
		}
		text += "m"
	case textField, otherField, shownField:
	}
	test.Value = text
	return test, nil
}

// parseTime parses a time of RFC 3339, or a date, which means its first moment in UTC. It
// returns the time in RFC 3339 in UTC.
func parseTime(text string) (string, error) {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		at, err = time.Parse(time.DateOnly, text)
	}
	return at.UTC().Format(time.RFC3339Nano), err
}

// listOf returns the answer with a page of a list. show returns the shape of a record.
func listOf[R, W any](c *call, q storage.Query, found storage.Page[R], show func(R) W) (surface.Answer, error) {
	items := make([]W, 0, len(found.Items))
	for _, r := range found.Items {
		items = append(items, show(r))
	}
	meta := wire.Meta{
		Page: found.Offset/q.Limit + 1, PageSize: q.Limit, TotalCount: found.Total,
		TotalPages: (found.Total + q.Limit - 1) / q.Limit,
	}
	if len(items) > 0 {
		meta.ItemRange = [2]int{found.Offset + 1, found.Offset + len(items)}
	}
	if found.Next != "" {
		key, err := c.sealPageKey(found.Next)
		if err != nil {
			return surface.Answer{}, err
		}
		meta.NextPageKey = &key
	}
	return surface.Answer{Status: http.StatusOK, Body: wire.List[W]{Meta: meta, Items: items}, Estimated: found.Estimated}, nil
}
