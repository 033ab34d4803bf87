// Package resource protects Go services with the access tokens of an authorization
// server that issues tokens in the form of RFC 9068, as Latchkey does.
//
// A [Verifier] verifies a token with the published keys of the server. It never asks
// the server about a token, so a revoked token is accepted until it expires. A service
// that must know earlier uses the introspection endpoint. [Verifier.Require] is the
// middleware for net/http. [Verifier.Verify] verifies a token outside of net/http.
// [Verifier.RequireAccountMember] is the middleware for account management
// authentication tokens, which clients of Elastic Path send in a header of their own.
//
// The key set is cached for its max-age and then read again in the background, so only
// the first request waits for it. Tokens with an unknown key cause at most one read per
// Config.RefetchInterval. If the server is not available, the cached keys are used for
// Config.MaxStale after their max-age. After that the answer is 503, and never that a
// token is invalid.
//
// A scope counts by its own name only. At Latchkey the role FullAccess includes every
// other role. Other services decide themselves what it means, so they must require
// FullAccess by name.
//
// Of the server, the package imports the verification of DPoP proofs and the list of
// accepted JOSE algorithms and headers, and nothing else.
package resource
