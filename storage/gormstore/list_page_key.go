package gormstore

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"latchkey/storage"
)

// pageKey is the position of a page that an index finds: the page begins after the record
// with the values.
type pageKey struct {
	List   []byte // digest of the list, its filters and its order
	Values []any  // of the order's terms: a string, json.Number, bool or nil
	Offset int    // number of records before the page
	Total  int    // number of all records, as counted for the first page

	Estimated bool // Total is an estimate
	Uncounted bool // the first page was uncounted; see storage.Query
}

// key returns storage.Page.Next. values is a JSON array of the last record's values. next
// has the other fields of the key.
func (p *paging) key(values string, next pageKey) string {
	next.List = p.digest()
	encoded, err := json.Marshal(struct {
		pageKey
		Values json.RawMessage
	}{next, json.RawMessage(values)})
	if err != nil {
		panic(err) // the database wrote JSON
	}
	return base64.RawURLEncoding.EncodeToString(encoded)
}

// orderValues returns an expression for the values of a row in the terms of the order, as a
// JSON array.
func (p *paging) orderValues(d dialect) statement {
	values := statementsOf(p.order)
	for i, t := range p.order {
		if t.kind == free {
			values[i] = d.precise(t.statement)
		}
	}
	all := combine(", ", values)
	return statement{sql: d.jsonArray(all.sql), args: all.args}
}

// parseKey reads storage.Query.After. It returns storage.ErrQuery for an invalid key, and
// for a key of another list, filter or order.
func (p *paging) parseKey(text string) (pageKey, error) {
	var key pageKey
	decoder := json.NewDecoder(base64.NewDecoder(base64.RawURLEncoding, strings.NewReader(text)))
	decoder.UseNumber()
	err := decoder.Decode(&key)
	_, end := decoder.Token()
	if err != nil || !errors.Is(end, io.EOF) || !bytes.Equal(key.List, p.digest()) || len(key.Values) != len(p.order) {
		return key, fmt.Errorf("the page key does not belong to this list, filter and order: %w", storage.ErrQuery)
	}
	return key, nil
}

func (p *paging) digest() []byte {
	hash := sha256.New()
	for _, part := range append([]statement{p.where}, statementsOf(p.order)...) {
		_, _ = fmt.Fprintf(hash, "%q %q\n", part.sql, part.args)
	}
	for _, t := range p.order {
		_, _ = fmt.Fprintln(hash, t.descending)
	}
	_, _ = fmt.Fprintln(hash, p.table)
	return hash.Sum(nil)[:8]
}

// after returns the condition for the records that come after those values.
func (p *paging) after(d dialect, values []any) (statement, error) {
	operands, simple := make([]statement, len(values)), true
	for i, t := range p.order {
		var err error
		if operands[i], err = t.operand(d, values[i]); err != nil {
			return statement{}, err
		}
		simple = simple && !t.nullable && t.descending == p.order[0].descending
	}
	if simple { // both databases find such rows by an index on the terms
		terms, values := combine(", ", statementsOf(p.order)), combine(", ", operands)
		return combine("", []statement{{"(" + terms.sql + ")" + p.order[0].beyond() + "(", terms.args}, {values.sql + ")", values.args}}), nil
	}
	var either, same []statement
	for i, t := range p.order {
		either = append(either, combine(" AND ", append(same[:len(same):len(same)], t.follows(operands[i], values[i] == nil))))
		same = append(same, t.equals(operands[i], values[i] == nil))
	}
	condition := combine(" OR ", either)
	condition.sql = "(" + condition.sql + ")"
	return condition, nil
}

// beyond is the comparison with the value of an earlier record.
func (t term) beyond() string {
	if t.descending {
		return " < "
	}
	return " > "
}

// follows holds for records whose value comes after that of the operand.
func (t term) follows(operand statement, isNull bool) statement {
	switch {
	case isNull && t.descending: // NULL comes last
		return statement{sql: "FALSE"}
	case isNull:
		return t.with(" IS NOT NULL")
	}
	is := t.with(t.beyond()+operand.sql, operand.args...)
	if t.nullable && t.descending {
		is = combine(" OR ", []statement{is, t.with(" IS NULL")})
		is.sql = "(" + is.sql + ")"
	}
	return is
}

func (t term) equals(operand statement, isNull bool) statement {
	if isNull {
		return t.with(" IS NULL")
	}
	return t.with(" = "+operand.sql, operand.args...)
}

// operand returns a value of a page key for a comparison with the term.
func (t term) operand(d dialect, value any) (statement, error) {
	text, isText := value.(string)
	number, isNumber := value.(json.Number)
	flag, isFlag := value.(bool)
	switch {
	case value == nil && t.nullable:
		return statement{}, nil
	case t.kind == free && (isText || isNumber): // SQLite writes floats as text
		return d.number(json.Number(text) + number), nil
	case t.kind == logical && (isFlag || isNumber): // SQLite writes 0 and 1
		return statement{sql: "?", args: []any{flag || number == "1"}}, nil
	case isText:
		return statement{sql: "?", args: []any{text}}, nil
	case isNumber:
		n, err := number.Int64()
		if err == nil {
			return statement{sql: "CAST(? AS BIGINT)", args: []any{n}}, nil
		}
	}
	return statement{}, fmt.Errorf("the page key has the value %v for %s: %w", value, strings.TrimSpace(t.sql), storage.ErrQuery)
}

func statementsOf(order []term) []statement {
	all := make([]statement, len(order))
	for i, t := range order {
		all[i] = t.statement
	}
	return all
}
