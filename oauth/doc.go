// Package oauth is the authorization server without its HTTP server. It assembles
// fosite with our grants, and serves the token endpoint, revocation (RFC 7009),
// introspection (RFC 7662), metadata (RFC 8414) and the public keys.
//
// The steps of a token request are fixed; token.go shows them in order. A grant cannot
// skip a step. fosite only runs the grant. The steps before it refuse requests that
// fosite would accept, or answer, against RFC 6749.
//
// It does not own who the client is and how clients register (packages client and
// register), what tokens contain (package token), proofs of possession (package
// proof), how a user signs in (package signin), the vendors' endpoints (packages
// ordercloud and elasticpath), or listeners and the limits of requests (package
// listen).
package oauth
