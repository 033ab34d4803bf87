// Package dpop verifies DPoP proofs (RFC 9449), for whoever takes them: the
// authorization server and resource servers.
//
// It does not own what needs a memory: that a proof is used once and that a
// nonce is one of ours. Proof has what both take.
package dpop
