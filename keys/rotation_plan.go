package keys

import (
	"slices"
	"time"

	"latchkey/storage"
)

// keepGone is how long the record of a key that is gone is kept for administrators.
const keepGone = 24 * time.Hour

// change is a planned change of the records of an algorithm. The zero change changes
// nothing.
type change struct {
	successor storage.SigningKey   // the key that signs afterwards
	isNew     bool                 // the successor must be generated: it has no kid and no private half yet
	update    []storage.SigningKey // records with their new times
}

// empty reports whether the change changes nothing.
func (c *change) empty() bool { return !c.isNew && len(c.update) == 0 }

// after returns the records after the change.
func (c *change) after(all []storage.SigningKey) []storage.SigningKey {
	all = slices.Clone(all)
	for _, k := range c.update {
		if i := indexOf(all, k.KID); i >= 0 {
			all[i] = k
		}
	}
	if c.isNew {
		all = append(all, c.successor)
	}
	return all
}

func indexOf(all []storage.SigningKey, kid string) int {
	return slices.IndexFunc(all, func(k storage.SigningKey) bool { return k.KID == kid })
}

// planRotation plans the successor of the key that signs with alg at the time now.
// It is the key that is announced already, or a new one that takes over at the time
// at. If no key signs, the new one does so at once.
func planRotation(all []storage.SigningKey, alg string, at, now time.Time, life time.Duration) change {
	signing := signingKID(all, alg, now)
	var c change
	if i := successorAt(all, alg, now); i >= 0 {
		c.successor = all[i]
	} else {
		if signing == "" {
			at = now
		}
		c.successor, c.isNew = newSuccessor(alg, signing, at, now), true
	}
	c.update = retirements(all, c.successor, signing, life)
	return c
}

// planFirst plans the first key of alg, if alg has none.
func planFirst(all []storage.SigningKey, alg string, now time.Time, life time.Duration) change {
	if i := signerAt(all, alg, now); i >= 0 {
		return change{successor: all[i]}
	}
	return planRotation(all, alg, now, now, life)
}

// planSuccession plans the successor of the key that signs with alg, if it is due. A key
// signs for the duration after. Its successor is announced when the duration ahead is left
// of that time. If after is 0, no key is replaced, but a missing one is made.
func planSuccession(all []storage.SigningKey, alg string, now time.Time, after, ahead, life time.Duration) change {
	i := signerAt(all, alg, now)
	if i < 0 {
		return planFirst(all, alg, now, life)
	}
	end := all[i].ActivatesAt.Add(after)
	if after == 0 || now.Before(end.Add(-ahead)) && successorAt(all, alg, now) < 0 {
		return change{successor: all[i]}
	}
	at := now.Add(ahead)
	if end.After(at) {
		at = end
	}
	return planRotation(all, alg, at, now, life)
}

// planRevocation plans the revocation of the key of index i at the time now. If it
// was the signing key, its announced successor signs at once, because caches may
// know that key already. Without an announced successor a new key signs. If the
// revoked key was the announced successor, the rotation is cancelled.
func planRevocation(all []storage.SigningKey, i int, now time.Time, life time.Duration) change {
	revoked := all[i]
	if !revoked.RevokedAt.IsZero() {
		return change{}
	}
	revoked.RevokedAt = now
	signing := signingKID(all, revoked.Alg, now)
	rest := slices.Delete(slices.Clone(all), i, i+1)
	var c change
	if hasTimelySigner(rest, revoked.Alg, now) {
		c.successor = rest[signerAt(rest, revoked.Alg, now)]
		if restored := withoutRetirement(c.successor, rest); len(restored) > 0 {
			c.successor, c.update = restored[0], restored
		}
	} else {
		if h := successorAt(rest, revoked.Alg, now); h >= 0 {
			c.successor = rest[h]
			c.successor.ActivatesAt = now
			c.update = append(c.update, c.successor)
		} else {
			c.successor, c.isNew = newSuccessor(revoked.Alg, signing, now, now), true
		}
		c.update = append(c.update, retirements(rest, c.successor, signing, life)...)
	}
	c.update = append(c.update, revoked)
	return c
}

// newSuccessor returns the record of a key that is not generated yet.
func newSuccessor(alg, predecessor string, at, now time.Time) storage.SigningKey {
	return storage.SigningKey{Alg: alg, Predecessor: predecessor, CreatedAt: now, ActivatesAt: at}
}

// deletable returns the kids of the keys whose records can be deleted: those that have been
// gone for keepGone, and those that were revoked life and keepGone ago. life is how long a
// retired key stays published.
func deletable(all []storage.SigningKey, now time.Time, life time.Duration) []string {
	var kids []string
	for _, k := range all {
		var end time.Time
		switch StateAt(k, all, now) {
		case StateGone:
			end = k.GoneAt
		case StateRevoked:
			end = k.RevokedAt.Add(life)
		default:
			continue
		}
		if !now.Before(end.Add(keepGone)) {
			kids = append(kids, k.KID)
		}
	}
	return kids
}
