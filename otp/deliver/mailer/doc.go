// Package mailer delivers messages by SMTP. It finds the recipient's address, fills the
// templates in the recipient's language, and sends the mail to the mail server of the
// message sender. The connection is encrypted unless the configuration allows plain
// text.
//
// The package owns the templates, embedded ones and those of an operator's directory.
// It also owns the SMTP session: which addresses may be called, how TLS and
// authentication work, and which replies are permanent. It does not own retries (see
// deliver) and does not decide who gets a message (see otp).
package mailer
