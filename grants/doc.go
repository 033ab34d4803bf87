// Package grants holds the token endpoint handlers of Latchkey: the password
// grant that accepts one-time passwords, client credentials, refresh, the
// account-member grant and token exchange. Each is a fosite.TokenEndpointHandler,
// so any fosite server can register it; the package imports fosite's root package
// and nothing of our HTTP server, configuration or database.
//
// It owns what makes a sign-in: verifying a credential, the turns that bound
// parallel guessing, and the settlement by outcome; and what makes a permanent
// password: its rules, its hash and its renewal. It asks the one gate of all
// paths, storage.Client.Refusal. It does not own client authentication, parsing of
// requests, or how tokens are written: those arrive as a fosite.Client that
// carries a storage.Client (see Client), as AccessTokens and as HeldTokens.
//
// A server that registers these handlers must know four traps of fosite
// v0.49.0. It asks every handler that claims a grant type, in turn, so no
// other handler may claim one of ours. It drops a second handler of the same
// Go type silently. It accepts repeated parameters and takes the first. And it
// keeps the request's form, so log none of it before NewAccessRequest returns.
package grants
