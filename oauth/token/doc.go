// Package token decides what our tokens contain and whether they are still valid. It
// signs and verifies access tokens, account management tokens and selection tokens, and
// finds the caller of a resource endpoint (RFC 6750, RFC 9449 §7). It also signs ID tokens
// and logout tokens of OpenID Connect, and reads ID tokens that come back as hints.
//
// A signature is verified with the published keys. Then the database says whether the
// token ended before it expired.
//
// It does not own which grant gives a token (package grants), the endpoints for
// introspection and revocation (package oauth), or proofs of possession (package
// proof).
package token
