// Package resilience tests what happens when servers are killed, when the database stops or
// refuses writes, when many requests race, and when password hashing is overloaded.
package resilience
