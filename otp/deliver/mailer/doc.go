// Package mailer delivers messages by SMTP: it finds the recipient's address,
// fills the templates in the recipient's language, and hands the mail to the
// sender's server over a connection that is encrypted unless somebody allowed
// otherwise.
//
// The package owns the texts of mails, those embedded and those of an
// operator's directory, and the conduct towards mail servers: which addresses
// may be called, how TLS and authentication are done, and which refusal is for
// good. It does not own retries (see deliver), nor who gets a message (see
// otp).
package mailer
