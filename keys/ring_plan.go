package keys

import (
	"slices"
	"time"

	"latchkey/storage"
)

// keepGone is how long the record of a key that is gone stays to be looked at.
const keepGone = 24 * time.Hour

// change is what becomes of the records of an algorithm. The zero change is
// none.
type change struct {
	heir   storage.SigningKey   // the key that signs afterwards
	made   bool                 // the heir is yet to be made: it has no kid and no secret
	update []storage.SigningKey // as they will be
}

// empty tells whether the change leaves everything as it is.
func (c *change) empty() bool { return !c.made && len(c.update) == 0 }

// after returns the records as the change leaves them.
func (c *change) after(all []storage.SigningKey) []storage.SigningKey {
	all = slices.Clone(all)
	for _, k := range c.update {
		if i := indexOf(all, k.KID); i >= 0 {
			all[i] = k
		}
	}
	if c.made {
		all = append(all, c.heir)
	}
	return all
}

func indexOf(all []storage.SigningKey, kid string) int {
	return slices.IndexFunc(all, func(k storage.SigningKey) bool { return k.KID == kid })
}

// planRotation says how the key that signs with alg at the time now gets a
// successor: the one that is announced already, or a new one that takes over at
// the time at. Without a key the new one begins at once.
func planRotation(all []storage.SigningKey, alg string, at, now time.Time, life time.Duration) change {
	signing := signingKID(all, alg, now)
	var c change
	if i := heirAt(all, alg, now); i >= 0 {
		c.heir = all[i]
	} else {
		if signing == "" {
			at = now
		}
		c.heir, c.made = newHeir(alg, signing, at, now), true
	}
	c.update = retirements(all, c.heir, signing, life)
	return c
}

// planFirst says how alg gets a key if it has none.
func planFirst(all []storage.SigningKey, alg string, now time.Time, life time.Duration) change {
	if i := signerAt(all, alg, now); i >= 0 {
		return change{heir: all[i]}
	}
	return planRotation(all, alg, now, now, life)
}

// planSuccession says how the key that signs with alg gets a successor when it
// is time for that: when it will have signed for as long as it is to (after),
// less the time for which its successor is announced (ahead). After 0 no key is
// replaced, but a missing one is made.
func planSuccession(all []storage.SigningKey, alg string, now time.Time, after, ahead, life time.Duration) change {
	i := signerAt(all, alg, now)
	if i < 0 {
		return planFirst(all, alg, now, life)
	}
	end := all[i].ActivatesAt.Add(after)
	if after == 0 || now.Before(end.Add(-ahead)) && heirAt(all, alg, now) < 0 {
		return change{heir: all[i]}
	}
	at := now.Add(ahead)
	if end.After(at) {
		at = end
	}
	return planRotation(all, alg, at, now, life)
}

// planRevocation says how the key of index i is revoked at the time now. If it
// was the signing key its announced successor signs at once, for caches of the
// key set may know it already, or else a new key; if it was the announced
// successor, the rotation is called off.
func planRevocation(all []storage.SigningKey, i int, now time.Time, life time.Duration) change {
	revoked := all[i]
	if !revoked.RevokedAt.IsZero() {
		return change{}
	}
	revoked.RevokedAt = now
	signing := signingKID(all, revoked.Alg, now)
	rest := slices.Delete(slices.Clone(all), i, i+1)
	var c change
	if succeeded(rest, revoked.Alg, now) {
		c.heir = rest[signerAt(rest, revoked.Alg, now)]
		if called := calledOff(c.heir, rest); len(called) > 0 {
			c.heir, c.update = called[0], called
		}
	} else {
		if h := heirAt(rest, revoked.Alg, now); h >= 0 {
			c.heir = rest[h]
			c.heir.ActivatesAt = now
			c.update = append(c.update, c.heir)
		} else {
			c.heir, c.made = newHeir(revoked.Alg, signing, now, now), true
		}
		c.update = append(c.update, retirements(rest, c.heir, signing, life)...)
	}
	c.update = append(c.update, revoked)
	return c
}

// newHeir is the record of a key that is yet to be made.
func newHeir(alg, predecessor string, at, now time.Time) storage.SigningKey {
	return storage.SigningKey{Alg: alg, Predecessor: predecessor, CreatedAt: now, ActivatesAt: at}
}

// forgettable lists the kids of keys that have been gone for keepGone, or were
// revoked for so long that they would have been gone for it; life is how long a
// retired key stays.
func forgettable(all []storage.SigningKey, now time.Time, life time.Duration) []string {
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
