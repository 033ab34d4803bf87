package storetest

import (
	"fmt"
	"testing"
	"time"

	"latchkey/storage"
)

func testKeys(t *testing.T, s suite) {
	s.run(t, cases{
		"signing keys are stored":                   testSigningKeys,
		"a change of keys is atomic":                testWholeKeyChange,
		"a key has one successor":                   testOneSuccessor,
		"one of concurrent successors is stored":    testSuccessorRace,
		"the algorithms of clients are listed":      testClientAlgs,
		"only one first pepper is stored":           testPeppers,
		"one of concurrent first peppers is stored": testPepperRace,
		"secrets are resealed":                      testReseal,
		"a secret that changed is not resealed":     testResealRace,
	})
}

func adding(k ...storage.SigningKey) storage.SigningKeyChange {
	return storage.SigningKeyChange{Add: k}
}

func updating(k ...storage.SigningKey) storage.SigningKeyChange {
	return storage.SigningKeyChange{Update: k}
}

func testSigningKeys(t *testing.T, w *fixture) {
	newer := storage.SigningKey{KID: "a", Alg: "RS256", Public: []byte("{}"), CreatedAt: w.now.Add(time.Second)}
	older := storage.SigningKey{
		KID: "b", Alg: "ES256", Public: []byte("{1}"), Private: storage.Sealed{KeyID: "k", Data: []byte{0, 1}},
		Predecessor: "z", CreatedAt: w.now, ActivatesAt: w.now.Add(time.Hour), RetiresAt: w.now.Add(day),
		GoneAt: w.now.Add(2 * day), RevokedAt: w.now.Add(3 * day),
	}
	check(t, w.store.ChangeSigningKeys(w.ctx, adding(newer, older)))
	wantErr(t, w.store.ChangeSigningKeys(w.ctx, adding(older)), storage.ErrConflict)
	equal(t, must(w.store.SigningKeys(w.ctx))(t), []storage.SigningKey{older, newer})

	older.RetiresAt, older.GoneAt = time.Time{}, w.now
	check(t, w.store.ChangeSigningKeys(w.ctx, updating(older)))
	equal(t, must(w.store.SigningKeys(w.ctx))(t), []storage.SigningKey{older, newer})

	stale := older // a copy from before it was revoked and resealed
	stale.RevokedAt, stale.Private = time.Time{}, storage.Sealed{KeyID: "k0", Data: []byte{9}}
	check(t, w.store.ChangeSigningKeys(w.ctx, updating(stale)))
	equal(t, must(w.store.SigningKeys(w.ctx))(t), []storage.SigningKey{older, newer})

	check(t, w.store.ChangeSigningKeys(w.ctx, storage.SigningKeyChange{Remove: []string{"b", "nothing"}}))
	equal(t, must(w.store.SigningKeys(w.ctx))(t), []storage.SigningKey{newer})
}

func testWholeKeyChange(t *testing.T, w *fixture) {
	first := storage.SigningKey{KID: "a", Alg: "ES256", CreatedAt: w.now}
	check(t, w.store.ChangeSigningKeys(w.ctx, adding(first)))
	retired := first
	retired.RetiresAt = w.now.Add(day)
	second := storage.SigningKey{KID: "b", Alg: "ES256", Predecessor: "a", CreatedAt: w.now}
	for name, c := range map[string]storage.SigningKeyChange{
		"unknown key":  {Add: []storage.SigningKey{second}, Update: []storage.SigningKey{retired, {KID: "none"}}, Remove: []string{"a"}},
		"known key":    {Add: []storage.SigningKey{second, first}, Update: []storage.SigningKey{retired}},
		"two succeed":  {Add: []storage.SigningKey{second, {KID: "c", Alg: "ES256", Predecessor: "a"}}, Update: []storage.SigningKey{retired}},
		"second first": {Add: []storage.SigningKey{{KID: "c", Alg: "ES256"}}, Update: []storage.SigningKey{retired}},
	} {
		if err := w.store.ChangeSigningKeys(w.ctx, c); err == nil {
			t.Errorf("%s: got no error, want one", name)
		}
		equal(t, must(w.store.SigningKeys(w.ctx))(t), []storage.SigningKey{first})
	}
	wantErr(t, w.store.ChangeSigningKeys(w.ctx, updating(storage.SigningKey{KID: "none"})), storage.ErrNotFound)
}

