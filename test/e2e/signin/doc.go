// Package signin tests how users sign in with one-time passwords and permanent passwords:
// requests for codes, the single use of a code, lockout by login and by address, the policies
// that limit guesses, and what is recorded of each attempt.
package signin
