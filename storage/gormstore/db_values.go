package gormstore

import (
	"encoding/json"
	"strings"
	"time"

	"latchkey/storage"
)

// micros returns the stored form of a time: microseconds since 1970, 0 for the zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func instant(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

func span(us int64) time.Duration { return time.Duration(us) * time.Microsecond }

// words is the stored form of a list of names without spaces.
func words(list []string) string { return strings.Join(list, " ") }

func list(words string) []string {
	if words == "" {
		return nil
	}
	return strings.Fields(words)
}

func raw(xp string) json.RawMessage {
	if xp == "" {
		return nil
	}
	return json.RawMessage(xp)
}

func sealed(keyID string, data blob) storage.Sealed {
	return storage.Sealed{KeyID: keyID, Data: data}
}

// columns is a list of column names, in SQL's notation without the commas.
type columns string

// of qualifies the columns with the table's alias and renames them to
// alias_column, so that rows of several tables fit into one.
func (c columns) of(alias string) string {
	out := make([]string, 0, 32)
	for _, name := range strings.Fields(string(c)) {
		out = append(out, alias+"."+name+" AS "+alias+"_"+name)
	}
	return strings.Join(out, ", ")
}

// joined selects the columns of a row type whose prefixes are the aliases of the
// tables: m_id is the column id of m.
func (c columns) joined() string {
	out := make([]string, 0, 32)
	for _, name := range strings.Fields(string(c)) {
		alias, column, _ := strings.Cut(name, "_")
		out = append(out, alias+"."+column+" AS "+name)
	}
	return strings.Join(out, ", ")
}

func (c columns) list() string { return strings.Join(strings.Fields(string(c)), ", ") }

// set assigns "?" to each column or, with another prefix, the column of that name
// under the prefix.
func (c columns) set(to string) string {
	out := make([]string, 0, 16)
	for _, name := range strings.Fields(string(c)) {
		value := to
		if to != "?" {
			value += name
		}
		out = append(out, name+" = "+value)
	}
	return strings.Join(out, ", ")
}

// marks is one "?" for each column.
func (c columns) marks() string { return marks(len(strings.Fields(string(c)))) }

// marks is n times "?".
func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?, ", n), ", ") }
