// Package oauth is the authorization server without its HTTP server. It assembles
// fosite with our grants. Endpoints.Mount serves:
//
//   - the token endpoint (RFC 6749 §3.2)
//   - pushed authorization requests (RFC 9126)
//   - userinfo (OpenID Connect Core 1.0 §5.3)
//   - revocation (RFC 7009) and introspection (RFC 7662)
//   - registration of clients (RFC 7591, RFC 7592), if Config.Registry is set
//   - metadata (RFC 8414, OpenID Connect Discovery 1.0) and the public keys
//
// The authorization endpoint and the end of a session are pages; package signinpage
// serves them with the methods of Endpoints.
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
