// Package keys owns the server's cryptographic keys: the ring of signing keys
// with its rotation, the signing and the strict verification of JSON Web
// Tokens, the published key set, the sealing of secrets at rest and the
// peppers of keyed digests.
//
// Rotation needs no leader. A key's state follows from the times in its record
// and from the clock (see [StateAt]), so every replica that has read the same
// records draws the same conclusion: a key is announced before it signs, signs
// until its successor activates, and stays published until no token it signed
// can still be valid. The arithmetic is in ring_state.go and ring_plan.go and
// touches nothing. [Ring.Maintain] announces the successors that are due; that
// there is one, however many replicas announce at once, is for the store to
// decide (see [KeyStore]). A key may also be somewhere else (see [ExternalKey]).
//
// The package does not own how records are kept (it asks a [KeyStore] and a
// [PepperStore]), what claims a token carries, how long it lives, who may have
// one, or whether it was revoked before its end. It makes no background
// activity of its own: whoever learns that records changed calls [Ring.Reload],
// and every now and then [Ring.Maintain].
//
// signer.go is the only file that knows fosite. A [Signer] goes into
// oauth2.DefaultJWTStrategy, in the place of fosite's DefaultSigner, which has one
// key without a kid, so that a rotation ends all tokens, and takes neither Ed25519
// nor a crypto.Signer elsewhere. What an importer must know of fosite v0.49.0:
//
//   - The claims are the strategy's: the stock session gives no client_id, an
//     empty aud, and the scope as a list unless JWTScopeClaimKey says otherwise.
//     RFC 9068 wants more, so mint access tokens from claims of your own.
//   - JWTSession keeps the first iat through a refresh, and expiry times are
//     rounded, which makes a token live a second longer half of the time.
//   - Its validator of JWTs asks for neither iss nor typ nor exp. The Signer does.
//   - An ECDSA signature has a twin that verifies as well, so the signature of a
//     token is no name for it: remember what is revoked by jti.
package keys
