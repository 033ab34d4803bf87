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

// component is a named struct in a mode. It has a schema of its own in the document.
type component struct {
	t reflect.Type
	m mode
}

// componentOf returns the component of a type. If the type has no member that is required
// in requests, a patch has the same schema as a request.
func componentOf(t reflect.Type, m mode) component {
	if m == inPatch && !hasRequired(t, map[reflect.Type]bool{}) {
		m = inRequest
	}
	return component{t, m}
}

// schemas has the names of the components of a document.
type schemas struct {
	names map[component]string
	order []component
}

// newSchemas names all components of the operations. If two types have the same name, the
// package becomes part of it. A type that is used in requests and in responses has a
// component for each. It returns an error if a name is still not unique.
func newSchemas(operations []Operation) (*schemas, error) {
	s := &schemas{names: map[component]string{}}
	for i := range operations {
		o := &operations[i]
		for _, body := range o.Answers {
			s.find(body, inResponse)
		}
		s.find(o.Error, inResponse)
		s.find(o.Body, bodyMode(o))
	}
	types := map[string]map[reflect.Type]bool{}
	for _, c := range s.order {
		name := baseName(c.t)
		if types[name] == nil {
			types[name] = map[reflect.Type]bool{}
		}
		types[name][c.t] = true
	}
	taken := map[string]bool{}
	for _, c := range s.order {
		name := baseName(c.t)
		if len(types[name]) > 1 {
			name = packageName(c.t.PkgPath()) + "." + name
		}
		name += s.suffix(c)
		if taken[name] {
			return nil, fmt.Errorf("two types are named %s", name)
		}
		taken[name] = true
		s.names[c] = name
	}
	return s, nil
}

// packageName returns the name of a package in the names of components. A package wire
// holds the shapes of the package that it is in, so it has the name of that.
func packageName(importPath string) string {
	return path.Base(strings.TrimSuffix(importPath, "/wire"))
}

// find records the components of the type of a value.
func (s *schemas) find(value any, m mode) {
	if value != nil {
		s.walk(reflect.TypeOf(value), m)
	}
}

// walk records the components of a type and of its parts.
func (s *schemas) walk(t reflect.Type, m mode) {
	if _, ok := customSchema(t); ok {
		return
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		s.walk(t.Elem(), m)
	case reflect.Struct:
		if c := componentOf(t, m); t.Name() != "" {
			if _, known := s.names[c]; known {
				return
			}
			s.names[c] = ""
			s.order = append(s.order, c)
		}
		for _, f := range members(t) {
			s.walk(f.t, m)
		}
	default: // no parts
	}
}

// suffix returns the suffix that distinguishes the components of one type. The component
// of its first mode has none.
func (s *schemas) suffix(c component) string {
	for m := inResponse; m < c.m; m++ {
		if _, ok := s.names[component{c.t, m}]; ok {
			return [...]string{inRequest: "Input", inPatch: "Patch"}[c.m]
		}
	}
	return ""
}

// components returns the schemas of all components, by name.
func (s *schemas) components() object {
	all := object{}
	for c, name := range s.names {
		all[name] = s.structSchema(c.t, c.m)
	}
	return all
}

// identifier matches a name in the name of a generic type, with the path of its package.
var identifier = regexp.MustCompile(`[^\[\],]+`)

// baseName returns the name of a type in the form of a component's name. For
// List[some/package.User] it is ListOfUser.
func baseName(t reflect.Type) string {
	name := identifier.ReplaceAllStringFunc(t.Name(), func(qualified string) string {
		own := qualified[strings.LastIndexAny(qualified, "./*")+1:]
		first, size := utf8.DecodeRuneInString(own)
		return string(unicode.ToUpper(first)) + own[size:]
	})
	return strings.NewReplacer("[", "Of", "]", "", ",", "And").Replace(name)
}
