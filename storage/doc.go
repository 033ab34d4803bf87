// Package storage holds the records that Latchkey keeps and the errors its
// stores answer with. It is a leaf: it imports the standard library only, so
// that grants, codes and keys can speak of a Login or a TokenFamily without
// knowing how they are kept.
//
// It does not own the interfaces of a store: each consumer declares the few
// methods it needs (see signin.SignInStore, otp.Store, deliver.Store), and
// gormstore implements them all.
//
// Times are UTC and carry microseconds; the zero time means "never" or "not
// yet". Lists of roles are sorted and free of duplicates.
package storage
