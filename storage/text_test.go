package storage_test

import (
	"testing"

	"latchkey/storage"
)

func TestStorableText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "", "bob": "bob", "Bücher\n": "Bücher\n", "\ufffd": "\ufffd",
		"a\x00b": "a\ufffdb", "a\xffb": "a\ufffdb", "\xc3\x28": "\ufffd(", "\x00\xff": "\ufffd\ufffd",
	} {
		if got := storage.StorableText(text); got != want || !storage.IsStorable(got) {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
		if storage.IsStorable(text) != (text == want) {
			t.Errorf("%q: got storable %v, want the opposite", text, storage.IsStorable(text))
		}
	}
}
