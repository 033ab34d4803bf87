package storetest

import (
	"fmt"
	"testing"
	"time"

	"latchkey/storage"
)

func testKeys(t *testing.T, fresh func(*testing.T) Database) {
	cases{
		"signing keys are kept":       testSigningKeys,
		"there is one first pepper":   testPeppers,
		"one of many peppers is kept": testPepperRace,
	}.run(t, fresh)
}

func testSigningKeys(t *testing.T, w *world) {
	newer := storage.SigningKey{KID: "a", Alg: "RS256", Public: []byte("{}"), CreatedAt: w.now.Add(time.Second)}
	older := storage.SigningKey{
		KID: "b", Alg: "ES256", Public: []byte("{1}"), Private: storage.Sealed{KeyID: "k", Data: []byte{0, 1}},
		CreatedAt: w.now, ActivatesAt: w.now.Add(time.Hour), RetiresAt: w.now.Add(day), GoneAt: w.now.Add(2 * day),
		RevokedAt: w.now.Add(3 * day),
	}
	check(t, w.store.AddSigningKey(w.ctx, newer))
	check(t, w.store.AddSigningKey(w.ctx, older))
	wantErr(t, w.store.AddSigningKey(w.ctx, older), storage.ErrConflict)
	equal(t, must(w.store.SigningKeys(w.ctx))(t), []storage.SigningKey{older, newer})

	older.RetiresAt, older.GoneAt = time.Time{}, w.now
	older.Private = storage.Sealed{KeyID: "k2", Data: []byte{5}}
	check(t, w.store.UpdateSigningKey(w.ctx, older))
	equal(t, must(w.store.SigningKeys(w.ctx))(t), []storage.SigningKey{older, newer})
	wantErr(t, w.store.UpdateSigningKey(w.ctx, storage.SigningKey{KID: "none"}), storage.ErrNotFound)

	restored := older // as seen by somebody who read it before it was revoked
	restored.RevokedAt = time.Time{}
	check(t, w.store.UpdateSigningKey(w.ctx, restored))
	equal(t, must(w.store.SigningKeys(w.ctx))(t), []storage.SigningKey{older, newer})
}

func testPeppers(t *testing.T, w *world) {
	equal(t, len(must(w.store.Peppers(w.ctx))(t)), 0)
	p := storage.Pepper{ID: "p1", Secret: storage.Sealed{KeyID: "k", Data: []byte{1, 0}}, CreatedAt: w.now}
	check(t, w.store.AddFirstPepper(w.ctx, p))
	wantErr(t, w.store.AddFirstPepper(w.ctx, p), storage.ErrConflict)
	wantErr(t, w.store.AddFirstPepper(w.ctx, storage.Pepper{ID: "p2"}), storage.ErrConflict)
	equal(t, must(w.store.Peppers(w.ctx))(t), []storage.Pepper{p})
}

func testPepperRace(t *testing.T, w *world) {
	two := []Store{w.store, w.open(t)}
	errs := together(40, func(i int) error {
		return two[i%2].AddFirstPepper(w.ctx, storage.Pepper{ID: fmt.Sprint("p", i)})
	})
	equal(t, tally(errs), map[string]int{"": 1, storage.ErrConflict.Error(): 39})
	equal(t, len(must(w.store.Peppers(w.ctx))(t)), 1)
}
