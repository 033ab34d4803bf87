// Package dpop verifies DPoP proofs (RFC 9449) for the authorization server and for
// resource servers.
//
// It keeps no state. Callers check that a proof is used once and that its nonce is one
// that they issued. Proof has the values for both checks.
package dpop
