// Package delivery tests how messages reach users: webhooks, mail, sealed payloads, retries,
// limits of a mailbox, and what survives the crash of a server.
package delivery
