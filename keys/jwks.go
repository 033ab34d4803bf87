package keys

import (
	"crypto"
	"encoding/base64"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// publicJWK describes a public key (RFC 7517 §4). Its kid is the thumbprint of
// RFC 7638, so two keys never share one.
func publicJWK(alg string, public crypto.PublicKey) (jose.JSONWebKey, error) {
	jwk := jose.JSONWebKey{Key: public, Algorithm: alg, Use: "sig"}
	sum, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return jose.JSONWebKey{}, fmt.Errorf("thumbprint: %w", err)
	}
	jwk.KeyID = base64.RawURLEncoding.EncodeToString(sum)
	return jwk, nil
}

// PublicSet returns the key set to publish: the public half of each announced, active and
// retired key. The keys are ordered by algorithm as in RingConfig.Algs (others last), and
// within one oldest first, with external keys at the end. A cache knows the key of every
// token if it keeps the set for at most PublishAhead minus the time that a replica takes to
// reload.
func (r *Ring) PublicSet() jose.JSONWebKeySet {
	s, now := r.current.Load(), r.now()
	set := jose.JSONWebKeySet{Keys: make([]jose.JSONWebKey, 0, len(s.entries))}
	for _, alg := range supportedAlgs(r.algs) {
		for _, e := range s.groups[alg] {
			if StateAt(e.record, s.records[alg], now).Published() {
				set.Keys = append(set.Keys, e.jwk)
			}
		}
		for _, e := range s.external[alg] {
			set.Keys = append(set.Keys, e.jwk)
		}
	}
	return set
}

// Public returns the JSON Web Key with exactly the kid, if it is published. The caller must
// not change the bytes.
func (r *Ring) Public(kid string) ([]byte, bool) {
	e := r.current.Load().published(kid, r.now())
	if e == nil {
		return nil, false
	}
	return e.jwkJSON, true
}
