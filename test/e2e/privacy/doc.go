// Package privacy tests what callers cannot learn: whether a user exists, from answers or their
// times, and any secret from the database, the log or an answer.
package privacy
