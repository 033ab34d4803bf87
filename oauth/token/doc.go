// Package token decides what our tokens contain and whether they are still valid. It
// signs access tokens, account management tokens and selection tokens, verifies them
// with the keys and the database, and finds the caller of a resource endpoint (RFC
// 6750, RFC 9449 §7).
//
// It does not own which grant gives a token (package grants), the endpoints for
// introspection and revocation (package oauth), or proofs of possession (package
// proof).
package token
