package wire

import "testing"

// TestMergePatch tests the cases of RFC 7396, appendix A, in which both are objects.
func TestMergePatch(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ document, patch, want string }{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, ` { "a" : null } `, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`{"e":null}`, `{"a":1}`, `{"a":1,"e":null}`},
		{`{"a":"b"}`, `{"a":{"c":{"d":null,"e":1}}}`, `{"a":{"c":{"e":1}}}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
		{`{"n":12345678901234567890.10}`, `{"m":1e400}`, `{"m":1e400,"n":12345678901234567890.10}`},
	} {
		if got := string(mergePatch([]byte(tt.document), []byte(tt.patch))); got != tt.want {
			t.Errorf("%s with %s: got %s, want %s", tt.document, tt.patch, got, tt.want)
		}
	}
}
