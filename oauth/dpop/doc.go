// Package dpop verifies DPoP proofs (RFC 9449) for the authorization server and for
// resource servers.
//
//	var verifier dpop.Verifier
//	header, err := dpop.FromHeader(r.Header) // empty: the request has no proof
//	proof, err := verifier.Verify(header, dpop.Request{Method: r.Method, URL: url, AccessToken: token})
//
// Then compare Proof.JKT with the claim cnf.jkt of the access token (RFC 9449 §7.1). The
// token endpoint puts it there: it sets Session.JKT of package grants. Package resource does
// both for net/http.
//
// It keeps no state. Callers check that a proof is used once and that its nonce is one
// that they issued. [Proof] has the values for both checks: keep [Proof.Digest] until
// [Verifier.AcceptedUntil], and refuse a digest that is there already.
package dpop
