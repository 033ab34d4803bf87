package openapi

import (
	"encoding"
	"encoding/json"
	"reflect"
	"time"
)

// mode says where a schema is used. In a response all members are present, except those
// with omitempty or omitzero. In a request only members with this tag are required:
//
//	openapi:"required"
//
// In a patch no member is required. A list that may be null in a response has this tag:
//
//	openapi:"nullable"
type mode int

const (
	inResponse mode = iota
	inRequest
	inPatch
)

// bodyMode returns the mode of the request body.
func bodyMode(o *Operation) mode {
	if o.Partial {
		return inPatch
	}
	return inRequest
}

var (
	timeType      = reflect.TypeFor[time.Time]()
	marshaler     = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
)

// of returns the schema of the type of a value.
func (s *schemas) of(value any, m mode) object { return s.schema(reflect.TypeOf(value), m) }

// schema returns the schema of a type. For a named struct it is a reference, so that types
// may contain themselves.
func (s *schemas) schema(t reflect.Type, m mode) object {
	if schema, ok := customSchema(t); ok {
		return schema
	}
	switch t.Kind() {
	case reflect.Pointer:
		return nullable(s.schema(t.Elem(), m))
	case reflect.Struct:
		if name, ok := s.names[componentOf(t, m)]; ok {
			return object{"$ref": "#/components/schemas/" + name}
		}
		return s.structSchema(t, m)
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

// scalar returns the schema of a type without parts. The schema of any other type, for
// example an interface, is empty and admits any value.
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

// customSchema returns the schema of a type whose JSON does not follow from its kind:
// time.Time, and types with methods for their own encoding. It returns false for all other
// types.
func customSchema(t reflect.Type) (object, bool) {
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

// structSchema returns the schema of a struct.
func (s *schemas) structSchema(t reflect.Type, m mode) object {
	properties, required := object{}, []string{}
	for _, f := range members(t) {
		properties[f.name] = s.property(f, m)
		if m == inResponse && !f.optional || m == inRequest && f.required {
			required = append(required, f.name)
		}
	}
	out := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

// property returns the schema of a member.
func (s *schemas) property(f member, m mode) object {
	t := f.t
	if t.Kind() == reflect.Pointer && m == inResponse && f.optional {
		t = t.Elem() // left out instead of null
	}
	schema := s.schema(t, m)
	if f.quoted {
		schema = object{"type": "string"}
	}
	if f.nullable || m != inResponse && !f.required && t.Kind() != reflect.Pointer && t.Kind() != reflect.Struct {
		return nullable(schema) // in a request, null means the same as no member
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
