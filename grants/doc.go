// Package grants holds the token endpoint handlers of Latchkey: the password
// grant that accepts one-time passwords, client credentials and refresh. Each
// is a fosite.TokenEndpointHandler, so any fosite server can register it; the
// package imports fosite's root package and nothing of our HTTP server,
// configuration or database.
//
// It owns what makes a sign-in: verifying a credential, the turns that bound
// parallel guessing, and the settlement by outcome. It asks the one gate of all
// paths, storage.Client.Refusal. It does not own client authentication, parsing of
// requests, or how an access token is written: those arrive as a fosite.Client
// that carries a storage.Client (see Client) and as AccessTokens.
//
// A server that registers these handlers must know four traps of fosite
// v0.49.0. It asks every handler that claims a grant type, in turn, so no
// other handler may claim one of ours. It drops a second handler of the same
// Go type silently. It accepts repeated parameters and takes the first. And it
// keeps the request's form, so log none of it before NewAccessRequest returns.
package grants
