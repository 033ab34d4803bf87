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
// # Reading
//
// Clients, profiles and senders are cached as long as [Store.Run] hears of
// changes; while it does not run or has lost its connection, every read goes
// to the database. Within [Store.InTx] nothing is read from the cache.
//
// # Errors
//
// Methods answer storage.ErrNotFound, ErrConflict, ErrStale, ErrRefused and
// ErrUnavailable, wrapped with the operation's name. An unknown reference (a
// foreign key) is ErrNotFound too. A cancelled context stays context.Canceled,
// an exceeded deadline is ErrUnavailable. An error that arrives instead of the
// answer to a commit leaves open whether the write took effect, as with any
// database.
//
// Only dialect.go tells one database from the other; postgres.go and sqlite.go
// hold what differs.
package gormstore
