package config

import (
	"strings"
	"testing"
)

// FuzzLoadYAML feeds any text to the loader as a file. Whatever comes out must
// be a valid configuration or a one-line error.
func FuzzLoadYAML(f *testing.F) {
	f.Add([]byte("listen: 127.0.0.1:1\noutbound_allow: [10.0.0.0/8]\n"))
	f.Add([]byte("master_key: [" + keyA + "]\nlog_level: !!str info\n"))
	f.Add([]byte("a: &a [*a, *a]\n<<: *a\n"))
	f.Add([]byte("? [x]\n: y\n---\n...\n"))
	f.Add([]byte("%YAML 1.1\n# only a comment"))
	f.Fuzz(func(t *testing.T, text []byte) {
		read := func(name string) ([]byte, error) {
			if name == "the-file" {
				return text, nil
			}
			return []byte("content of a secret file"), nil
		}
		c, err := Load(Sources{File: "the-file", ReadFile: read})
		if err == nil {
			err = c.Validate()
			if err != nil {
				t.Fatalf("Load accepted what Validate refuses: %v", err)
			}
			return
		}
		if strings.ContainsAny(err.Error(), "\r\n\x1b") {
			t.Errorf("the error is not one harmless line: %q", err)
		}
	})
}
