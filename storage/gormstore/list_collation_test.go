package gormstore_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"latchkey/storage"
	"latchkey/storage/gormstore"
	"latchkey/storage/gormstore/gormtest"
)

// TestListsIgnoreTheLocale gives a column the collation of a server with another locale. Text
// must still compare and sort by its bytes, and the same letters must match when case is
// ignored.
func TestListsIgnoreTheLocale(t *testing.T) {
	t.Parallel()
	url := gormtest.Postgres(t).Database(t)
	if _, err := direct(t, url).Exec(`ALTER TABLE accounts ALTER COLUMN name TYPE TEXT COLLATE "en-x-icu"`); err != nil {
		t.Fatal(err)
	}
	s, ctx := open(t, gormstore.Config{URL: url}), context.Background()
	for i, name := range []string{"b", "A", "a", "B", "ü", "Ü", "a_b", "ab"} {
		_, err := s.PutAccount(ctx, storage.Account{
			UID: fmt.Sprint(i), RealmID: storage.DefaultRealmID, Kind: storage.Buyer, ID: fmt.Sprint(i), Name: name,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		test storage.Test
		want string
	}{
		{storage.Test{Op: storage.OpLike, Value: "*"}, "A B a a_b ab b Ü ü"},
		{storage.Test{Op: storage.OpEqualFold, Value: "A"}, "A a"},
		{storage.Test{Op: storage.OpEqualFold, Value: "ü"}, "Ü ü"},
		{storage.Test{Op: storage.OpLikeFold, Value: "Ü*"}, "Ü ü"},
		{storage.Test{Op: storage.OpLess, Value: "a"}, "A B"},
		{storage.Test{Op: storage.OpGreater, Value: "a_b"}, "ab b Ü ü"},
	} {
		page, err := s.ListAccounts(ctx, storage.DefaultRealmID, storage.Buyer, storage.Query{
			Where: []storage.Condition{{Fields: []string{"Name"}, Tests: []storage.Test{tt.test}}},
			Sort:  []storage.Order{{Field: "Name"}}, Limit: 100,
		})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, a := range page.Items {
			names = append(names, a.Name)
		}
		if diff := cmp.Diff(tt.want, strings.Join(names, " ")); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", tt.test, diff)
		}
	}
}
