package gormstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"latchkey/storage"
)

// Limits of one query, besides storage.MaxQueryCost. The databases have limits of
// their own (SQLite: 1000 nested expressions, 32,766 parameters) and would fail
// beyond them.
const (
	maxOrders = 20
	maxLimit  = 10_000
)

// defaultExactTotal is the number of records up to which a list is counted exactly. The
// number of a longer list is estimated, unless the page ends beyond this number: finding
// such a page costs as much as counting.
const defaultExactTotal = 100_000

// listing is a list of records before a query selects some of them.
type listing struct {
	what   string
	table  string // has a row for each record
	joins  string // of other tables; they neither add nor remove rows
	scope  statement
	fields fields
	key    []storage.Order // the order of a query without a Sort
	tie    columns         // columns whose values no two records share

	exactTotal int // longer lists have the total exactTotal+1, without an estimate; 0: as in other lists
}

// paging is a query of a listing in SQL.
type paging struct {
	listing
	whileRunning string    // the condition that replaces ifRunning
	where        statement // with WHERE in front
	counted      statement // where, or nothing, for the count
	joined       bool      // where needs the joins
	order        []term
}

// term is one expression of an order.
type term struct {
	statement
	kind       attributeKind // free: a number of any precision
	descending bool
	nullable   bool // NULL comes first
}

// page reads the records of a query's page. It is bounded in cost, time and
// connections; see storage.QueryLimitError and asList.
func page[R any](ctx context.Context, s *Store, l listing, q storage.Query) (found storage.Page[R], err error) {
	p, err := newPaging(s.dialect, l, q)
	if err == nil {
		err = s.asList(ctx, func(ctx context.Context) error {
			found, err = readPage[R](ctx, s, p, q)
			return err
		})
	}
	if err != nil {
		return storage.Page[R]{}, fmt.Errorf("list %s: %w", l.what, err)
	}
	return found, nil
}

// keyed is a row of a page with its values of the order's terms, in JSON.
type keyed[R any] struct {
	Row    R      `gorm:"embedded"`
	Values string `gorm:"column:order_values"`
}

// readPage reads the page after a page key, and one that is not counted, in one statement.
// It reads other pages in two or three: the first one counts the records, and the second
// one estimates how many they are if they are too many to count.
func readPage[R any](ctx context.Context, s *Store, p *paging, q storage.Query) (storage.Page[R], error) {
	condition, release := s.dialect.running(ctx)
	defer release()
	p.whileRunning = condition
	if q.After != "" || q.Uncounted {
		return readAfter[R](ctx, s, p, q)
	}
	total, estimated, err := p.total(ctx, s, q)
	found := storage.Page[R]{Total: total, Estimated: estimated, Offset: q.Offset}
	if err != nil || q.Offset >= found.Total {
		return found, err
	}
	// A page of the second half is read from the other end, so that the last one costs
	// no more than the first.
	offset, limit := q.Offset, min(q.Limit, found.Total-q.Offset)
	backwards := !estimated && found.Total-offset-limit < offset
	if backwards {
		offset = found.Total - offset - limit
	}
	rows, err := readRows[R](ctx, s, p, p.where, backwards, limit, offset)
	if backwards {
		slices.Reverse(rows)
	}
	return pageOf(p, found, rows, q.Offset+limit < found.Total, false), err
}

// readAfter reads the page after q.After, or the first one of an uncounted list, and one
// record more to see whether it is the last page.
func readAfter[R any](ctx context.Context, s *Store, p *paging, q storage.Query) (storage.Page[R], error) {
	key, where := pageKey{Uncounted: true}, p.where
	if q.After != "" {
		var err error
		if key, err = p.parseKey(q.After); err != nil {
			return storage.Page[R]{}, err
		}
		after, err := p.after(s.dialect, key.Values)
		if err != nil {
			return storage.Page[R]{}, err
		}
		where = combine(" AND ", []statement{where, after})
	}
	rows, err := readRows[R](ctx, s, p, where, false, q.Limit+1, 0)
	if key.Uncounted {
		key.Total, key.Estimated = key.Offset+len(rows), len(rows) > q.Limit
	}
	more := len(rows) > q.Limit
	if more {
		rows = rows[:q.Limit]
	}
	page := pageOf(p, storage.Page[R]{Total: key.Total, Estimated: key.Estimated, Offset: key.Offset}, rows, more, key.Uncounted)
	return page, err
}

func readRows[R any](ctx context.Context, s *Store, p *paging, where statement, backwards bool, limit, offset int) ([]keyed[R], error) {
	part := p.rows(p.selection(columnsOf[R]()), p.orderValues(s.dialect), where, backwards, limit, offset)
	return query[keyed[R]](ctx, s, "read page", p.running(part), part.args...)
}

// pageOf fills a page with rows. more reports whether others follow, and uncounted whether
// they are not counted.
func pageOf[R any](p *paging, page storage.Page[R], rows []keyed[R], more, uncounted bool) storage.Page[R] {
	for i := range rows {
		page.Items = append(page.Items, rows[i].Row)
	}
	if more && len(rows) > 0 {
		page.Next = p.key(rows[len(rows)-1].Values, pageKey{Offset: page.Offset + len(rows), Total: page.Total, Estimated: page.Estimated, Uncounted: uncounted})
	}
	return page
}

