// Package lockout computes the guess budget of a login. From a lockout policy,
// the failures so far and the time it returns the next lockout state. It is
// pure: the callers read the state and write the next one by compare-and-swap.
//
// A login has three counters: one for all guesses, one for the guesses that could
// have hit a code, and one for each known source address. A new code renews no
// counter.
//
// The package does not clear counters. A successful sign-in clears them in the
// store, and so does an administrator's unlock.
package lockout
