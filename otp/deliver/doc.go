// Package deliver sends queued messages: it claims them, hands each to the
// transport of its sender, and tries again with growing pauses until the
// receiver takes it or the code in it has expired.
//
// Delivery is at least once: a process that dies between the receiver's yes
// and the store's repeats the attempt when the lease is over, under the same
// message id. Nothing is sent after its code has expired, and what could not be
// sent stays visible as an expired or dead message.
//
// The package owns the transports' conduct on the network (Webhook, Console)
// but not the wire shape of a webhook: an Encode function supplies it. It does
// not decide who gets a message (see otp).
package deliver
