package openapi

import (
	"reflect"
	"strings"
)

// member is a member of a JSON object that encoding/json makes of a struct field.
type member struct {
	name     string
	t        reflect.Type
	optional bool // left out if empty
	required bool // in requests
	nullable bool // may be null in responses, although it is not a pointer
	quoted   bool // a number that is encoded as a string
}

// embeddedStruct is a struct whose members belong to the struct that embeds it.
type embeddedStruct struct {
	t        reflect.Type
	optional bool // embedded as a pointer
}

// members returns the members of a struct, including those of embedded structs. If several
// members have the same name, the least nested one is used, as in encoding/json.
func members(t reflect.Type) []member {
	var all []member
	taken, visited := map[string]bool{}, map[reflect.Type]bool{}
	for levels := []embeddedStruct{{t, false}}; len(levels) > 0; {
		var deeper []embeddedStruct
		var found []member
		count := map[string]int{}
		for _, l := range levels {
			if visited[l.t] {
				continue
			}
			visited[l.t] = true
			direct, embedded := fieldsOf(l)
			found, deeper = append(found, direct...), append(deeper, embedded...)
		}
		for _, m := range found {
			count[m.name]++
		}
		for _, m := range found {
			if !taken[m.name] && count[m.name] == 1 {
				all = append(all, m)
			}
		}
		for name := range count {
			taken[name] = true
		}
		levels = deeper
	}
	return all
}

// fieldsOf returns the members of a struct itself, and the structs that it embeds.
func fieldsOf(l embeddedStruct) (direct []member, embedded []embeddedStruct) {
	for i := range l.t.NumField() {
		f := l.t.Field(i)
		tag := f.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		if tag == "-" {
			continue
		}
		if t := f.Type; f.Anonymous && name == "" {
			pointer := t.Kind() == reflect.Pointer
			if pointer {
				t = t.Elem()
			}
			if _, custom := customSchema(t); t.Kind() == reflect.Struct && !custom {
				embedded = append(embedded, embeddedStruct{t, l.optional || pointer})
				continue
			}
		}
		if f.IsExported() {
			direct = append(direct, newMember(f, name, options, l.optional))
		}
	}
	return direct, embedded
}

func newMember(f reflect.StructField, name, options string, optional bool) member {
	if name == "" {
		name = f.Name
	}
	m := member{
		name: name, t: f.Type, optional: optional,
		required: f.Tag.Get("openapi") == "required", nullable: f.Tag.Get("openapi") == "nullable",
	}
	for option := range strings.SplitSeq(options, ",") {
		switch option {
		case "omitempty", "omitzero":
			m.optional = true
		case "string":
			m.quoted = true
		}
	}
	return m
}

// hasRequired reports whether a type has a member that is required in requests.
func hasRequired(t reflect.Type, visited map[reflect.Type]bool) bool {
	if _, custom := customSchema(t); custom || visited[t] {
		return false
	}
	visited[t] = true
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return hasRequired(t.Elem(), visited)
	case reflect.Struct:
		for _, m := range members(t) {
			if m.required || hasRequired(m.t, visited) {
				return true
			}
		}
		return false
	default:
		return false
	}
}
