// Package admin decides who may change what. It holds the rules that the /v1 and
// /v2 resources, client registration, the console and the commands share.
//
// Every rule looks at an object before and after a change and asks one question:
// which roles would somebody have who controls the object? A caller who lacks
// one of those roles in either state is refused. Otherwise a caller could remove roles
// from an object, change it, and wait until somebody gives the roles back. Creating an object has
// no state before, deleting one has no state after.
//
// The children of an object count as the object: the secrets and assignments of
// a client, the assignments of a message sender, the delivery config that
// senders share.
//
// The package does not decide which operations a role opens; the operation
// tables of the dialects do. It writes nothing and speaks no protocol.
package admin
