// Package statestore lets a server keep sign-ins in a store of its own. That store needs
// two methods: load a value, and compare-and-swap values (see [States]). Its table has a
// key, a value and a time to delete it.
//
// [Store] turns such a store into all that a server with one-time passwords needs. It
// implements signin.Store, grants.FamilyStore, grants.AuthorizationStore, otp.CodeStore,
// keys.KeyStore and keys.PepperStore. The users stay where they are: a function reads one
// by name.
//
// The package decides everything, and the values are opaque. Lockouts are the arithmetic
// of lockout.Apply. So a store cannot get a rule wrong, and need not be changed when a
// rule does. grants/granttest proves that a store keeps the promises of [States].
//
// One value holds the lockout, the known sources and the current code of a login. So one
// compare-and-swap decides between a success, a failure that locks, and a second use of
// the code. Names that nobody has get a value too. Their keys look the same.
//
// Use storage/gormstore instead if you want administration, several password profiles,
// durable messages, or one round trip for a sign-in.
package statestore
