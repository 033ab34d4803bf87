// Package storetest holds what every store of Latchkey must do, as tests that
// an implementation runs against itself. It covers single calls, and the races
// that the security of the server rests on: single use of a code, lost
// failures, double claims.
//
// It does not own performance, migrations or what only one database does; those
// are tests of the implementation.
package storetest
