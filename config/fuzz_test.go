package config

import (
	"strings"
	"testing"
)

// FuzzLoadYAML loads any text as a file. The result must be a valid configuration or an error
// of one line.
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
				t.Fatalf("Load accepted a configuration that Validate refuses: %v", err)
			}
			return
		}
		if strings.ContainsAny(err.Error(), "\r\n\x1b") {
			t.Errorf("got the error %q, want one line without control characters", err)
		}
	})
}
