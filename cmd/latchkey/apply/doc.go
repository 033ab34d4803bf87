// Package apply imports a document into the database. It parses and checks the
// document, compares it with the stored records, and writes the differences in one
// transaction.
//
// The document has the vocabulary of the HTTP surfaces. Items have the shape of the
// /v1 resources (see oauth/ordercloud/wire); realms, password profiles and memberships
// have that of /v2 (see oauth/elasticpath/wire). Only a document has users inside
// their buyer or supplier, Assignments inside their resource, Password and
// PasswordHash of users, and ClientSecret of clients.
//
// The rules of a run:
//
//   - A second run with the same document changes nothing.
//   - An item describes its whole record: a missing member has its default value.
//     Realms and password profiles are the exception, because every database has
//     some from the start: their missing members keep the stored value.
//   - If an item has Assignments, these are all its assignments, and others are
//     removed. Without the member, the stored assignments stay.
//   - A record that is not in the document is not changed. With Config.Prune it is
//     deleted, if the document has the list that it belongs to.
//   - An item without an ID gets one from its name: a hyphen replaces each character
//     that an ID cannot have.
//   - A Password that matches the stored hash is no change. A PasswordHash is stored
//     only if the login has no password yet: the stored hash may be an upgrade of
//     it, or the user may have changed the password. Config.ForcePasswords stores it
//     always.
//   - A ClientSecret is stored as the secret named "ClientSecret", unless one of the
//     client's secrets matches already. Secrets with other names stay.
//
// Export writes the stored records as such a document.
//
// It does not open the database, read files or print.
//
// Calls run downwards through the files, in this order:
//
//	apply.go                                           a run
//	decode.go, secret_references.go, validate.go       reading and checking a document
//	prune.go, export.go, write_yaml.go                 deletions, and documents of stored records
//	message_senders.go, clients.go, password_rules.go, one file for each kind of item
//	security_profiles.go, users.go, accounts.go,
//	realms.go
//	document.go, schema.go                             the shapes of a document
//	plan.go                                            collects the writes
//	result.go, differences.go, config.go               what a run changes, and what it needs
package apply
