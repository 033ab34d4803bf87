// Package wire holds the shapes of /v1: how OrderCloud's resources, messages and
// errors look as JSON, and how they become records of package storage and back.
//
// Each resource has a file of its own (api_client.go, user.go, …) with its shape,
// Validate, ToRecord and …FromRecord. Validate returns the faults that the shape
// alone shows; faults that take a look into the database are found by package
// ordercloud. message.go encodes the messages to message senders, list.go is the
// shape of a page, decode.go the strict reading of JSON, merge_patch.go RFC 7396,
// and sealed_secrets.go the sealing of write-only members.
//
// Members that OrderCloud has for orders and catalogs are accepted and not stored.
// Latchkey's own members are the last of a shape. The package opens no database and
// knows no HTTP request; the command apply uses it as well.
package wire
