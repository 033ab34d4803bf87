package wire

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"latchkey/oauth/surface"
)

// Decode decodes a JSON document into the struct that into points to. It returns
// all faults; path is the place of the document. It is stricter than encoding/json:
// unknown and repeated members are faults, and letter case counts. A null is the
// same as an absent member. A json.RawMessage takes any value.
func Decode(data []byte, path string, into any) Faults {
	var d decoder
	d.document(data, path, into)
	return d.faults
}

// DecodeKnown is Decode for bodies of OrderCloud's clients, which send members of
// other resources and of later versions. Unknown members are ignored and their
// paths returned. An unknown member whose name looks like a misspelling is still a
// fault.
func DecodeKnown(data []byte, into any) (ignored []string, faults Faults) {
	d := decoder{ignoresUnknown: true}
	d.document(data, "", into)
	return d.ignored, d.faults
}

type decoder struct {
	ignoresUnknown bool
	ignored        []string
	faults         Faults
}

func (d *decoder) document(data []byte, path string, into any) {
	if !json.Valid(data) {
		d.faults.Add(path, "not a JSON document")
		return
	}
	d.value(data, path, reflect.ValueOf(into).Elem())
}

func (d *decoder) value(raw json.RawMessage, path string, v reflect.Value) {
	raw = bytes.TrimSpace(raw)
	switch own, ok := v.Addr().Interface().(json.Unmarshaler); {
	case string(raw) == "null":
		return
	case ok: // json.RawMessage, which takes anything, and time.Time
		if own.UnmarshalJSON(raw) != nil {
			d.faults.Add(path, "must be a time of RFC 3339")
		}
	case v.Kind() == reflect.Pointer:
		target := reflect.New(v.Type().Elem())
		d.value(raw, path, target.Elem())
		v.Set(target)
	case v.Kind() == reflect.Struct:
		d.object(raw, path, v)
	case v.Kind() == reflect.Slice:
		d.list(raw, path, v)
	default:
		if json.Unmarshal(raw, v.Addr().Interface()) != nil {
			d.faults.Add(path, "must be %s", describe(v.Kind()))
		}
	}
}

func (d *decoder) list(raw json.RawMessage, path string, v reflect.Value) {
	var elements []json.RawMessage
	if json.Unmarshal(raw, &elements) != nil {
		d.faults.Add(path, "must be a list")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(elements), len(elements)))
	for i, e := range elements {
		if string(bytes.TrimSpace(e)) == "null" {
			d.faults.Add(Index(path, i), "must not be null")
			continue
		}
		d.value(e, Index(path, i), v.Index(i))
	}
}

func (d *decoder) object(raw json.RawMessage, path string, v reflect.Value) {
	if raw[0] != '{' {
		d.faults.Add(path, "must be an object")
		return
	}
	known := MemberIndexes(v.Type())
	seen := map[string]bool{}
	in := json.NewDecoder(bytes.NewReader(raw))
	_, _ = in.Token() // the brace; Decode has checked the syntax
	for in.More() {
		token, _ := in.Token()
		name, _ := token.(string)
		var value json.RawMessage
		_ = in.Decode(&value)
		field, ok := known[name]
		switch {
		case seen[name]:
			d.faults.Add(Join(path, name), "occurs twice")
		case !ok:
			d.unknown(Join(path, name), surface.Resembled(name, slices.Collect(maps.Keys(known))))
		default:
			d.value(value, Join(path, name), v.FieldByIndex(field))
		}
		seen[name] = true
	}
}

// MemberIndexes returns the JSON names of a struct's fields with their indexes.
// Fields of embedded structs are included.
func MemberIndexes(t reflect.Type) map[string][]int {
	byName := map[string][]int{}
	for _, f := range reflect.VisibleFields(t) {
		if f.Anonymous || !f.IsExported() {
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			name = f.Name
		}
		byName[name] = f.Index
	}
	return byName
}

// unknown handles an unknown member. meant is the member whose name it looks like,
// or "".
func (d *decoder) unknown(path, meant string) {
	switch {
	case meant != "":
		d.faults.Add(path, "unknown member; did you mean %s?", meant)
	case d.ignoresUnknown:
		d.ignored = append(d.ignored, path)
	default:
		d.faults.Add(path, "unknown member")
	}
}

func describe(k reflect.Kind) string {
	switch k {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string (in YAML, quote what looks like a number)"
	default:
		return "a whole number"
	}
}
