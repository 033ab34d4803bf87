// Package keys owns the server's cryptographic keys: the ring of signing keys
// with its rotation, the signing and the strict verification of JSON Web
// Tokens, the published key set, the sealing of secrets at rest and the
// peppers of keyed digests.
//
// Rotation needs no leader. A key's state follows from the times in its record
// and from the clock (see [StateAt]), so every replica that has read the same
// records draws the same conclusion. A key is announced before it signs. It signs
// until its successor activates. It stays published until no token that it signed
// can still be valid. The arithmetic is in key_state.go and rotation_plan.go,
// which are pure. [Ring.Maintain] announces the successors that are due. However many
// replicas announce at once, the store admits one successor (see [KeyStore]). A
// private key may also stay in a KMS or an HSM (see [ExternalKey]).
//
// The package does not own how records are kept (it asks a [KeyStore] and a
// [PepperStore]), what claims a token carries, how long it lives, who may have
// one, or whether it was revoked before its end. It starts no goroutine. The
// caller calls [Ring.Reload] when records changed, and [Ring.Maintain] at
// intervals.
//
// The package does not know fosite. A fosite server signs with [Ring.Sign] and
// verifies with [Ring.Parse]; docs/examples/signinpage has a fosite.Signer that does.
// An importer should know this about fosite v0.49.0:
//
//   - Its DefaultSigner has one key and no kid, so a rotation ends all tokens. It takes
//     neither Ed25519 keys nor a crypto.Signer.
//   - The strategy makes the claims. The stock session gives no client_id, an
//     empty aud, and the scope as a list unless JWTScopeClaimKey says otherwise.
//     RFC 9068 requires more, so mint access tokens from claims of your own.
//   - JWTSession keeps the first iat through a refresh. Expiry times are rounded,
//     so half of the tokens live a second longer.
//   - Its validator of JWTs checks neither iss nor typ nor exp. Ring.Parse does.
//   - Each ECDSA signature has a second form that verifies as well. So do not
//     identify a revoked token by its signature: use its jti.
package keys
