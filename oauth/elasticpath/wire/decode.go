package wire

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"latchkey/oauth/surface"
)

// ErrBody says that a body is not the JSON that an operation reads.
var ErrBody = errors.New("Could not parse the request body") //nolint:staticcheck // it is sent as it is

// Members holds the members of the data of a body, by their names.
type Members map[string]json.RawMessage

// IsNull reports whether the member is there and null.
func (m Members) IsNull(name string) bool { return string(m[name]) == "null" }

// DecodeData decodes the data of a body into the shape that into points to. Its
// type must be one of kinds, or absent. Members that the shape does not have are
// ignored, because clients send resources as they got them. Errors: *InvalidError,
// ErrBody.
func DecodeData(data json.RawMessage, into any, kinds ...string) (Members, error) {
	var all Members
	if len(data) == 0 || json.Unmarshal(data, &all) != nil || all == nil {
		return nil, Invalid("data", "required")
	}
	var kind string
	if given, ok := all["type"]; ok && (json.Unmarshal(given, &kind) != nil || !slices.Contains(kinds, kind)) {
		return nil, Invalid("type", "eq")
	}
	var wrong *json.UnmarshalTypeError
	switch err := json.Unmarshal(data, into); {
	case errors.As(err, &wrong):
		return nil, Invalid(memberName(wrong.Field), "type")
	case err != nil:
		return nil, ErrBody
	}
	return all, nil
}

// memberName removes the names of embedded structs from a path that encoding/json
// reports.
func memberName(path string) string {
	parts := strings.Split(path, ".")
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p != "" && p[0] >= 'A' && p[0] <= 'Z' }), ".")
}

// takeNullable overwrites a text with what was sent. null makes it empty.
func takeNullable(into *string, value *string, sent Members, name string) {
	surface.Overwrite(into, value)
	if sent.IsNull(name) {
		*into = ""
	}
}

// takeSeconds overwrites a duration with the number of seconds that was sent.
func takeSeconds(into *time.Duration, sent *int) {
	if sent != nil {
		*into = time.Duration(*sent) * time.Second
	}
}
