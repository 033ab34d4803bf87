package keys

import (
	"time"

	"latchkey/storage"
)

// State is the state of a signing key.
type State string

// The states of a signing key. Only the active key of an algorithm signs. Announced, active
// and retired keys are published and verify.
const (
	StateAnnounced State = "announced"
	StateActive    State = "active"
	StateRetired   State = "retired"
	StateGone      State = "gone"
	StateRevoked   State = "revoked"
)

// Published reports whether keys in the state are in the key set and verify.
func (s State) Published() bool {
	return s == StateAnnounced || s == StateActive || s == StateRetired
}

// StateAt returns the state of the key k at the time now. all has all keys of its
// algorithm; keys of other algorithms in it are ignored.
//
// As long as an algorithm has a key that is not revoked, exactly one key is active. If
// several could be, it is the one that activated first, then the older one, then the one
// with the smaller kid. The others count as announced, because they are published and do
// not sign.
//
// A key does not retire before another one can take over, whatever its record says. So
// neither an interrupted rotation nor a slow clock leaves the server without a signing
// key. A revocation takes effect as soon as it is known, whatever its time says.
func StateAt(k storage.SigningKey, all []storage.SigningKey, now time.Time) State {
	if !k.RevokedAt.IsZero() {
		return StateRevoked
	}
	if i := signerAt(all, k.Alg, now); i >= 0 && all[i].KID == k.KID {
		return StateActive
	}
	switch {
	case !reached(k.RetiresAt, now):
		return StateAnnounced
	case !reached(k.GoneAt, now):
		return StateRetired
	}
	return StateGone
}

// reached reports whether the time t is set and not after now.
func reached(t, now time.Time) bool { return !t.IsZero() && !now.Before(t) }

// signingKID returns the kid of the key that signs with alg at the time now, or "".
func signingKID(all []storage.SigningKey, alg string, now time.Time) string {
	if i := signerAt(all, alg, now); i >= 0 {
		return all[i].KID
	}
	return ""
}

// signerAt returns the index of the key that signs with alg at the time now. It returns -1
// if all keys of alg are revoked or there is none.
func signerAt(all []storage.SigningKey, alg string, now time.Time) int {
	best := -1
	for i := range all {
		k := &all[i]
		if k.Alg != alg || !k.RevokedAt.IsZero() {
			continue
		}
		if best < 0 || signsBefore(k, &all[best], now) {
			best = i
		}
	}
	return best
}

// How well the time of a key suits signing, best first. A key signs after its time
// (overdue) if a rotation was interrupted. It signs before its time (early) if another
// replica with a faster clock has just replaced a revoked key.
const (
	inTime = iota
	overdue
	early
)

// suitability returns inTime, overdue or early.
func suitability(k *storage.SigningKey, now time.Time) int {
	switch {
	case now.Before(k.ActivatesAt):
		return early
	case reached(k.RetiresAt, now):
		return overdue
	}
	return inTime
}

// signsBefore reports whether a signs in preference to b. Of overdue keys the one with the
// latest RetiresAt signs, of others the one that activates first.
func signsBefore(a, b *storage.SigningKey, now time.Time) bool {
	suits := suitability(a, now)
	if other := suitability(b, now); suits != other {
		return suits < other
	}
	if suits == overdue && !a.RetiresAt.Equal(b.RetiresAt) {
		return a.RetiresAt.After(b.RetiresAt)
	}
	return activatesBefore(a, b)
}

// older reports whether a was created before b. The kid decides if both were created at the
// same time.
func older(a, b *storage.SigningKey) bool {
	if !a.CreatedAt.Equal(b.CreatedAt) {
		return a.CreatedAt.Before(b.CreatedAt)
	}
	return a.KID < b.KID
}

// hasTimelySigner reports whether a key of alg signs within its time at the time now.
func hasTimelySigner(all []storage.SigningKey, alg string, now time.Time) bool {
	i := signerAt(all, alg, now)
	return i >= 0 && suitability(&all[i], now) == inTime
}

// successorAt returns the index of the announced key of alg that activates first, or -1. It
// ignores keys that retire before they activate. A rotation has skipped those.
func successorAt(all []storage.SigningKey, alg string, now time.Time) int {
	best := -1
	for i := range all {
		k := &all[i]
		if k.Alg != alg || !k.RevokedAt.IsZero() || !now.Before(k.ActivatesAt) || reached(k.RetiresAt, k.ActivatesAt) {
			continue
		}
		if best < 0 || activatesBefore(k, &all[best]) {
			best = i
		}
	}
	return best
}

func activatesBefore(a, b *storage.SigningKey) bool {
	if !a.ActivatesAt.Equal(b.ActivatesAt) {
		return a.ActivatesAt.Before(b.ActivatesAt)
	}
	return older(a, b)
}

// retirements returns the keys that the successor replaces, with the times at which they
// retire and are gone. signing is the kid of the key that signs until then ("": none). life
// is the longest lifetime of a token.
func retirements(all []storage.SigningKey, successor storage.SigningKey, signing string, life time.Duration) []storage.SigningKey {
	var changed []storage.SigningKey
	for _, k := range all {
		if k.Alg != successor.Alg || k.KID == successor.KID || !k.RevokedAt.IsZero() {
			continue
		}
		// The key that signs now gets new times even if it is overdue. It has signed
		// longer than planned, so it must stay published longer as well.
		due := reached(k.RetiresAt, successor.ActivatesAt)
		if due && (k.KID != signing || k.RetiresAt.Equal(successor.ActivatesAt)) {
			continue
		}
		k.RetiresAt = successor.ActivatesAt
		k.GoneAt = successor.ActivatesAt.Add(life)
		changed = append(changed, k)
	}
	return changed
}

// withoutRetirement returns the signing key k without its retirement, if no key in rest
// would sign within its time when k retires. rest includes k. Otherwise it returns nil.
func withoutRetirement(k storage.SigningKey, rest []storage.SigningKey) []storage.SigningKey {
	if k.RetiresAt.IsZero() || hasTimelySigner(rest, k.Alg, k.RetiresAt) {
		return nil
	}
	k.RetiresAt, k.GoneAt = time.Time{}, time.Time{}
	return []storage.SigningKey{k}
}
