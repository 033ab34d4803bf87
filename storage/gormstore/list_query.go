package gormstore

import (
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

// listing is a list of records before a query selects some of them.
type listing struct {
	what   string
	table  string // has a row for each record
	joins  string // of other tables; they neither add nor remove rows
	scope  statement
	fields fields
	key    []storage.Order // the order of a query without a Sort
	tie    columns         // columns whose values no two records share
}

// paging is a query of a listing in SQL.
type paging struct {
	listing
	where   statement // with WHERE in front
	counted statement // where, or nothing, for the count
	joined  bool      // where needs the joins
	order   []term
}

// term is one expression of an order.
type term struct {
	statement
	descending bool
	nullable   bool // NULL comes first
}

// page counts the records that a query selects and reads those of its page, in two
// statements. It is bounded in cost, time and connections; see
// storage.QueryLimitError and asList.
func page[R any](ctx context.Context, s *Store, l listing, q storage.Query) (rows []R, total int, err error) {
	p, err := newPaging(s.dialect, l, q)
	if err == nil {
		err = s.asList(ctx, func(ctx context.Context) error {
			rows, total, err = readPage[R](ctx, s, p, q)
			return err
		})
	}
	if err != nil {
		return nil, 0, fmt.Errorf("list %s: %w", l.what, err)
	}
	return rows, total, nil
}

// readPage reads a page of the second half from the other end, so that the last
// one costs no more than the first.
func readPage[R any](ctx context.Context, s *Store, p *paging, q storage.Query) ([]R, int, error) {
	condition, release := s.dialect.running(ctx)
	defer release()
	whileRunning := func(x statement) string { return strings.ReplaceAll(x.sql, ifRunning, condition) }
	count := p.count()
	total, err := get[int](ctx, s, "count", whileRunning(count), count.args...)
	if err != nil || q.Offset >= total {
		return nil, total, err
	}
	offset, limit := q.Offset, min(q.Limit, total-q.Offset)
	backwards := total-offset-limit < offset
	if backwards {
		offset = total - offset - limit
	}
	part := p.rows(p.selection(columnsOf[R](&s.rows)), backwards, limit, offset)
	rows, err := query[R](ctx, s, "read page", whileRunning(part), part.args...)
	if backwards {
		slices.Reverse(rows)
	}
	return rows, total, err
}

// newPaging translates a query into SQL or returns storage.ErrQuery.
func newPaging(d dialect, l listing, q storage.Query) (*paging, error) {
	if q.Limit < 1 || q.Limit > maxLimit {
		return nil, fmt.Errorf("limit %d is not between 1 and %d: %w", q.Limit, maxLimit, storage.ErrQuery)
	}
	if q.Offset < 0 {
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

func (p *paging) count() statement {
	from := p.table
	if p.joined {
		from += p.joins
	}
	return statement{sql: "SELECT count(*) FROM " + from + p.counted.sql, args: p.counted.args}
}

// selection names the columns of the row type. A list of several tables has row
// types with a prefix for each.
func (l *listing) selection(all columns) string {
	if strings.Contains(l.table, " ") {
		return all.joined()
	}
	return all.list()
}

func (p *paging) rows(selection string, backwards bool, limit, offset int) statement {
	terms, args := make([]string, len(p.order)), slices.Clone(p.where.args)
	for i, t := range p.order {
		terms[i] = t.towards(backwards)
		args = append(args, t.args...)
	}
	return statement{
		sql: "SELECT " + selection + " FROM " + p.table + p.joins + p.where.sql +
			" ORDER BY " + strings.Join(terms, ", ") + " LIMIT ? OFFSET ?",
		args: append(args, limit, offset),
	}
}

// towards writes the term as it is or reversed.
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

// combine puts an operator between statements.
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
