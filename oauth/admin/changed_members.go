package admin

import (
	"bytes"
	"encoding/json"
	"slices"
)

// ChangedHeader is the response header with the names of the members that a change
// gave another value, separated by commas. It does not contain their values.
const ChangedHeader = "Latchkey-Changed"

// NoticeHeader is the response header that warns an administrator: a client that
// has secrets was given further roles.
const NoticeHeader = "Latchkey-Notice"

// ChangedMembers returns the sorted names of the members that differ between two
// values in JSON. A member of an inner object is named by its path, such as
// "PasswordConfig.LockoutDuration". The administrator's own data, "xp", is one member.
// Both values must be encodable.
func ChangedMembers(before, after any) []string {
	names := differing("", object(encoded(before)), object(encoded(after)))
	slices.Sort(names)
	return names
}

func differing(path string, before, after map[string]json.RawMessage) []string {
	var names []string
	for name := range joined(before, after) {
		had, has := before[name], after[name]
		switch inHad, inHas := object(had), object(has); {
		case isAbsent(had) && isAbsent(has), bytes.Equal(had, has):
		case name != "xp" && (inHad != nil || inHas != nil):
			names = append(names, differing(path+name+".", inHad, inHas)...)
		default:
			names = append(names, path+name)
		}
	}
	return names
}

func joined(a, b map[string]json.RawMessage) map[string]bool {
	names := make(map[string]bool, len(a)+len(b))
	for name := range a {
		names[name] = true
	}
	for name := range b {
		names[name] = true
	}
	return names
}

// isAbsent reports whether a member has no value, in any of the encodings of no value.
func isAbsent(value json.RawMessage) bool {
	switch string(value) {
	case "", "null", `""`, "[]", "false", "0":
		return true
	}
	return false
}

// object returns the members of a JSON object; nil for any other value.
func object(value json.RawMessage) map[string]json.RawMessage {
	var members map[string]json.RawMessage
	if json.Unmarshal(value, &members) != nil {
		return nil
	}
	return members
}

// encoded returns the value as JSON; empty if it cannot be encoded.
func encoded(value any) json.RawMessage {
	text, err := json.Marshal(value)
	if err != nil {
		return nil
	}
	return text
}
