package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"latchkey/storage"
)

// testRedemptions redeems codes before their login is read.
func testRedemptions(t *testing.T, s suite) {
	all := cases{
		"the ordinary case takes effect": redeemOrdinary,
		"a restored code is good again":  redeemRestored,
		"a user without roles":           redeemEmptyScope,
		"an address gets known":          redeemSources,
	}
	for name, change := range unusual() {
		all["nothing changes: "+name] = redeemUnusual(change)
	}
	s.run(t, all)
	s.runRepeating(t, cases{
		"a code is redeemed once":                 raceRedemptions,
		"a change that came first keeps the code": raceRedemptionAndChange,
	})
}

// redeemable issues a code for bob and returns the redemption that fits it. The request, the
// code and the family have the ID id.
func (w *fixture) redeemable(id string) storage.Redemption {
	w.t.Helper()
	w.request(id)
	x := w.issuance(id)
	x.Codes[0].Code.NameDigest = []byte("by name " + id)
	must(w.store.IssueCodes(w.ctx, x))(w.t)
	f := w.family("fam-" + id)
	f.UserUID, f.LoginID, f.Scope, f.AccountUID = "", "", nil, ""
	return storage.Redemption{
		NameDigest: storage.Digest{PepperID: "p1", Sum: x.Codes[0].Code.NameDigest},
		Key:        w.key(), ClientID: "web", Purpose: storage.PurposeSignIn,
		Admission:  storage.Admission{AccountUIDs: []string{"acc_0", "acc_1"}},
		Grants:     []storage.RoleGrant{{RoleSource: "other", Scope: []string{"Other"}}, {RoleSource: w.principal().RoleSource, Scope: []string{"Shopper"}}},
		SeenBefore: w.now.Add(-day), Family: &f, Now: w.now,
	}
}

// redeemDirectly calls RedeemCode.
func (w *fixture) redeemDirectly(r storage.Redemption) (storage.Redeemed, bool) {
	w.t.Helper()
	done, ok, err := w.store.RedeemCode(w.ctx, r)
	check(w.t, err)
	return done, ok
}

// assign gives bob's company a security profile.
func (w *fixture) assign(id string, roles ...string) {
	w.t.Helper()
	must(w.store.PutSecurityProfile(w.ctx, storage.SecurityProfile{ID: id, RealmID: storage.DefaultRealmID, Roles: roles}))(w.t)
	check(w.t, w.store.AssignSecurityProfile(w.ctx, id, storage.AccountParty("acc_1")))
}

func redeemOrdinary(t *testing.T, w *fixture) {
	w.assign("sp", "Shopper", "MeAdmin")
	r := w.redeemable("r")
	before := w.principal()
	done, ok := w.redeemDirectly(r)
	equal(t, ok, true)
	equal(t, done, storage.Redeemed{
		Principal: storage.Principal{
			Key: r.Key, Known: true, Roles: []string{"MeAdmin", "Shopper"}, RoleSource: before.RoleSource,
			Login: storage.Login{ID: w.login.ID, ProfileID: "default", UsernameKey: "bob", Username: "bob ", UserUID: w.user.UID, Active: true},
			User:  storage.User{UID: w.user.UID, Kind: storage.Buyer, AccountUID: "acc_1", Active: true},
		},
		Scope: []string{"Shopper"}, CodeID: "code-r",
	})
	after := w.principal()
	equal(t, []any{after.Login.Code.UsedAt, after.Login.LastActiveAt}, []any{w.now, w.now})
	want := *r.Family
	want.UserUID, want.LoginID, want.Scope = w.user.UID, w.login.ID, []string{"Shopper"}
	equal(t, must(w.store.Family(w.ctx, r.Family.ID))(t).Family, want)
	r.Family.ID = "again"
	_, ok = w.redeemDirectly(r)
	equal(t, ok, false)
	equal(t, w.principal(), after)
	fails(w.store.Family(w.ctx, "again"))(t, storage.ErrNotFound)
}

