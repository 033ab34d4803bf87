// Package token decides what our tokens say and whether they are still good. It
// signs access tokens, account management tokens and selection tokens, verifies
// them against the keys and the database, and tells a resource endpoint who calls
// it (RFC 6750, RFC 9449 §7).
//
// It does not own which grant gives a token (package grants), the endpoints for
// introspection and revocation (package oauth), or proofs of possession (package
// proof).
package token
