package terminal

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"
)

// TestJSON tests that each character that controls a terminal is escaped as ASCII, and that a
// parser gets the same text.
func TestJSON(t *testing.T) {
	for r := range unicode.MaxRune {
		if !Controls(r) {
			continue
		}
		want := "a" + string(r) + "é😀z"
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if n, err := JSON(&out).Write(append(text, '\n')); err != nil || n != len(text)+1 {
			t.Fatalf("U+%04X: got %d bytes, error %v", r, n, err)
		}
		if strings.ContainsFunc(strings.TrimSuffix(out.String(), "\n"), Controls) {
			t.Errorf("U+%04X: got %q, want no control characters", r, out.String())
		}
		var got string
		if err := json.Unmarshal(out.Bytes(), &got); err != nil || got != want {
			t.Errorf("U+%04X: got %q after parsing, error %v", r, got, err)
		}
	}
}

// TestInvalidUTF8 tests that bytes that are not UTF-8 become the replacement character.
func TestInvalidUTF8(t *testing.T) {
	var out bytes.Buffer
	if _, err := JSON(&out).Write([]byte("\"\xff\"\n")); err != nil || out.String() != `"\ufffd"`+"\n" {
		t.Errorf("got %q, error %v", out.String(), err)
	}
}
