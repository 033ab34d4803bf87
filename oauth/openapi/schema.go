package openapi

import (
	"encoding"
	"encoding/json"
	"reflect"
	"time"
)

// mode is what a schema describes. What the server writes has all its members;
// what it reads may lack any but those with the tag
//
//	openapi:"required"
//
// and what changes a part may lack those, too. A list that an answer may have
// null for has the tag
//
//	openapi:"nullable"
type mode int

const (
	answers mode = iota
	requests
	changes
)

func bodyMode(o *Operation) mode {
	if o.Partial {
		return changes
	}
	return requests
}

var (
	timeType      = reflect.TypeFor[time.Time]()
	marshaler     = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
)

// of returns the schema of a value's type.
func (s *schemas) of(value any, m mode) object { return s.schema(reflect.TypeOf(value), m) }

// schema returns the schema of a type: a reference for a struct with a name, so
// that types may contain themselves.
func (s *schemas) schema(t reflect.Type, m mode) object {
	if schema, ok := encodesItself(t); ok {
		return schema
	}
	switch t.Kind() {
	case reflect.Pointer:
		return nullable(s.schema(t.Elem(), m))
	case reflect.Struct:
		if name, ok := s.names[useOf(t, m)]; ok {
			return object{"$ref": "#/components/schemas/" + name}
		}
		return s.structure(t, m)
	case reflect.Map:
		return object{"type": "object", "additionalProperties": s.schema(t.Elem(), m)}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return object{"type": "string", "contentEncoding": "base64"}
		}
		return object{"type": "array", "items": s.schema(t.Elem(), m)}
	case reflect.Array:
		return object{"type": "array", "items": s.schema(t.Elem(), m), "minItems": t.Len(), "maxItems": t.Len()}
	default:
		return scalar(t)
	}
}

// scalar returns the schema of a type without parts. What has none in JSON, an
// interface say, may be anything.
func scalar(t reflect.Type) object {
	switch t.Kind() {
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return object{"type": "integer"}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return object{"type": "integer", "minimum": 0}
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}
	default:
		return object{}
	}
}

// encodesItself returns the schema of a type that does not go by its kind:
// json.RawMessage, say, may be anything.
func encodesItself(t reflect.Type) (object, bool) {
	switch {
	case t == timeType:
		return object{"type": "string", "format": "date-time"}, true
	case t.Kind() == reflect.Pointer:
		return nil, false
	case t.Implements(marshaler), reflect.PointerTo(t).Implements(marshaler):
		return object{}, true
	case t.Implements(textMarshaler), reflect.PointerTo(t).Implements(textMarshaler):
		return object{"type": "string"}, true
	}
	return nil, false
}

// structure returns the schema of a struct, member by member.
func (s *schemas) structure(t reflect.Type, m mode) object {
	properties, required := object{}, []string{}
	for _, f := range members(t) {
		properties[f.name] = s.property(f, m)
		if m == answers && !f.optional || m == requests && f.required {
			required = append(required, f.name)
		}
	}
	out := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

func (s *schemas) property(f member, m mode) object {
	t := f.t
	if t.Kind() == reflect.Pointer && m == answers && f.optional {
		t = t.Elem() // left out instead of null
	}
	schema := s.schema(t, m)
	if f.quoted {
		schema = object{"type": "string"}
	}
	if f.nullable || m != answers && !f.required && t.Kind() != reflect.Pointer && t.Kind() != reflect.Struct {
		return nullable(schema) // in what is read, null stands for a member that is not there
	}
	return schema
}

// nullable returns a schema that also admits null.
func nullable(schema object) object {
	if len(schema) == 0 {
		return schema
	}
	if t, ok := schema["type"].(string); ok {
		schema["type"] = []string{t, "null"}
		return schema
	}
	return object{"anyOf": []object{schema, {"type": "null"}}}
}
