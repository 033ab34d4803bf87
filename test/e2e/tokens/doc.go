// Package tokens tests the answers of the token endpoint, introspection, revocation and
// registration: client authentication, refresh tokens, bound tokens (DPoP), resources, claims,
// and forged tokens.
package tokens
