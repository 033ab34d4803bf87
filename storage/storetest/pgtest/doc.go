// Package pgtest gives tests a real PostgreSQL: it starts the one that is
// installed on a fresh directory, migrates a template database once and clones
// it for each test.
//
//	var postgres = pgtest.Shared(pgtest.Config{Migrate: migrate})
//
//	func TestX(t *testing.T) {
//		url := postgres(t).Database(t)
//		…
//	}
//
// The server needs no cleaning up: a guard process holds a pipe from the test
// process and stops the server and deletes its directory when that pipe
// closes, however the test process ended. A test that lacks PostgreSQL fails;
// it is never skipped.
//
// With LATCHKEY_TEST_POSTGRES set to the URL of an administrator of a running
// server, the databases are created there instead, and dropped after each test.
//
// It knows nothing of Latchkey's schema; the caller brings the migration.
package pgtest
