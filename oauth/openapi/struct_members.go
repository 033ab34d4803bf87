package openapi

import (
	"reflect"
	"strings"
)

// member is a struct's field as encoding/json sees it.
type member struct {
	name     string
	t        reflect.Type
	optional bool // left out when empty
	required bool // in requests
	nullable bool // in answers, without being a pointer
	quoted   bool // a number as a string
}

// level is a struct some embeddings deep.
type level struct {
	t        reflect.Type
	optional bool // below a pointer
}

// members returns a struct's members, those of embedded structs among them. As
// in encoding/json, of several of one name the shallowest counts.
func members(t reflect.Type) []member {
	var all []member
	taken, visited := map[string]bool{}, map[reflect.Type]bool{}
	for levels := []level{{t, false}}; len(levels) > 0; {
		var deeper []level
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

// fieldsOf returns the members of a struct itself and the structs it embeds.
func fieldsOf(l level) (direct []member, embedded []level) {
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
			if _, itself := encodesItself(t); t.Kind() == reflect.Struct && !itself {
				embedded = append(embedded, level{t, l.optional || pointer})
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

// demands tells whether a type has a member that requests must have.
func demands(t reflect.Type, visited map[reflect.Type]bool) bool {
	if _, itself := encodesItself(t); itself || visited[t] {
		return false
	}
	visited[t] = true
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return demands(t.Elem(), visited)
	case reflect.Struct:
		for _, m := range members(t) {
			if m.required || demands(m.t, visited) {
				return true
			}
		}
		return false
	default:
		return false
	}
}
