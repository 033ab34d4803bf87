package gormstore_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"latchkey/storage"
	"latchkey/storage/gormstore"
	"latchkey/storage/gormstore/gormtest"
)

// TestEverySealedColumnIsKnown tests that Reseal knows every column of sealed secrets.
// Otherwise a new kind of secret would be forgotten when the master key changes.
func TestEverySealedColumnIsKnown(t *testing.T) {
	t.Parallel()
	columns := schema(t, "sqlite", "file:"+strings.TrimPrefix(gormtest.SQLite(t), "sqlite:"),
		`SELECT m.name || '.' || c.name FROM sqlite_master m, pragma_table_info(m.name) c
		WHERE m.type = 'table' AND c.name LIKE '%\_key\_id' ESCAPE '\' ORDER BY 1`)
	known := gormstore.SealedColumns()
	slices.Sort(known)
	if diff := cmp.Diff(columns, known); diff != "" {
		t.Errorf("sealed columns (-schema +known):\n%s", diff)
	}
	if got := storage.SealedKinds(); len(got) != len(known) {
		t.Errorf("got %d kinds of secrets for %d columns", len(got), len(known))
	}
}

// TestUpgradeToSuccessors migrates a database in which two replicas created a first key of the
// same algorithm, and in which a rotation had begun.
func TestUpgradeToSuccessors(t *testing.T) {
	t.Parallel()
	var rows []string
	for _, kid := range []string{"a", "b", "c"} {
		rows = append(rows, `INSERT INTO signing_keys (kid, alg, public, private_key_id, private, created_at, activates_at,
			retires_at, gone_at, revoked_at) VALUES ('`+kid+`', 'ES256', '', 'k', '', 1, 2, 0, 0, 0)`)
	}
	upgrade(t, 5, rows, func(ctx context.Context, t *testing.T, s *gormstore.Store) {
		t.Helper()
		keys, err := s.SigningKeys(ctx)
		if err != nil || len(keys) != 3 {
			t.Fatalf("got %d keys, error %v", len(keys), err)
		}
		next := storage.SigningKey{KID: "d", Alg: "ES256", Predecessor: "a"}
		if err := s.ChangeSigningKeys(ctx, storage.SigningKeyChange{Add: []storage.SigningKey{next}}); err != nil {
			t.Errorf("add a successor of an old key: %v", err)
		}
	})
}
