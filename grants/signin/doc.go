// Package signin decides sign-ins and sets passwords. It verifies one-time and
// permanent passwords, counts failures, and makes and checks password hashes. It
// knows nothing of OAuth: the grants turn a verified SignIn into tokens.
//
// # Sign a user in
//
// [Authenticator.Verify] checks a credential and counts it if it is wrong. It changes
// nothing if the credential is right. So the caller can prepare its answer first, and
// then [Authenticator.Settle] lets the sign-in take effect: it uses the code and clears the
// failures, unless a lock came first or the code was used. Send the answer only after
// Settle has succeeded. A caller that cannot answer calls [Authenticator.Abandon].
//
//	signIn, err := authenticator.Verify(ctx, client, signin.Attempt{…})
//	…                                           // prepare the answer
//	err = authenticator.Settle(ctx, signIn, nil) // nil: no refresh token
//
// Share one Authenticator in a process. It lets only as many attempts at one login run at
// the same time as the login has guesses left.
//
// [ErrCredentials] is the one answer to every refused credential. [ErrBusy] and
// storage.ErrUnavailable mean that nothing was decided.
//
// # Stores
//
// [Store] is what an Authenticator needs of a store. *statestore.Store implements it on a
// table of your own, *gormstore.Store on tables of ours. A store may also implement
// [CodeRedeemer], so that an ordinary sign-in takes one statement.
//
// # What it does not own
//
// The rules of lockout (otp/lockout), one-time passwords (otp), and who may sign in through
// a client (storage.Client.Refusal).
package signin
