package gormstore_test

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"latchkey/storage/gormstore"
	"latchkey/storage/gormstore/gormtest"
)

// TestBothSchemas tests that both databases have the same tables with the same columns. Their
// only sequences are the ones that a copy continues.
func TestBothSchemas(t *testing.T) {
	t.Parallel()
	columns := map[string][]string{}
	for dialect, test := range map[string]struct{ url, sequence string }{
		"sqlite":   {"sqlite:" + filepath.Join(t.TempDir(), "schema.db"), "code_requests"},
		"postgres": {gormtest.Postgres(t).Database(t), "code_requests_seq"},
	} {
		s := open(t, gormstore.Config{URL: test.url})
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		found, sequences, err := s.CopiedColumns(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(sequences, []string{test.sequence}) {
			t.Errorf("%s: got the sequences %v, want only those that a copy continues", dialect, sequences)
		}
		columns[dialect] = slices.Sorted(slices.Values(found))
	}
	if diff := cmp.Diff(columns["sqlite"], columns["postgres"]); diff != "" || len(columns["sqlite"]) < 200 {
		t.Errorf("columns (-sqlite +postgres):\n%s", diff)
	}
}
