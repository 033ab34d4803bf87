// Package privacy tells what nobody learns: whether a user exists, by answers or by
// their time, and any secret from the database, the log or an answer.
package privacy
