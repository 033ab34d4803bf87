// Package poll is the loop that the workers of this module share: claim what
// is due from a queue in the database, work on it with bounded concurrency,
// and outlast the database being away.
//
// It does not own the queue: claims, leases and ends are statements of the
// store, and what a killed process leaves behind is claimed again by somebody
// when its lease has run out.
package poll
