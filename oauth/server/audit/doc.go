// Package audit records audit events while a server runs. Each event goes to the
// log at once, to the database in batches, and into the metrics of one-time
// passwords.
//
// It owns the batches, the combination of repeated events, and these metrics. It
// does not decide what an event says: the package that acts does. The order and
// the MACs of stored events belong to package storage/gormstore.
package audit
