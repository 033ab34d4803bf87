// Package signin decides sign-ins and sets passwords. It verifies one-time and
// permanent passwords, counts failures, and makes and checks password hashes. It
// knows nothing of OAuth: the grants turn a verified SignIn into tokens.
//
// It does not own the rules of lockout (otp/lockout), one-time passwords (otp), or
// who may sign in through a client (storage.Client.Refusal).
package signin
