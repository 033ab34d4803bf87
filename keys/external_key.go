package keys

import (
	"crypto"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"latchkey/storage"
)

// ErrExternalKey is returned for a change of an external key, which the ring
// cannot change.
var ErrExternalKey = errors.New("the key is external")

// ExternalKey is a signing key whose private half the ring never sees, such as
// one in a key management service or a hardware security module. It is
// published, verifies for as long as it is configured, and is never stored,
// rotated or revoked by the ring.
//
// An external key can sign if it has a Signer and its ActivatesAt has passed. Of
// those of an algorithm, the one with the latest ActivatesAt signs. It takes
// precedence over the stored keys. These stay published, so that tokens they
// signed verify, and they sign again when the external key is removed.
//
// To replace an external key, add the new one to every replica with an ActivatesAt
// that is PublishAhead away, and remove the old one MaxTokenLife after that. If
// others know the private half of an external key, remove it at once from every replica.
type ExternalKey struct {
	KID string // in headers and in the key set; "": the RFC 7638 thumbprint
	Alg string // ES256, RS256 or EdDSA
	// Public is the public half; nil: the one that Signer.Public returns.
	Public crypto.PublicKey
	// Signer signs. It is called once for each token, by many goroutines at
	// once. For ES256 (with signatures in ASN.1) and for RS256 (PKCS #1 v1.5) it
	// gets the SHA-256 digest, for EdDSA the message itself. It must limit the
	// time of a call. nil: the key only verifies.
	Signer crypto.Signer
	// ActivatesAt is when the key begins to sign; zero: at once.
	ActivatesAt time.Time
}

// externalKeys has the external keys by algorithm. The one that activates last is at the
// end.
type externalKeys map[string][]*entry

func newExternalKeys(given []ExternalKey) (externalKeys, error) {
	if len(given) == 0 {
		return nil, nil
	}
	all, seen := externalKeys{}, map[string]bool{}
	for i, k := range given {
		e, err := k.entry()
		if err == nil && seen[e.key.KID] {
			err = fmt.Errorf("another one has the kid %q", e.key.KID)
		}
		if err != nil {
			return nil, fmt.Errorf("external key %d: %w", i+1, err)
		}
		seen[e.key.KID] = true
		all[k.Alg] = append(all[k.Alg], e)
	}
	for _, group := range all {
		slices.SortStableFunc(group, func(a, b *entry) int { return a.record.ActivatesAt.Compare(b.record.ActivatesAt) })
	}
	return all, nil
}

func (k ExternalKey) entry() (*entry, error) {
	public := k.Public
	if k.Signer != nil {
		if public == nil {
			public = k.Signer.Public()
		}
		if own, ok := public.(interface{ Equal(crypto.PublicKey) bool }); !ok || !own.Equal(k.Signer.Public()) {
			return nil, errors.New("the signer has another public key")
		}
	}
	if len(k.KID) > 200 || strings.ContainsFunc(k.KID, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("the kid is not a short name without spaces")
	}
	e, err := newEntry(storage.SigningKey{Alg: k.Alg, ActivatesAt: k.ActivatesAt}, k.KID, public, k.Signer)
	if err != nil {
		return nil, err
	}
	e.record.KID, e.external = e.key.KID, true
	return e, nil
}

// signer returns the external key that signs with alg at the time now, or nil.
func (k externalKeys) signer(alg string, now time.Time) *entry {
	for _, e := range slices.Backward(k[alg]) {
		if e.key.Private != nil && !now.Before(e.record.ActivatesAt) {
			return e
		}
	}
	return nil
}

// infos returns the keys, grouped by algorithm.
func (k externalKeys) infos(now time.Time) []KeyInfo {
	var infos []KeyInfo
	for _, alg := range supportedAlgs(nil) {
		signer := k.signer(alg, now)
		for _, e := range k[alg] {
			state := StateRetired
			switch {
			case e == signer:
				state = StateActive
			case now.Before(e.record.ActivatesAt):
				state = StateAnnounced
			}
			infos = append(infos, KeyInfo{
				KID: e.key.KID, Alg: alg, State: state, ActivatesAt: e.record.ActivatesAt, External: true,
			})
		}
	}
	return infos
}

// has reports whether there is an external key with the kid.
func (k externalKeys) has(kid string) bool {
	for _, group := range k {
		if slices.ContainsFunc(group, func(e *entry) bool { return e.key.KID == kid }) {
			return true
		}
	}
	return false
}
