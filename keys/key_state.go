package keys

import (
	"time"

	"latchkey/storage"
)

// State is where a signing key is in its life.
type State string

// The states of a signing key. Only the active key of an algorithm signs;
// announced, active and retired keys are published and verify.
const (
	StateAnnounced State = "announced"
	StateActive    State = "active"
	StateRetired   State = "retired"
	StateGone      State = "gone"
	StateRevoked   State = "revoked"
)

// Published reports whether keys of that state are in the key set and verify.
func (s State) Published() bool {
	return s == StateAnnounced || s == StateActive || s == StateRetired
}

// StateAt tells the state of the key k at the time now, given all keys of its
// algorithm (keys of other algorithms among them do not matter). As long as an
// algorithm has a key that is not revoked, exactly one is active. When two
// could be, as after two replicas made the first key at once, it is the one that
// activated first, and of two of the same age the one with the smaller kid; the
// other counts as announced, for it is published and does not sign.
//
// A key does not retire before another one can take over, whatever its record
// says: neither an interrupted rotation nor a clock that is behind may leave
// the server without a key to sign with. A revocation counts from the moment it
// is known, whatever the clock says.
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

// reached reports whether the time t, when it is set at all, has come.
func reached(t, now time.Time) bool { return !t.IsZero() && !now.Before(t) }

// signingKID is the kid of the key that signs with alg at the time now, or "".
func signingKID(all []storage.SigningKey, alg string, now time.Time) string {
	if i := signerAt(all, alg, now); i >= 0 {
		return all[i].KID
	}
	return ""
}

// signerAt returns the index of the key that signs with alg at the time now,
// or -1 when there is none but revoked ones.
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

// How well a key suits to sign. Overdue and early keys are a last resort: the
// former when a rotation was interrupted, the latter when another replica,
// whose clock is ahead, replaced a revoked key a moment ago.
const (
	inTime = iota
	overdue
	early
)

func suitability(k *storage.SigningKey, now time.Time) int {
	switch {
	case now.Before(k.ActivatesAt):
		return early
	case reached(k.RetiresAt, now):
		return overdue
	}
	return inTime
}

// signsBefore reports whether a is to sign rather than b: of overdue keys the one
// that was due last, of others the one that activates first.
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

func older(a, b *storage.SigningKey) bool {
	if !a.CreatedAt.Equal(b.CreatedAt) {
		return a.CreatedAt.Before(b.CreatedAt)
	}
	return a.KID < b.KID
}

// succeeded reports whether a key is in time to sign with alg at the time now.
func succeeded(all []storage.SigningKey, alg string, now time.Time) bool {
	i := signerAt(all, alg, now)
	return i >= 0 && suitability(&all[i], now) == inTime
}

// successorAt returns the index of the announced key of alg that will activate
// first, or -1. Keys that retire before they activate were passed over by a
// rotation and are no successors.
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

// retirements returns the keys that the successor replaces, with the times at which
// they retire and are gone. signing is the kid of the key that signs until
// then ("": none), life the longest life of a token.
func retirements(all []storage.SigningKey, successor storage.SigningKey, signing string, life time.Duration) []storage.SigningKey {
	var changed []storage.SigningKey
	for _, k := range all {
		if k.Alg != successor.Alg || k.KID == successor.KID || !k.RevokedAt.IsZero() {
			continue
		}
		// The key that signs now is moved even when its time was over already:
		// it went on for want of a successor, so its tokens outlive its record.
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

// calledOff returns the signing key k without its retirement when that waits
// for a key which is no longer to come: none of the keys in rest, k among them,
// will sign once k retires. Else it returns nothing.
func calledOff(k storage.SigningKey, rest []storage.SigningKey) []storage.SigningKey {
	if k.RetiresAt.IsZero() || succeeded(rest, k.Alg, k.RetiresAt) {
		return nil
	}
	k.RetiresAt, k.GoneAt = time.Time{}, time.Time{}
	return []storage.SigningKey{k}
}
