// Package kit contains the fixtures and helpers that the end-to-end tests in test/e2e
// share.
//
// A Fixture is one database with users and clients, a clock that tests can advance, an
// inbox for messages, and any number of servers. EachDatabase runs a test on an SQLite
// and on a PostgreSQL fixture. A Server is one server as its clients see it, in this
// process or, as a Process, one that can be killed. OneServer, OrderCloud and
// ElasticPath are fixtures with servers and with what the tests of a dialect need.
//
// Commands run as the real program, which is built once; see Program.
package kit
