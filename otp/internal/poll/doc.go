// Package poll provides the loop of the workers of this module. The loop claims due
// items from a queue in the database and works on them with bounded concurrency. It
// keeps running while the database is unavailable.
//
// The queue itself is in the store, which claims, leases and ends items. Items of a
// process that was killed are claimed again when their lease ends, or as soon as the
// store knows that the process is gone.
package poll
