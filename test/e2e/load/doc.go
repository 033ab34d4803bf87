// Package load counts what requests cost: SQL statements per request, as a test, and
// time and memory, as benchmarks.
package load
