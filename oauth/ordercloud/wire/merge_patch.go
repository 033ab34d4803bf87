package wire

import (
	"encoding/json"
	"maps"
)

// Patched returns a shape, as the wire shows it, with a merge patch applied (RFC 7396). The
// error is Faults if the result is not a valid shape.
func Patched[W any](shown W, patch []byte) (w W, err error) {
	document, err := json.Marshal(shown)
	if err != nil {
		return w, err
	}
	_, faults := DecodeKnown(mergePatch(document, patch), &w)
	return w, faults.Err()
}

// mergePatch returns the document with the patch applied. Both are JSON objects.
func mergePatch(document, patch []byte) []byte {
	var into, from map[string]json.RawMessage
	_ = json.Unmarshal(document, &into) // both were decoded before
	_ = json.Unmarshal(patch, &from)
	if into == nil {
		into = map[string]json.RawMessage{}
	}
	for name, value := range from {
		switch {
		case string(value) == "null":
			delete(into, name)
		case value[0] == '{':
			into[name] = mergePatch(objectOr(into[name]), value)
		default:
			into[name] = value
		}
	}
	encoded, _ := json.Marshal(maps.Clone(into)) // cannot fail: it is made of JSON
	return encoded
}

func objectOr(value json.RawMessage) []byte {
	if len(value) > 0 && value[0] == '{' {
		return value
	}
	return []byte("{}")
}
