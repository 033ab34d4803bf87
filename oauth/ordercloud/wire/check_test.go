package wire

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestXPIsSearchable tests that XP that one of the databases cannot search is refused.
// Otherwise each list that filters by xp would fail.
func TestXPIsSearchable(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	for document, good := range map[string]bool{
		`{}`: true, `{"a":[1,-2.5e3,true,null,"ä\n\ud83d\ude00"]}`: true, `{"a":1e307}`: true, deep(32): true,
		`[]`: false, `"a"`: false, `1`: false,
		`{"a":1e400}`: false, `{"a":1e999999999}`: false, `{"a":"\u0000"}`: false, `{"\u0000":1}`: false,
		`{"a":"\ud800"}`: false, `{"a":["\udc00x"]}`: false, deep(33): false,
		`{"a":"` + strings.Repeat("x", 64<<10) + `"}`: false,
	} {
		var c check
		c.xp(json.RawMessage(document))
		if (c.faults == nil) != good {
			t.Errorf("%.60s: got %v, want good: %v", document, c.faults, good)
		}
	}
}
