package apply

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
)

// differences names the members in which two values of one struct type differ
// as JSON, in the order of the type.
func differences(before, after any) []string {
	var fields []string
	b, a := reflect.ValueOf(before), reflect.ValueOf(after)
	for i := range b.NumField() {
		if sameJSON(b.Field(i).Interface(), a.Field(i).Interface()) {
			continue
		}
		f := b.Type().Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			name = f.Name
		}
		fields = append(fields, name)
	}
	return fields
}

// sameJSON tells whether two values are the same document, whatever the order
// of members and the spaces between them.
func sameJSON(a, b any) bool { return reflect.DeepEqual(canonical(a), canonical(b)) }

func canonical(v any) any {
	encoded, err := json.Marshal(v)
	if err != nil { // a stored document that is none: differs from everything
		return err
	}
	var tree any
	in := json.NewDecoder(bytes.NewReader(encoded))
	in.UseNumber()
	_ = in.Decode(&tree) // cannot fail on what Marshal wrote
	return tree
}

// sameSet tells whether two lists have the same members.
func sameSet(a, b []string) bool { return slices.Equal(sorted(a), sorted(b)) }

func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}
