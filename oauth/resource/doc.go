// Package resource protects Go services with the access tokens of an
// authorization server that signs them as RFC 9068 says, which Latchkey does.
//
// A [Verifier] checks a token by the server's published keys alone: it never
// asks the server about a token, so one that was revoked is good until it
// expires. Services that cannot wait so long ask at the introspection endpoint.
// [Verifier.Require] is the middleware for net/http, [Verifier.Verify] serves
// everything else, and [Verifier.RequireAccountMember] reads the account
// management authentication tokens that Elastic Path's clients send in a header
// of their own.
//
// The key set is kept for as long as the server says and read again in the
// background, so that only the first request ever waits for it. A token whose
// key is not known has it read at most once in Config.RefetchInterval, whoever
// asks and however often. If the server is away, the keys serve for
// Config.MaxStale beyond their time; after that the answer is 503, and never
// that a token is invalid.
//
// A scope counts only by its own name. Latchkey's role FullAccess stands for
// every other at Latchkey itself; what it means elsewhere is not for Latchkey to
// say, so a service that wants it to open everything asks for it by name.
//
// The package imports nothing of the server but the verification of DPoP proofs and
// the list of what is accepted of JOSE.
package resource
