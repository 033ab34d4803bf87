// Package gormstore keeps Latchkey's records in PostgreSQL or SQLite. *Store
// implements the narrow store interfaces of every package above it.
//
// It owns the schema and its migrations, all SQL, the cache of configuration
// records with its invalidation across replicas, and the translation of driver
// errors into the sentinels of package storage. It does not own any decision:
// what a lockout policy says, whether a code matches or when a token dies is
// computed above and settled here by statements that state their condition.
//
// # One row decides
//
// A login's lockout state and its current code are columns of its row, and
// every settlement is one conditional UPDATE of that row. The database's row
// lock therefore orders a success against the failure that locks, and one
// redemption of a code against another, without any lock of ours.
//
// The failures of a login's sources are rows of their own. Whoever writes to one
// updates the login's row first, and moves its lockout version: a settlement that
// reads sources takes effect only if that version is the one it saw.
//
// # Reading
//
// Clients, profiles and senders are cached as long as [Store.Run] hears of
// changes; while it does not run or has lost its connection, every read goes
// to the database. Within [Store.InTx] nothing is read from the cache.
//
// # Lists
//
// Each List method documents its fields and the order without a Sort. Text is
// compared and sorted by its bytes, and a Fold ignores the case of ASCII letters
// only, on both databases alike. Numbers, booleans, times (RFC 3339) and
// durations (in Go's notation) have no patterns. A path into XP has names of
// ASCII letters, digits, hyphens and underscores; a number there is compared as
// one, true and false as these words, and null, lists, objects and what is
// missing are empty. Anything else, a Limit outside of 1 to 10,000, more than
// 500 comparisons and values that are no text are storage.ErrQuery. Items and
// Total are not read in one instant. The last page is read from the other end
// of an index and costs what the first one costs.
//
// # Errors
//
// Methods answer storage.ErrNotFound, ErrConflict, ErrStale, ErrRefused,
// ErrQuery and ErrUnavailable, wrapped with the operation's name. An unknown
// reference (a foreign key) is ErrNotFound too. A cancelled context stays
// context.Canceled, an exceeded deadline is ErrUnavailable. An error that
// arrives instead of the answer to a commit leaves open whether the write took
// effect, as with any database.
//
// Only db_dialect.go distinguishes the databases; db_postgres.go and db_sqlite.go
// hold what differs.
package gormstore
