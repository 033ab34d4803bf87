// Package storage defines the records that Latchkey stores, the errors of its
// stores, and rules that depend on records only. It imports the standard library
// only. So other packages can use a Login or a TokenFamily without depending on a
// database.
//
// It does not define the interface of a store. Each consumer declares the few
// methods that it needs (see signin.Store, otp.Store, deliver.Store), and
// gormstore implements all of them.
//
// Times are UTC with microseconds. The zero time means "never" or "not yet".
// Lists of roles are sorted and contain no duplicates.
package storage
