package config

import (
	"flag"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write docs/CONFIG.md")

const page = "../docs/CONFIG.md"

func TestReferenceIsCurrent(t *testing.T) {
	t.Parallel()
	want := Reference()
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/CONFIG.md is not up to date: run go test ./config -update (-want +got):\n%s", diff)
	}
}

// TestSettingsAreDescribed tests that every setting has a description, a variable and a key of
// its own.
func TestSettingsAreDescribed(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, s := range Settings() {
		if s.Meaning == "" || s.Variable == prefix || seen[s.Key] {
			t.Errorf("setting %+v: want a meaning and a unique name", s)
		}
		if (s.Default == "") == (s.Derived == "") {
			t.Errorf("%s: want either a default or the source of a derived value", s.Key)
		}
		seen[s.Key] = true
	}
}
