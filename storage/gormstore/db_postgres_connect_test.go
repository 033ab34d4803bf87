package gormstore

import "testing"

// TestStatementCacheCapacity tests that a connection caches cachedStatements statements unless its
// URL sets another number.
func TestStatementCacheCapacity(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		parameters            string
		statements, described int
	}{
		{"", cachedStatements, cachedStatements},
		{"?statement_cache_capacity=512", 512, cachedStatements},
		{"?description_cache_capacity=0", cachedStatements, 0},
	} {
		c, err := newConnector("postgres://localhost/latchkey"+test.parameters, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.conn; got.StatementCacheCapacity != test.statements || got.DescriptionCacheCapacity != test.described {
			t.Errorf("%q: got %d statements and %d descriptions, want %d and %d",
				test.parameters, got.StatementCacheCapacity, got.DescriptionCacheCapacity, test.statements, test.described)
		}
	}
}
