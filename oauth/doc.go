// Package oauth is the authorization server without its HTTP server: it
// assembles fosite with our grants and serves the token endpoint, revocation
// (RFC 7009), introspection (RFC 7662), metadata (RFC 8414) and the public
// keys.
//
// The token pipeline is fixed: size and content type, repeated parameters,
// unknown grant types, client authentication, the grant, the response. A grant
// cannot skip a step. fosite runs the grant only; what it would accept or
// answer against RFC 6749 is decided before it is asked.
//
// It does not own how a user signs in (package grants), what a vendor's other
// endpoints look like (packages below oauth), or listeners, limits and logs of
// requests (package server).
package oauth
