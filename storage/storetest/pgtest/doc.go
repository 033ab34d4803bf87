// Package pgtest runs a PostgreSQL server for tests. It starts the installed server with
// a new data directory, migrates a template database once, and clones it for each test.
//
//	var postgres = pgtest.Shared(pgtest.Config{Migrate: migrate})
//
//	func TestX(t *testing.T) {
//		url := postgres(t).Database(t)
//		…
//	}
//
// Tests need not stop the server. A guard process reads from a pipe of the test process.
// When the pipe closes, however the test process ended, it stops the server and deletes
// its directory. Without PostgreSQL, tests fail; they are never skipped.
//
// If LATCHKEY_TEST_POSTGRES is set to the URL of an administrator of a running server,
// the databases are created there instead, and dropped after each test.
//
// Server.Pooler starts a PgBouncer in front of the server. StartReplicated starts a server
// of its own that can have a Standby, which can be promoted. Servers and poolers can be
// frozen.
//
// The package does not depend on Latchkey's schema; the caller passes the migration.
package pgtest
