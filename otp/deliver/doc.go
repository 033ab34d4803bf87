// Package deliver sends queued messages. A Worker claims messages, hands each one
// to the transport of its sender, and retries with growing delays until the
// receiver accepts the message or its code expires.
//
// Delivery is at least once. If a process dies after the receiver accepted a
// message and before the store recorded it, the attempt is repeated when the lease
// ends, with the same message id. No message is sent after its code has expired. A
// message that could not be sent stays visible as expired or dead.
//
// The package owns how the transports Webhook and Console use the network. It does
// not own the body of a webhook call, which an Encode function supplies, and it does
// not decide who gets a message (see otp). Package mailer is the SMTP transport.
package deliver