// unusual are changes of the login or of the attempt after which a redemption must change
// nothing.
func unusual() map[string]func(w *fixture, r *storage.Redemption) {
	failed := func(l storage.Lockout) func(*fixture, *storage.Redemption) {
		return func(w *fixture, _ *storage.Redemption) {
			check(w.t, w.store.RecordFailure(w.ctx, w.principal(), l, nil))
		}
	}
	user := func(change func(*storage.User)) func(*fixture, *storage.Redemption) {
		return func(w *fixture, _ *storage.Redemption) {
			u := w.user
			change(&u)
			must(w.store.PutUser(w.ctx, u))(w.t)
		}
	}
	asked := func(change func(*storage.Redemption)) func(*fixture, *storage.Redemption) {
		return func(_ *fixture, r *storage.Redemption) { change(r) }
	}
	now := time.Date(2031, 5, 17, 10, 20, 30, 123456000, time.UTC)
	return map[string]func(w *fixture, r *storage.Redemption){
		"mailed, and the address is not verified": func(w *fixture, r *storage.Redemption) {
			x := w.mailed("mailed", w.user.EmailKey)
			x.Codes[0].Code.NameDigest = r.NameDigest.Sum
			must(w.store.IssueCodes(w.ctx, x))(w.t)
		},
		"wrong code":       asked(func(r *storage.Redemption) { r.NameDigest.Sum = []byte("wrong") }),
		"no digest":        asked(func(r *storage.Redemption) { r.NameDigest.Sum = nil }),
		"another pepper":   asked(func(r *storage.Redemption) { r.NameDigest.PepperID = "p2" }),
		"another purpose":  asked(func(r *storage.Redemption) { r.Purpose = storage.PurposeResetPassword }),
		"no purpose":       asked(func(r *storage.Redemption) { r.Purpose = "" }),
		"another client":   asked(func(r *storage.Redemption) { r.ClientID = "other" }),
		"expired":          asked(func(r *storage.Redemption) { r.Now = r.Now.Add(10 * time.Minute) }),
		"issued too early": asked(func(r *storage.Redemption) { r.IssuedFrom = r.Now.Add(time.Microsecond) }),
		"not admitted":     asked(func(r *storage.Redemption) { r.Admission = storage.Admission{AccountUIDs: []string{"acc_0"}} }),
		"another kind admitted": asked(func(r *storage.Redemption) {
			r.Admission = storage.Admission{Kinds: []storage.UserKind{storage.Admin, storage.Supplier}}
		}),
		"no grant":                 asked(func(r *storage.Redemption) { r.Grants = nil }),
		"no grant that fits":       asked(func(r *storage.Redemption) { r.Grants = r.Grants[:1] }),
		"another profile":          asked(func(r *storage.Redemption) { r.Key.ProfileID = "other" }),
		"an unknown name":          asked(func(r *storage.Redemption) { r.Key.UsernameKey = "nobody" }),
		"another security profile": func(w *fixture, _ *storage.Redemption) { w.assign("sp2", "Approver") },
		"another role of the membership": func(w *fixture, _ *storage.Redemption) {
			must(w.store.PutMembership(w.ctx, storage.Membership{AccountUID: "acc_1", UserUID: w.user.UID, Roles: []string{"Approver"}}))(w.t)
		},
		"a failure counted":     failed(storage.Lockout{Failures: 1, LastFailureAt: now}),
		"a guess counted":       failed(storage.Lockout{Codes: storage.Counter{Failures: 1, LastFailureAt: now}}),
		"locked":                failed(locked(now, now.Add(time.Hour))),
		"codes locked":          failed(storage.Lockout{Codes: storage.Counter{Failures: 9, LastFailureAt: now, LockedUntil: now.Add(time.Hour)}}),
		"user inactive":         user(func(u *storage.User) { u.Active = false }),
		"user of another buyer": user(func(u *storage.User) { u.AccountUID = "acc_0" }),
		"tokens not valid yet": func(w *fixture, _ *storage.Redemption) {
			check(w.t, w.store.RevokeUserTokens(w.ctx, w.user.UID, now.Add(time.Second)))
		},
		"login inactive": func(w *fixture, _ *storage.Redemption) {
			l := w.login
			l.Active = false
			must(w.store.PutLogin(w.ctx, l))(w.t)
		},
		"account inactive": func(w *fixture, _ *storage.Redemption) {
			a := w.account
			a.Active = false
			must(w.store.PutAccount(w.ctx, a))(w.t)
		},
		"a newer code": func(w *fixture, _ *storage.Redemption) { w.code("newer") },
		"password set, codes ended": func(w *fixture, _ *storage.Redemption) {
			check(w.t, w.store.SetPassword(w.ctx, w.login.ID, "hash-2", now, true))
		},
		"the same code of another login": func(w *fixture, r *storage.Redemption) {
			w.addUser("eve", "eve@example.com")
			r.Key.UsernameKey = "eve"
		},
	}
}