func testOneSuccessor(t *testing.T, w *fixture) {
	first := storage.SigningKey{KID: "a", Alg: "ES256", CreatedAt: w.now}
	next := func(kid string) storage.SigningKey {
		return storage.SigningKey{KID: kid, Alg: "ES256", Predecessor: "a", CreatedAt: w.now}
	}
	check(t, w.store.ChangeSigningKeys(w.ctx, adding(first, next("b"))))
	wantErr(t, w.store.ChangeSigningKeys(w.ctx, adding(next("c"))), storage.ErrConflict)
	other := next("d")
	other.Alg = "RS256"
	check(t, w.store.ChangeSigningKeys(w.ctx, adding(other)))

	revoked := next("b")
	revoked.RevokedAt = w.now
	check(t, w.store.ChangeSigningKeys(w.ctx, storage.SigningKeyChange{
		Add: []storage.SigningKey{next("c")}, Update: []storage.SigningKey{revoked},
	}))
	equal(t, len(must(w.store.SigningKeys(w.ctx))(t)), 4)
}

func testSuccessorRace(t *testing.T, w *fixture) {
	first := storage.SigningKey{KID: "a", Alg: "ES256", CreatedAt: w.now}
	check(t, w.store.ChangeSigningKeys(w.ctx, adding(first)))
	two := []Store{w.store, w.open(t)}
	errs := concurrently(40, func(i int) error {
		retired := first
		retired.RetiresAt = w.now.Add(time.Duration(i+1) * time.Hour)
		return two[i%2].ChangeSigningKeys(w.ctx, storage.SigningKeyChange{
			Add:    []storage.SigningKey{{KID: fmt.Sprint("k", i), Alg: "ES256", Predecessor: "a", ActivatesAt: retired.RetiresAt}},
			Update: []storage.SigningKey{retired},
		})
	})
	equal(t, countErrors(errs), map[string]int{"": 1, storage.ErrConflict.Error(): 39})
	keys := must(w.store.SigningKeys(w.ctx))(t)
	equal(t, len(keys), 2)
	if keys[0].KID != "a" {
		keys[0], keys[1] = keys[1], keys[0]
	}
	equal(t, keys[0].RetiresAt, keys[1].ActivatesAt)
}

func testClientAlgs(t *testing.T, w *fixture) {
	equal(t, len(must(w.store.ClientSigningAlgs(w.ctx))(t)), 0)
	check(t, putRealm(w.store, "r")(w.ctx))
	must(w.store.PutPasswordProfile(w.ctx, storage.PasswordProfile{ID: "p", RealmID: "r"}))(t)
	for id, alg := range map[string]string{"one": "RS256", "two": "EdDSA", "three": "RS256", "four": ""} {
		c := fullClient(id)
		c.SigningAlg, c.IDTokenAlg = alg, ""
		if alg == "EdDSA" { // the algorithm of its ID tokens
			c.SigningAlg, c.IDTokenAlg = "", alg
		}
		must(w.store.PutClient(w.ctx, c))(t)
	}
	equal(t, must(w.store.ClientSigningAlgs(w.ctx))(t), []string{"EdDSA", "RS256"})
}

func testPeppers(t *testing.T, w *fixture) {
	equal(t, len(must(w.store.Peppers(w.ctx))(t)), 0)
	p := storage.Pepper{ID: "p1", Secret: storage.Sealed{KeyID: "k", Data: []byte{1, 0}}, CreatedAt: w.now}
	check(t, w.store.AddFirstPepper(w.ctx, p))
	wantErr(t, w.store.AddFirstPepper(w.ctx, p), storage.ErrConflict)
	wantErr(t, w.store.AddFirstPepper(w.ctx, storage.Pepper{ID: "p2"}), storage.ErrConflict)
	equal(t, must(w.store.Peppers(w.ctx))(t), []storage.Pepper{p})
}

func testPepperRace(t *testing.T, w *fixture) {
	two := []Store{w.store, w.open(t)}
	errs := concurrently(40, func(i int) error {
		return two[i%2].AddFirstPepper(w.ctx, storage.Pepper{ID: fmt.Sprint("p", i)})
	})
	equal(t, countErrors(errs), map[string]int{"": 1, storage.ErrConflict.Error(): 39})
	equal(t, len(must(w.store.Peppers(w.ctx))(t)), 1)
}

func secretOf(kind storage.SealedKind, id, keyID string) storage.SealedSecret {
	return storage.SealedSecret{Kind: kind, ID: id, Sealed: storage.Sealed{KeyID: keyID, Data: []byte(keyID + string(kind))}}
}

