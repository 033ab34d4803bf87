// Package storetest is the conformance test suite for stores. An implementation calls
// Run in its own tests. The suite covers single calls, and the races that security
// depends on: single use of codes, no lost failures, no double claims.
//
// It does not cover performance, migrations, or behaviour of one database only. Those
// are tests of the implementation.
package storetest
