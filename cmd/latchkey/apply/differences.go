package apply

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
)

// differences returns the names of the fields whose JSON differs between two values
// of one struct type, in the order of the type.
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

// sameJSON reports whether two values are equal as JSON. The order of members and
// white space do not matter.
func sameJSON(a, b any) bool { return reflect.DeepEqual(canonical(a), canonical(b)) }

func canonical(v any) any {
	encoded, err := json.Marshal(v)
	if err != nil { // the stored text is not JSON: it differs from everything
		return err
	}
	var tree any
	in := json.NewDecoder(bytes.NewReader(encoded))
	in.UseNumber()
	_ = in.Decode(&tree) // cannot fail on what Marshal wrote
	return tree
}

// sameSet reports whether two lists have the same elements in any order.
func sameSet(a, b []string) bool { return slices.Equal(sorted(a), sorted(b)) }

func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}
