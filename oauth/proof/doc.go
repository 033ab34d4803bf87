// Package proof implements DPoP for the server (RFC 9449): it verifies the proof of a
// request, issues and checks nonces, and makes sure that a proof is used once.
//
// It does not own the format of a proof (package dpop), or which tokens are bound
// to a key (package token).
package proof