// redeemUnusual calls change and then redeems. The redemption must change nothing.
func redeemUnusual(change func(w *fixture, r *storage.Redemption)) func(t *testing.T, w *fixture) {
	return func(t *testing.T, w *fixture) {
		w.assign("sp", "Shopper")
		r := w.redeemable("r")
		change(w, &r)
		before := w.principal()
		_, ok := w.redeemDirectly(r)
		equal(t, ok, false)
		equal(t, w.principal(), before)
		fails(w.store.Family(w.ctx, r.Family.ID))(t, storage.ErrNotFound)
	}
}

// redeemRestored undoes a redemption, and redeems again. A code that was replaced before the
// undo stays replaced.
func redeemRestored(t *testing.T, w *fixture) {
	r := w.redeemable("r")
	r.Key.Source, r.NewSourceID = "192.0.2.7", "src_1"
	before := must(w.store.Principal(w.ctx, r.Key))(t)
	done, ok := w.redeemDirectly(r)
	equal(t, []any{ok, done.SourceID}, []any{true, "src_1"})
	check(t, w.store.RestoreCode(w.ctx, r, done))
	before.Lockout.Version++ // increases when a source becomes known
	before.Login.Lockout.Version++
	equal(t, must(w.store.Principal(w.ctx, r.Key))(t), before)
	fails(w.store.Family(w.ctx, r.Family.ID))(t, storage.ErrNotFound)
	done, ok = w.redeemDirectly(r)
	equal(t, ok, true)
	w.code("newer")
	newer := w.principal()
	check(t, w.store.RestoreCode(w.ctx, r, done))
	equal(t, w.principal(), newer)
	_ = must(w.store.Family(w.ctx, r.Family.ID))(t)
}

// redeemEmptyScope redeems for a user without roles.
func redeemEmptyScope(t *testing.T, w *fixture) {
	r := w.redeemable("r")
	r.Grants = []storage.RoleGrant{{RoleSource: w.principal().RoleSource}}
	done, ok := w.redeemDirectly(r)
	equal(t, []any{ok, done.Scope}, []any{true, []string(nil)})
	equal(t, must(w.store.Family(w.ctx, r.Family.ID))(t).Family.Scope, nil)
}

// redeemSources redeems from an address that is not known, and again from there. A login that
// has the maximum of known addresses does not get another one.
func redeemSources(t *testing.T, w *fixture) {
	at := w.now
	redeem := func(i int, address string) (storage.Redemption, storage.Redeemed, bool) {
		r := w.redeemable(fmt.Sprint("r", i))
		r.Key.Source, r.NewSourceID = address, fmt.Sprint("src_", i)
		r.Now, r.SeenBefore = at, at.Add(-time.Minute)
		done, ok := w.redeemDirectly(r)
		return r, done, ok
	}
	from := func(address string) storage.Principal {
		key := w.key()
		key.Source = address
		return must(w.store.Principal(w.ctx, key))(t)
	}
	r, done, ok := redeem(0, "192.0.2.0")
	equal(t, []any{ok, done.SourceID, done.Principal.Source}, []any{true, "src_0", storage.Source{}})
	equal(t, from("192.0.2.0").Source, storage.Source{ID: "src_0", Address: "192.0.2.0", SeenAt: at})
	equal(t, must(w.store.Family(w.ctx, r.Family.ID))(t).Family.SourceID, "src_0")

	version := w.principal().Lockout.Version
	r, done, ok = redeem(1, "192.0.2.0")
	equal(t, []any{ok, done.SourceID, done.Principal.Source.ID}, []any{true, "src_0", "src_0"})
	equal(t, must(w.store.Family(w.ctx, r.Family.ID))(t).Family.SourceID, "src_0")
	equal(t, w.principal().Lockout.Version, version) // the source was not written
	at = at.Add(2 * time.Minute)
	_, _, ok = redeem(2, "192.0.2.0")
	equal(t, ok, true)
	equal(t, from("192.0.2.0").Source.SeenAt, at)

	for i := 1; i < storage.MaxSources; i++ {
		_, _, ok = redeem(10+i, fmt.Sprint("192.0.2.", i))
		equal(t, ok, true)
	}
	_, _, ok = redeem(20, "192.0.2.99")
	equal(t, ok, false)
	equal(t, from("192.0.2.99").Source, storage.Source{})
	failed := storage.Lockout{Source: storage.Counter{Failures: 1, LastFailureAt: w.now}}
	check(t, w.store.RecordFailure(w.ctx, from("192.0.2.0"), failed, nil))
	_, _, ok = redeem(21, "192.0.2.0")
	equal(t, ok, false)
}

