package storetest

import (
	"errors"
	"testing"
	"time"

	"latchkey/storage"
)

// testFamilyUses uses refresh tokens before their family is read.
func testFamilyUses(t *testing.T, s suite) {
	all := cases{
		"the ordinary case takes effect":   useOrdinary,
		"rotations are those of two steps": useRotations,
		"a restored family is as before":   useRestored,
	}
	for name, change := range unusualUses() {
		all["nothing changes: "+name] = useUnusual(change)
	}
	s.run(t, all)
	s.runRepeating(t, cases{"one of concurrent uses takes effect": raceUses})
}

// usable begins a family of bob and returns the FamilyUse of its refresh token.
func (w *fixture) usable(id string) storage.FamilyUse {
	w.t.Helper()
	f := w.family(id)
	f.AccountUID = ""
	check(w.t, w.store.SettleLogin(w.ctx, storage.Settlement{LoginID: w.login.ID, PasswordSetAt: w.login.PasswordSetAt, BeginFamily: &f, Now: w.now}))
	return storage.FamilyUse{
		FamilyID: id, Generation: 1, SeedDigest: f.SeedDigest, ClientID: "web",
		Admission: storage.Admission{Kinds: []storage.UserKind{storage.Buyer}}, Methods: []string{"otp"},
		IdleUntil: w.now.Add(2 * day), GraceFrom: w.now.Add(-time.Minute), Now: w.now.Add(time.Second),
	}
}

func (w *fixture) useDirectly(use storage.FamilyUse) (storage.FamilyState, bool) {
	w.t.Helper()
	state, ok, err := w.store.UseFamily(w.ctx, use)
	check(w.t, err)
	return state, ok
}

func useOrdinary(t *testing.T, w *fixture) {
	w.assign("sp", "Shopper", "MeAdmin")
	use := w.usable("f")
	before := must(w.store.Family(w.ctx, "f"))(t)
	got, ok := w.useDirectly(use)
	after := must(w.store.Family(w.ctx, "f"))(t)
	equal(t, ok, true)
	equal(t, got.Principal, storage.Principal{
		Known: true, Roles: []string{"MeAdmin", "Shopper"}, RoleSource: before.Principal.RoleSource,
		Login: storage.Login{ID: w.login.ID, Username: "bob ", UserUID: w.user.UID, Active: true},
		User:  storage.User{UID: w.user.UID, Kind: storage.Buyer, AccountUID: "acc_1", Active: true},
	})
	want := before.Family
	want.Generation, want.RotatedAt, want.IdleUntil = 2, use.Now, use.IdleUntil
	equal(t, after.Family, want)
	want.ExpiresAt = time.Time{} // not returned
	equal(t, got.Family, want)
	_, ok = w.useDirectly(use)
	equal(t, ok, false)
	equal(t, must(w.store.Family(w.ctx, "f"))(t), after)
}

// useRotations compares the rotations of a family that is used in one statement with those of a
// family that advances in two steps. The first may keep more of them.
func useRotations(t *testing.T, w *fixture) {
	const grace = time.Minute
	use := w.usable("direct")
	w.usable("steps")
	for i, pause := range []time.Duration{time.Second, time.Second, 2 * time.Minute, time.Second, time.Second, 59 * time.Second, 3 * time.Minute} {
		use.Generation, use.Now = int64(i+1), use.Now.Add(pause)
		use.GraceFrom = use.Now.Add(-grace)
		steps := must(w.store.Family(w.ctx, "steps"))(t).Family
		check(t, w.store.AdvanceFamily(w.ctx, "steps", steps.Advance(use.Now, use.IdleUntil, grace)))
		_, ok := w.useDirectly(use)
		equal(t, ok, true)
		steps, direct := must(w.store.Family(w.ctx, "steps"))(t).Family, must(w.store.Family(w.ctx, "direct"))(t).Family
		for generation := range steps.Generation {
			a, b := steps.ReplacedAt(generation), direct.ReplacedAt(generation)
			if !a.Equal(b) && a.After(use.GraceFrom) {
				t.Errorf("after %d uses, token %d was replaced at %v, want %v", i+1, generation, b, a)
			}
		}
	}
	for range 200 { // the rotations are bounded: by UseFamily itself, or because it leaves some uses to AdvanceFamily
		use.Generation, use.Now = use.Generation+1, use.Now.Add(time.Millisecond)
		use.GraceFrom = use.Now.Add(-grace)
		direct := must(w.store.Family(w.ctx, "direct"))(t).Family
		if len(direct.Rotations) > 100 {
			t.Fatal("the rotations grow without end")
		}
		if _, ok := w.useDirectly(use); !ok {
			check(t, w.store.AdvanceFamily(w.ctx, "direct", direct.Advance(use.Now, use.IdleUntil, grace)))
		}
	}
}

func useRestored(t *testing.T, w *fixture) {
	use := w.usable("f")
	use.IdleUntil = w.family("f").IdleUntil
	for generation := int64(1); generation <= 3; generation++ {
		use.Generation, use.Now = generation, use.Now.Add(time.Second)
		before := must(w.store.Family(w.ctx, "f"))(t)
		state, ok := w.useDirectly(use)
		equal(t, ok, true)
		check(t, w.store.RestoreFamily(w.ctx, state.Family))
		equal(t, must(w.store.Family(w.ctx, "f"))(t), before)
		state, ok = w.useDirectly(use)
		equal(t, ok, true)
		later := state.Family
		later.RotatedAt = later.RotatedAt.Add(time.Second)
		check(t, w.store.RestoreFamily(w.ctx, later)) // another caller has used the token
		equal(t, must(w.store.Family(w.ctx, "f"))(t).Family.Generation, generation+1)
	}
}

