// Package tokens tells what the token endpoint, introspection, revocation and
// registration answer: client authentication, refresh tokens, bound tokens (DPoP),
// resources, claims, and forged tokens.
package tokens
