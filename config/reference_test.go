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
		t.Errorf("docs/CONFIG.md is stale; go test ./config -update writes it (-want +got):\n%s", diff)
	}
}

// TestSettingsAreDescribed keeps a new field from being added without its
// description.
func TestSettingsAreDescribed(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, s := range Settings() {
		if s.Meaning == "" || s.Variable == prefix || seen[s.Key] {
			t.Errorf("setting %+v lacks its meaning or a name of its own", s)
		}
		if (s.Default == "") == (s.Derived == "") {
			t.Errorf("%s: want either a default or where it is derived from", s.Key)
		}
		seen[s.Key] = true
	}
}