// unusualUses are changes after which the single statement must change nothing.
func unusualUses() map[string]func(w *fixture, use *storage.FamilyUse) {
	asked := func(change func(*storage.FamilyUse)) func(*fixture, *storage.FamilyUse) {
		return func(_ *fixture, use *storage.FamilyUse) { change(use) }
	}
	family := func(change func(f *storage.TokenFamily)) func(*fixture, *storage.FamilyUse) {
		return func(w *fixture, use *storage.FamilyUse) {
			f := w.family("other")
			f.AccountUID = ""
			change(&f)
			check(w.t, w.store.SettleLogin(w.ctx, storage.Settlement{LoginID: w.login.ID, PasswordSetAt: w.login.PasswordSetAt, BeginFamily: &f, Now: w.now}))
			use.FamilyID = "other"
		}
	}
	of := map[string]func(w *fixture, use *storage.FamilyUse){
		"an unknown family":   asked(func(use *storage.FamilyUse) { use.FamilyID = "nothing" }),
		"an older token":      asked(func(use *storage.FamilyUse) { use.Generation = 0 }),
		"a later token":       asked(func(use *storage.FamilyUse) { use.Generation = 2 }),
		"another seed":        asked(func(use *storage.FamilyUse) { use.SeedDigest = []byte{1} }),
		"another client":      asked(func(use *storage.FamilyUse) { use.ClientID = "other" }),
		"not admitted":        asked(func(use *storage.FamilyUse) { use.Admission = storage.Admission{AccountUIDs: []string{"acc_0"}} }),
		"begun by a password": asked(func(use *storage.FamilyUse) { use.Methods = []string{"pwd"} }),
		"by two methods":      family(func(f *storage.TokenFamily) { f.AMR = []string{"pwd", "otp"} }),
		"begun too early":     asked(func(use *storage.FamilyUse) { use.ValidFrom = use.Now }),
		"expired":             asked(func(use *storage.FamilyUse) { use.Now = use.Now.Add(30 * day) }),
		"idle":                asked(func(use *storage.FamilyUse) { use.Now = use.Now.Add(day) }),
		"begun in the future": asked(func(use *storage.FamilyUse) { use.Now = use.Now.Add(-time.Minute) }),
		"bound to a key":      family(func(f *storage.TokenFamily) { f.JKT = "thumbprint" }),
		"for a resource":      family(func(f *storage.TokenFamily) { f.Resources = []string{"https://api.example"} }),
		"for an account":      family(func(f *storage.TokenFamily) { f.AccountUID = "acc_1" }),
		"of another user":     family(func(f *storage.TokenFamily) { f.UserUID = "usr_eve" }),
		"without a login":     family(func(f *storage.TokenFamily) { f.LoginID = "" }),
		"revoked": func(w *fixture, use *storage.FamilyUse) {
			check(w.t, w.store.RevokeFamily(w.ctx, use.FamilyID, w.now))
		},
		"a password set, sessions ended": func(w *fixture, use *storage.FamilyUse) {
			check(w.t, w.store.SetPassword(w.ctx, w.login.ID, "hash-2", use.Now, true))
		},
	}
	for name, change := range unusual() {
		switch name {
		case "locked", "user inactive", "login inactive", "account inactive", "user of another buyer", "tokens not valid yet":
			of["login: "+name] = func(w *fixture, use *storage.FamilyUse) {
				if name == "user of another buyer" {
					use.Admission = storage.Admission{AccountUIDs: []string{"acc_1"}}
				}
				change(w, new(storage.Redemption))
			}
		}
	}
	return of
}

func useUnusual(change func(w *fixture, use *storage.FamilyUse)) func(t *testing.T, w *fixture) {
	return func(t *testing.T, w *fixture) {
		use := w.usable("f")
		change(w, &use)
		before, err := w.store.Family(w.ctx, use.FamilyID)
		_, ok := w.useDirectly(use)
		equal(t, ok, false)
		after, errAfter := w.store.Family(w.ctx, use.FamilyID)
		equal(t, after, before)
		equal(t, errAfter == nil, err == nil)
	}
}

// raceUses uses one token at the same time, in one statement and in two steps.
func raceUses(t *testing.T, w *fixture) {
	replica := w.replicas()
	use := w.usable("f")
	for generation := int64(1); generation <= 10; generation++ {
		use.Generation = generation
		took := make([]bool, 200)
		errs := concurrently(len(took), func(i int) (err error) {
			if i%3 == 0 {
				err = replica(i).AdvanceFamily(w.ctx, "f", storage.FamilyAdvance{From: generation, Now: use.Now})
				took[i] = err == nil
				if errors.Is(err, storage.ErrStale) {
					err = nil
				}
				return err
			}
			_, took[i], err = replica(i).UseFamily(w.ctx, use)
			return err
		})
		equal(t, countErrors(errs), map[string]int{"": len(took)})
		n := 0
		for _, ok := range took {
			if ok {
				n++
			}
		}
		equal(t, n, 1)
	}
	equal(t, must(w.store.Family(w.ctx, "f"))(t).Family.Generation, 11)
}