func raceRedemptions(t *testing.T, w *fixture) {
	replica := w.replicas()
	for round := range 6 {
		r := w.redeemable(fmt.Sprint("r", round))
		code := w.principal().Login.Code.ID
		effective := make([]bool, 300)
		errs := concurrently(len(effective), func(i int) error {
			x, f := r, *r.Family
			f.ID = fmt.Sprintf("f-%d-%d", round, i)
			x.Family = &f
			if i%3 == 0 { // in two steps
				own := w.family(f.ID)
				err := replica(i).SettleLogin(w.ctx, storage.Settlement{LoginID: w.login.ID, CodeID: code, BeginFamily: &own, Now: w.now})
				effective[i] = err == nil
				if errors.Is(err, storage.ErrRefused) {
					err = nil
				}
				return err
			}
			_, ok, err := replica(i).RedeemCode(w.ctx, x)
			effective[i] = ok
			return err
		})
		equal(t, countErrors(errs), map[string]int{"": len(effective)})
		n := 0
		for i, took := range effective {
			_, err := w.store.Family(w.ctx, fmt.Sprintf("f-%d-%d", round, i))
			if took != (err == nil) {
				t.Fatalf("attempt %d took effect: %v, but reading its family: %v", i, took, err)
			}
			if took {
				n++
			}
		}
		equal(t, n, 1)
	}
}

// raceRedemptionAndChange redeems while a change happens after which the code must not be
// redeemed. Whichever comes first, never do both take effect.
func raceRedemptionAndChange(t *testing.T, w *fixture) {
	replica := w.replicas()
	for round := range 60 {
		r := w.redeemable(fmt.Sprint("r", round))
		seen := w.principal()
		kind := round % 3
		newer := fmt.Sprint("newer", round)
		if kind == 2 {
			w.request(newer)
		}
		var redeemed bool
		errs := concurrently(2, func(i int) (err error) {
			switch {
			case i == 0:
				_, redeemed, err = replica(i).RedeemCode(w.ctx, r)
			case kind == 0:
				err = replica(i).RecordFailure(w.ctx, seen, locked(w.now, w.now.Add(time.Hour)), nil)
			case kind == 1:
				l := seen.Login
				l.Active = false
				_, err = replica(i).PutLogin(w.ctx, l)
			default:
				_, err = replica(i).IssueCodes(w.ctx, w.issuance(newer))
			}
			return err
		})
		equal(t, countErrors(errs), map[string]int{"": 2})
		after := w.principal()
		_, family := w.store.Family(w.ctx, r.Family.ID)
		if redeemed != (family == nil) {
			t.Fatalf("round %d: took effect: %v, but reading its family: %v", round, redeemed, family)
		}
		if kind == 2 {
			equal(t, after.Login.Code.Live(w.now), true)
			continue
		}
		equal(t, after.Login.Code.Live(w.now), !redeemed)
		l := after.Login
		l.Active = true
		must(w.store.PutLogin(w.ctx, l))(t)
		check(t, w.store.Unlock(w.ctx, w.login.ID, w.now))
		w.now = w.now.Add(time.Hour)
	}
}
