package openapi

import (
	"fmt"
	"path"
	"reflect"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// use is a struct with a name in a mode: what a component stands for.
type use struct {
	t reflect.Type
	m mode
}

// useOf returns the use of a type. Without a member that is required in
// requests a change is a request like any other.
func useOf(t reflect.Type, m mode) use {
	if m == changes && !demands(t, map[reflect.Type]bool{}) {
		m = requests
	}
	return use{t, m}
}

// schemas knows the components of a document by their names.
type schemas struct {
	names map[use]string
	order []use
}

// newSchemas names every component that the operations need. Two types of one
// name are told apart by their packages; a type that is both read and written
// has a component for each.
func newSchemas(operations []Operation) (*schemas, error) {
	s := &schemas{names: map[use]string{}}
	for i := range operations {
		o := &operations[i]
		for _, body := range o.Answers {
			s.find(body, answers)
		}
		s.find(o.Error, answers)
		s.find(o.Body, bodyMode(o))
	}
	types := map[string]map[reflect.Type]bool{}
	for _, u := range s.order {
		name := baseName(u.t)
		if types[name] == nil {
			types[name] = map[reflect.Type]bool{}
		}
		types[name][u.t] = true
	}
	taken := map[string]bool{}
	for _, u := range s.order {
		name := baseName(u.t)
		if len(types[name]) > 1 {
			name = path.Base(u.t.PkgPath()) + "." + name
		}
		name += s.suffix(u)
		if taken[name] {
			return nil, fmt.Errorf("two types are named %s", name)
		}
		taken[name] = true
		s.names[u] = name
	}
	return s, nil
}

// find notes the components that a value needs.
func (s *schemas) find(value any, m mode) {
	if value != nil {
		s.walk(reflect.TypeOf(value), m)
	}
}

func (s *schemas) walk(t reflect.Type, m mode) {
	if _, ok := encodesItself(t); ok {
		return
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		s.walk(t.Elem(), m)
	case reflect.Struct:
		if u := useOf(t, m); t.Name() != "" {
			if _, known := s.names[u]; known {
				return
			}
			s.names[u] = ""
			s.order = append(s.order, u)
		}
		for _, f := range members(t) {
			s.walk(f.t, m)
		}
	default: // has no parts
	}
}

// suffix tells the components of one type apart. The first mode that it is used
// in needs none.
func (s *schemas) suffix(u use) string {
	for m := answers; m < u.m; m++ {
		if _, ok := s.names[use{u.t, m}]; ok {
			return [...]string{requests: "Input", changes: "Patch"}[u.m]
		}
	}
	return ""
}

// components returns the schema of each component by its name.
func (s *schemas) components() object {
	all := object{}
	for u, name := range s.names {
		all[name] = s.structure(u.t, u.m)
	}
	return all
}

// identifier is a name in the arguments of a generic type's name, with the path
// of its package.
var identifier = regexp.MustCompile(`[^\[\],]+`)

// baseName returns a type's name the way a component may be called: that of
// List[some/package.User] is ListOfUser.
func baseName(t reflect.Type) string {
	name := identifier.ReplaceAllStringFunc(t.Name(), func(qualified string) string {
		own := qualified[strings.LastIndexAny(qualified, "./*")+1:]
		first, size := utf8.DecodeRuneInString(own)
		return string(unicode.ToUpper(first)) + own[size:]
	})
	return strings.NewReplacer("[", "Of", "]", "", ",", "And").Replace(name)
}