// addSecrets stores a secret of each kind for each master key. The ID of the record is
// the ID of its master key.
func addSecrets(t *testing.T, w *fixture, keyIDs ...string) {
	t.Helper()
	check(t, putRealm(w.store, "r")(w.ctx))
	sealed := func(kind storage.SealedKind, keyID string) storage.Sealed { return secretOf(kind, "", keyID).Sealed }
	check(t, w.store.AddFirstPepper(w.ctx, storage.Pepper{ID: keyIDs[0], Secret: sealed(storage.SealedPepper, keyIDs[0])}))
	for _, k := range keyIDs {
		check(t, w.store.ChangeSigningKeys(w.ctx, adding(storage.SigningKey{
			KID: k, Alg: "ES256", Predecessor: "-" + k, Private: sealed(storage.SealedSigningKey, k),
		})))
		must(w.store.PutSender(w.ctx, storage.Sender{
			ID: k, RealmID: "r", SharedKey: sealed(storage.SealedSharedKey, k),
			SigningSecrets: sealed(storage.SealedSigningSecrets, k),
			SMTP:           storage.SMTPSettings{Password: sealed(storage.SealedSMTPPassword, k)},
		}))(t)
		must(w.store.PutDeliveryConfig(w.ctx, storage.DeliveryConfig{
			ID: k, RealmID: "r", Secret: sealed(storage.SealedDeliverySecret, k), CustomAuthHeader: sealed(storage.SealedDeliveryHeader, k),
		}))(t)
		check(t, w.store.KeepAnswer(w.ctx, storage.KeptAnswer{ID: k, Answer: sealed(storage.SealedAnswer, k), CreatedAt: w.now, ExpiresAt: w.now.Add(day)}))
		w.request(k)
		must(w.store.IssueCodes(w.ctx, storage.Issuance{RequestID: k, Now: w.now, Notices: []storage.IssuedNotice{{Messages: []storage.Message{{
			ID: k, RequestID: k, State: storage.MessageQueued, Payload: sealed(storage.SealedMessage, k), ExpiresAt: w.now.Add(day), CreatedAt: w.now,
		}}}}}))(t)
	}
	must(w.store.PutSender(w.ctx, storage.Sender{ID: "bare", RealmID: "r"}))(t)
	must(w.store.PutDeliveryConfig(w.ctx, storage.DeliveryConfig{ID: "bare", RealmID: "r"}))(t)
}

func testReseal(t *testing.T, w *fixture) {
	addSecrets(t, w, "k1", "k2")
	before := must(w.store.Sender(w.ctx, "k1"))(t)
	var want []storage.SealedCount
	for _, kind := range storage.SealedKinds() {
		found := must(w.store.SealedOtherwise(w.ctx, kind, "new", "", 10))(t)
		expected := []storage.SealedSecret{secretOf(kind, "k1", "k1"), secretOf(kind, "k2", "k2")}
		if kind == storage.SealedPepper {
			expected = expected[:1]
		}
		equal(t, found, expected)
		equal(t, must(w.store.SealedOtherwise(w.ctx, kind, "new", "", 1))(t), expected[:1])
		equal(t, must(w.store.SealedOtherwise(w.ctx, kind, "new", "k1", 10))(t), expected[1:])
		equal(t, must(w.store.SealedOtherwise(w.ctx, kind, "k1", "", 10))(t), expected[1:])
		for _, secret := range found {
			equal(t, must(w.store.Reseal(w.ctx, secret, secretOf(kind, "", "new").Sealed))(t), true)
		}
		equal(t, len(must(w.store.SealedOtherwise(w.ctx, kind, "new", "", 10))(t)), 0)
		want = append(want, storage.SealedCount{Kind: kind, KeyID: "new", Count: len(expected)})
	}
	equal(t, must(w.store.CountSealed(w.ctx))(t), want)
	after := must(w.store.Sender(w.ctx, "k1"))(t)
	equal(t, after.SharedKey, secretOf(storage.SealedSharedKey, "", "new").Sealed)
	before.Name = "by somebody who read it before"
	_, err := w.store.PutSender(w.ctx, before)
	wantErr(t, err, storage.ErrStale)
}

func testResealRace(t *testing.T, w *fixture) {
	addSecrets(t, w, "k1")
	for _, kind := range storage.SealedKinds() {
		was := secretOf(kind, "k1", "k1")
		read := was
		read.Sealed.Data = []byte("another secret")
		equal(t, must(w.store.Reseal(w.ctx, read, storage.Sealed{KeyID: "new"}))(t), false)
		read = was
		read.Sealed.KeyID = "another key"
		equal(t, must(w.store.Reseal(w.ctx, read, storage.Sealed{KeyID: "new"}))(t), false)
		read = was
		read.ID = "another"
		equal(t, must(w.store.Reseal(w.ctx, read, storage.Sealed{KeyID: "new"}))(t), false)
		equal(t, must(w.store.SealedOtherwise(w.ctx, kind, "new", "", 10))(t), []storage.SealedSecret{was})
	}
	if _, err := w.store.Reseal(w.ctx, storage.SealedSecret{Kind: "unknown"}, storage.Sealed{}); err == nil {
		t.Error("Reseal accepts an unknown kind of secret")
	}
}
