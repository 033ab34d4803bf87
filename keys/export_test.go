package keys

// VerificationKey returns the key with exactly that kid, without its private half,
// as long as tokens that it signed may be valid. After that it returns
// ErrUnknownKey.
func (r *Ring) VerificationKey(kid string) (Key, error) {
	e := r.current.Load().published(kid, r.now())
	if e == nil {
		return Key{}, ErrUnknownKey
	}
	return Key{KID: e.key.KID, Alg: e.key.Alg, Public: e.key.Public}, nil
}
