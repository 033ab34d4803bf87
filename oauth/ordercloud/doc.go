// Package ordercloud is the /v1 dialect: what OrderCloud's resources, messages
// and refusals look like on the wire.
//
// It owns the shapes (ApiClient, User, MessageSender, …), their strict
// decoding, the faults that can be told from a shape alone, and the way to and
// from the records of package storage. It decides nothing: who may sign in,
// what a code is and when it is sent are settled in grants and otp. It opens
// no database; what a shape refers to is for its caller to find.
//
// Members that OrderCloud documents for orders and catalogs are taken and not
// kept. A documented rule for security that is not enforced here is refused.
// Members of our own stand at the end of a shape.
package ordercloud
