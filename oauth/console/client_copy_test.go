package console

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// TestApplyDocument tests that the document has all members of a client, with any values that /v1
// can store. A YAML parser refuses some of these values if they are written as JSON.
func TestApplyDocument(t *testing.T) {
	t.Parallel()
	for name, xp := range map[string]any{
		"control characters": map[string]any{"a": "\u007f\u0085\u2028\ufeff\x01", "\u0080": "x"},
		"a long name":        map[string]any{strings.Repeat("n", 2000): true},
		"texts that look like other values": map[string]any{
			"a": "true", "b": "1", "c": "null", "d": "", "e": "a: b", "f": "- x", "g": "two\nlines", "h": "!!binary x", "i": "*a",
		},
		"values": []any{1.5, 1e300, true, nil, map[string]any{}, []any{}, "x"},
	} {
		raw, err := json.Marshal(map[string]any{"ID": "shop", "Active": true, "AssignedBuyerCount": 1, "JWKS": nil, "xp": xp})
		if err != nil {
			t.Fatal(err)
		}
		document, err := applyDocument(raw)
		if err != nil {
			t.Errorf("%s: got the error %v, want none", name, err)
			continue
		}
		var got any
		if err := yaml.Unmarshal([]byte(document), &got); err != nil {
			t.Errorf("%s: got the error %v, want valid YAML: %s", name, err, document)
		}
		want := map[string]any{"ApiClients": []any{map[string]any{"ID": "shop", "Active": true, "xp": xp}}}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %#v, want %#v", name, got, want)
		}
	}
}
