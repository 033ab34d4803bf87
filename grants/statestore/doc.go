// Package statestore lets a server keep sign-ins in a store of its own. That store needs
// two methods: load a value, and compare-and-swap values (see [States]). Its table has a
// key, a value and a time to delete it.
//
// [Store] turns such a store into all that a server with one-time passwords needs. It
// implements signin.Store, grants.FamilyStore, grants.AuthorizationStore, otp.CodeStore,
// keys.KeyStore and keys.PepperStore. The server keeps its own users: a function of the
// server reads a user by name.
//
// The package makes all decisions, and the values are opaque to the server's store.
// Lockouts are computed by lockout.Apply. So the server's store has no rules, and need not
// be changed when a rule changes. The package grants/granttest tests that a store meets the
// requirements of [States].
//
// One value holds the lockout, the known sources and the current code of a login. So one
// compare-and-swap decides between a success, a failure that locks, and a second use of the
// code. Failed attempts for unknown names are stored in values too, under keys of the same
// form.
//
// Use storage/gormstore instead if you want administration, several password profiles,
// durable messages, or one round trip for a sign-in.
package statestore