// newPaging translates a query into SQL or returns storage.ErrQuery.
func newPaging(d dialect, l listing, q storage.Query) (*paging, error) {
	if q.Limit < 1 || q.Limit > maxLimit {
		return nil, fmt.Errorf("limit %d is not between 1 and %d: %w", q.Limit, maxLimit, storage.ErrQuery)
	}
	if q.Offset < 0 || q.Uncounted && q.Offset > 0 {
		return nil, fmt.Errorf("offset %d: %w", q.Offset, storage.ErrQuery)
	}
	if len(q.Sort) > maxOrders {
		return nil, fmt.Errorf("more than %d fields to sort by: %w", maxOrders, storage.ErrQuery)
	}
	if err := l.checkCost(q); err != nil {
		return nil, err
	}
	p := &paging{listing: l}
	var err error
	if p.where, p.joined, err = l.filter(d, q.Where); err != nil {
		return nil, err
	}
	if p.counted = p.where; len(q.Where) == 0 {
		p.counted = l.scope // an index counts it, so fast that ifRunning is not worth its cost
	}
	if p.counted.sql != "" {
		p.counted.sql = " WHERE " + p.counted.sql
	}
	p.where.sql = " WHERE " + p.where.sql
	sort := q.Sort
	if len(sort) == 0 {
		sort = l.key
	}
	p.order, err = l.sorted(d, sort)
	return p, err
}

// running returns the SQL of a statement that ends with the list's context.
func (p *paging) running(x statement) string {
	return strings.ReplaceAll(x.sql, ifRunning, p.whileRunning)
}

// total returns how many records the list has, and whether that is an estimate.
func (p *paging) total(ctx context.Context, s *Store, q storage.Query) (total int, estimated bool, err error) {
	joins := ""
	if p.joined {
		joins = p.joins
	}
	exact := cmp.Or(p.exactTotal, s.exactTotal)
	counted := statement{p.running(p.counted), p.counted.args}
	if q.Offset+q.Limit > exact {
		total, err = get[int](ctx, s, "count", "SELECT count(*) FROM "+p.table+joins+counted.sql, counted.args...)
		return total, false, err
	}
	total, err = get[int](ctx, s, "count", fmt.Sprintf("SELECT count(*) FROM (SELECT 1 FROM %s LIMIT %d) counted", p.table+joins+counted.sql, exact+1), counted.args...)
	if err != nil || total <= exact || p.exactTotal > 0 {
		return total, total > exact, err
	}
	total, err = s.dialect.estimate(ctx, s, p.table, joins, counted)
	return max(total, exact+1), true, err
}

// selection names the columns of the row type. A list of several tables has row
// types with a prefix for each.
func (l *listing) selection(all columns) string {
	if strings.Contains(l.table, " ") {
		return all.joined()
	}
	return all.list()
}

func (p *paging) rows(selection string, values, where statement, backwards bool, limit, offset int) statement {
	terms, args := make([]string, len(p.order)), slices.Concat(values.args, where.args)
	for i, t := range p.order {
		terms[i] = t.towards(backwards)
		args = append(args, t.args...)
	}
	return statement{
		sql: "SELECT " + selection + ", " + values.sql + " AS order_values FROM " + p.table + p.joins + where.sql +
			" ORDER BY " + strings.Join(terms, ", ") + " LIMIT CAST(? AS BIGINT) OFFSET ?",
		args: append(args, limit, offset),
	}
}

// towards returns the SQL of the term in ORDER BY, reversed if backwards is true.
func (t term) towards(backwards bool) string {
	switch downwards := t.descending != backwards; {
	case downwards && t.nullable:
		return t.sql + " DESC NULLS LAST"
	case downwards:
		return t.sql + " DESC"
	case t.nullable:
		return t.sql + " NULLS FIRST"
	}
	return t.sql
}

// sorted adds the tie columns, in the direction of the last field, so that
// an index on all of it can be read either way.
func (l *listing) sorted(d dialect, sort []storage.Order) ([]term, error) {
	var terms []term
	for _, by := range sort {
		a, err := l.fields.find(by.Field)
		if err != nil {
			return nil, err
		}
		terms = append(terms, a.terms(d, by.Descending)...)
		if a.unique {
			return terms, nil
		}
	}
	downwards := len(sort) > 0 && sort[len(sort)-1].Descending
	for _, column := range strings.Fields(string(l.tie)) {
		terms = append(terms, term{statement: statement{sql: column}, descending: downwards})
	}
	return terms, nil
}

// filter joins the conditions to the scope of the list, while the list runs.
func (l *listing) filter(d dialect, where []storage.Condition) (_ statement, joined bool, err error) {
	all := []statement{{sql: ifRunning}}
	if l.scope.sql != "" {
		all = append(all, l.scope)
	}
	for _, condition := range where {
		one, needs, err := l.fields.condition(d, condition)
		if err != nil {
			return statement{}, false, err
		}
		all, joined = append(all, one), joined || needs
	}
	return combine(" AND ", all), joined, nil
}

// combine joins statements with an operator.
func combine(operator string, parts []statement) statement {
	var all statement
	texts := make([]string, len(parts))
	for i, part := range parts {
		texts[i] = part.sql
		all.args = append(all.args, part.args...)
	}
	all.sql = strings.Join(texts, operator)
	return all
}
