// Package otp makes one-time passwords: their shape, the keyed digest that
// stands for them at rest, and the way from somebody's wish for a code to the
// codes and sealed messages it yields. Codes that renew a password, invitations
// and forgotten usernames go the same way.
//
// A wish is only written down (Service.Request); nobody looks at users while
// the caller waits, so the answer and its time cannot tell who exists. A loop
// in the same process (Service.Run) resolves it a moment later.
//
// The package does not own redemption: grants asks Codes.Match or
// Codes.MatchVerification and lets the store settle. It does not count guesses
// (see lockout), does not deliver (see deliver), and does not know the wire.
//
// It knows nothing of fosite, which has no place for the request of a code: it is
// an endpoint of the server's own, beside those of fosite. Three things come with
// that. Authenticate the client there as at the token endpoint: fosite does so in
// NewAccessRequest only. Answer alike whatever Service.Request found, which is
// nothing but a written wish. And run Service.Run in every process, or no code is
// ever sent. A code that is redeemed goes by grants.Password: fosite's own handler
// of that grant answers a store's error with 500 and knows no codes, and with both
// registered each code is spent twice.
package otp
