// Package gormstore keeps Latchkey's records in PostgreSQL or SQLite. *Store
// implements the narrow store interfaces of every package above it.
//
// It owns the schema and its migrations, all SQL, the cache of configuration
// records with its invalidation across replicas, and the translation of driver
// errors into the sentinels of package storage. It does not own the rules: packages
// above compute what a lockout policy says, whether a code matches and when a token
// ends. Statements with a condition settle it here.
//
// # Files
//
// records_*.go read and write configuration records through GORM; the tags of a row
// type name each column once. decide_*.go are hot decisions in SQL, list_*.go lists
// and their filters, audit_*.go the chain of audit events, and db_*.go databases,
// connections and transactions. Each group uses only those before it in the order
// db, records, decide, list and audit.
//
// # One row decides
//
// A login's lockout state and its current code are columns of its row, and
// every settlement is one conditional UPDATE of that row. So the database's row
// lock orders a success against the failure that locks, and one redemption of a
// code against another.
//
// The failures of a login's sources are rows of their own. A transaction that writes
// to one updates the login's row first, and increments its lockout version. A
// settlement that reads sources takes effect only if that version has not changed.
//
// # Reading
//
// Clients, profiles and senders are cached as long as [Store.Run] learns of
// changes. A change removes the record that it concerns. While Run does not run, or
// the database did not answer it for ten seconds, every read goes to the database.
// Within [Store.InTx] nothing is read from the cache.
//
// # Lists
//
// Each List method documents its fields and its order without a Sort. Both databases
// compare and sort text by its bytes, and a Fold ignores the case of ASCII letters.
// Numbers, booleans, times (RFC 3339) and durations (in Go's notation) have no
// patterns. A path into XP has names of ASCII letters, digits, hyphens and
// underscores. It compares a number as a number, and true and false as these words.
// Null, lists, objects and missing members are empty.
//
// Anything else, a Limit outside of 1 to 10,000, a query above storage.MaxQueryCost
// and values that are not text are storage.ErrQuery.
//
// With After or Uncounted a page is read by one statement. Otherwise one statement counts
// the records and another one reads the page. So Total and Items can differ by a change
// in between. The last page is read from the other end of an index and costs as much as
// the first one.
//
// # Errors
//
// Methods return storage.ErrNotFound, ErrConflict, ErrStale, ErrRefused,
// ErrQuery and ErrUnavailable, wrapped with the operation's name. An unknown
// reference (a foreign key) is ErrNotFound too. A cancelled context stays
// context.Canceled, an exceeded deadline is ErrUnavailable. After an error of a
// commit it is not known whether the write took effect, as with any database.
//
// The type dialect in db_dialect.go is all that differs between the databases.
// db_postgres*.go and db_sqlite*.go implement it.
package gormstore
