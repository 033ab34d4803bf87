package gormstore_test

import (
	"errors"
	"strconv"
	"testing"

	"latchkey/storage"
	"latchkey/storage/gormstore"
)

// TestTotals tests that lists count up to a bound and estimate larger totals, whatever they
// select. A list whose page ends beyond the bound is counted.
func TestTotals(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		const users, bound = 5_000, 600
		insertRows(t, url, users)
		var c counter
		s := open(t, gormstore.Config{URL: url, OnStatement: c.add})
		s.CountUpTo(bound)
		list := func(q storage.Query, statements int) (page storage.Page[storage.UserLogin]) {
			t.Helper()
			q.Limit = 100
			seen := c.during(t, func() (err error) {
				page, err = s.ListUsers(t.Context(), storage.UserScope{RealmID: "default", Kind: storage.Buyer, AccountUID: "acc0"}, q)
				return err
			})
			if len(seen) != statements+1 || len(page.Items) != 100 { // one more reads the logins
				t.Errorf("got %d statements and %d users: %q", len(seen), len(page.Items), seen)
			}
			return page
		}
		about := func(page storage.Page[storage.UserLogin], want int) {
			t.Helper()
			if !page.Estimated || page.Total < want*8/10 || page.Total > want*12/10 {
				t.Errorf("got about %d users (estimated %t), want about %d", page.Total, page.Estimated, want)
			}
		}
		exactly := func(page storage.Page[storage.UserLogin], want int) {
			t.Helper()
			if page.Estimated || page.Total != want {
				t.Errorf("got %d users (estimated %t), want %d", page.Total, page.Estimated, want)
			}
		}
		first := list(storage.Query{}, 3)
		about(first, users)
		second := list(storage.Query{After: first.Next}, 1)
		if about(second, users); second.Total != first.Total || second.Offset != 100 {
			t.Errorf("the second page begins at %d of %d, the first one said %d", second.Offset, second.Total, first.Total)
		}
		about(list(storage.Query{Offset: bound - 100}, 3), users)
		exactly(list(storage.Query{Offset: bound - 99}, 2), users)
		last := list(storage.Query{Offset: users - 100}, 2)
		if exactly(last, users); last.Next != "" {
			t.Errorf("the last page has a key of a next page")
		}
		created := func(below string) []storage.Condition {
			return []storage.Condition{{Fields: []string{"CreatedAt"}, Tests: []storage.Test{{Op: storage.OpLess, Value: below}}}}
		}
		exactly(list(storage.Query{Where: created("1970-01-01T00:00:00.1Z")}, 2), countCreated(t, url, 100_000))
		about(list(storage.Query{Where: created("1970-01-01T00:00:00.4Z")}, 3), countCreated(t, url, 400_000))
	})
}

// countCreated counts the users that were created before a time in microseconds.
func countCreated(t *testing.T, url string, before int) (n int) {
	t.Helper()
	if err := direct(t, url).QueryRow("SELECT count(*) FROM users WHERE created_at < " + strconv.Itoa(before)).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestUncountedPages tests that a list that is not counted has the same records as others,
// in one statement a page, and that its total is exact on the last page.
func TestUncountedPages(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		const users, limit = 250, 100
		insertRows(t, url, users)
		var c counter
		s := open(t, gormstore.Config{URL: url, OnStatement: c.add})
		scope := storage.UserScope{RealmID: "default", Kind: storage.Buyer, AccountUID: "acc0"}
		read := func(q storage.Query, statements int) (page storage.Page[storage.UserLogin]) {
			t.Helper()
			seen := c.during(t, func() (err error) { page, err = s.ListUsers(t.Context(), scope, q); return err })
			if len(seen) != statements+1 { // one more reads the logins
				t.Errorf("got %d statements: %q", len(seen), seen)
			}
			return page
		}
		uncounted := storage.Query{Limit: limit, Uncounted: true}
		for offset := 0; offset < users; offset += limit {
			want := read(storage.Query{Limit: limit, Offset: offset}, 2)
			got := read(uncounted, 1)
			if len(got.Items) != len(want.Items) || got.Items[0].User.ID != want.Items[0].User.ID || got.Offset != offset {
				t.Errorf("the page at %d has %d users from %s at %d, want %d from %s", offset, len(got.Items), got.Items[0].User.ID, got.Offset, len(want.Items), want.Items[0].User.ID)
			}
			last := offset+limit >= users
			if total := min(offset+limit+1, users); got.Total != total || got.Estimated == last || (got.Next == "") != last {
				t.Errorf("the page at %d says total %d (estimated %t), want %d, and next %q", offset, got.Total, got.Estimated, total, got.Next)
			}
			uncounted = storage.Query{Limit: limit, After: got.Next}
		}
		if _, err := s.ListUsers(t.Context(), scope, storage.Query{Limit: limit, Offset: 1, Uncounted: true}); !errors.Is(err, storage.ErrQuery) {
			t.Errorf("an offset in an uncounted list: %v", err)
		}
	})
}
