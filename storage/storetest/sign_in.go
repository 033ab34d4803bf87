package storetest

import (
	"testing"
	"time"

	"latchkey/storage"
)

func testSignIn(t *testing.T, s suite) {
	s.run(t, cases{
		"a principal is complete":                   testPrincipal,
		"an unknown name is no error":               testUnknownName,
		"an unknown profile is not found":           testUnknownProfile,
		"failures of a login are counted":           testFailure,
		"failures of an unknown name are counted":   testUnknownLoginFailure,
		"names with invalid characters are unknown": testUnstorable,
		"a settlement clears the failures":          testSettleClears,
		"a changed password refuses the settlement": testSettleChangedPassword,
		"a settlement uses the code":                testSettleCode,
		"a settlement stores the new hash":          testSettleHash,
		"a settlement begins a family":              testSettleFamily,
		"a refused settlement changes nothing":      testRefused,
		"a settlement that fails changes nothing":   testSettleFails,
		"a success makes older failures stale":      testFailureThenSuccess,
	})
}

func testPrincipal(t *testing.T, w *fixture) {
	code := w.code("r1")
	profile := must(w.store.PasswordProfile(w.ctx, "default"))(t)
	w.login.Code = code
	got := w.principal()
	equal(t, got, withoutUnread(storage.Principal{
		RoleSource: got.RoleSource, Key: w.key(), Known: true, Policy: profile.Lockout, Rules: profile.Rules, Login: w.login, User: w.user, Account: w.account,
	}))
}

func testUnknownName(t *testing.T, w *fixture) {
	key := storage.LoginKey{ProfileID: "default", UsernameKey: "nobody"}
	profile := must(w.store.PasswordProfile(w.ctx, "default"))(t)
	equal(t, must(w.store.Principal(w.ctx, key))(t), storage.Principal{Key: key, Policy: profile.Lockout})
}

func testUnknownProfile(t *testing.T, w *fixture) {
	fails(w.store.Principal(w.ctx, storage.LoginKey{ProfileID: "x", UsernameKey: "bob"}))(t, storage.ErrNotFound)
}

func testFailure(t *testing.T, w *fixture) {
	seen := w.principal()
	next := storage.Lockout{Failures: 1, LastFailureAt: w.now, LockedUntil: w.now.Add(time.Minute)}
	check(t, w.store.RecordFailure(w.ctx, seen, next, nil))
	wantErr(t, w.store.RecordFailure(w.ctx, seen, next, nil), storage.ErrStale)
	next.Version = 1
	again := w.principal()
	equal(t, again.Lockout, next)
	equal(t, again.Login.Lockout, next)

	next.LastFailureAt = w.now.Add(time.Second) // an attempt while locked
	check(t, w.store.RecordFailure(w.ctx, again, next, nil))
	next.Version = 2
	equal(t, w.principal().Lockout, next)
}

func testUnknownLoginFailure(t *testing.T, w *fixture) {
	key := storage.LoginKey{ProfileID: "default", UsernameKey: "nobody"}
	read := func() storage.Principal { return must(w.store.Principal(w.ctx, key))(t) }
	seen := read()
	next := storage.Lockout{Failures: 1, LastFailureAt: w.now}
	check(t, w.store.RecordFailure(w.ctx, seen, next, nil))
	wantErr(t, w.store.RecordFailure(w.ctx, seen, next, nil), storage.ErrStale)
	next.Version = 1
	equal(t, read().Lockout, next)

	locked := storage.Lockout{Failures: 2, LastFailureAt: w.now, LockedUntil: w.now.Add(time.Hour), Version: 2}
	check(t, w.store.RecordFailure(w.ctx, read(), locked, nil))
	equal(t, read().Lockout, locked)

	other := storage.LoginKey{ProfileID: "default", UsernameKey: "nobody2"}
	equal(t, must(w.store.Principal(w.ctx, other))(t).Lockout, storage.Lockout{})
}

func testUnstorable(t *testing.T, w *fixture) {
	for _, name := range []string{"bob\x00", "\x00", "bo\xffb", string(make([]byte, 5000))} {
		key := storage.LoginKey{ProfileID: "default", UsernameKey: name}
		p := must(w.store.Principal(w.ctx, key))(t)
		if p.Known {
			t.Fatalf("%q is known", name)
		}
		check(t, w.store.RecordFailure(w.ctx, p, storage.Lockout{Failures: 1, LastFailureAt: w.now}, nil))
		if got := must(w.store.Principal(w.ctx, key))(t); got.Lockout.Failures != 1 {
			t.Fatalf("%q: got %d failures, want 1", name, got.Lockout.Failures)
		}
		check(t, w.store.AddCodeRequest(w.ctx, storage.CodeRequest{ID: "r-" + name, Username: name, Email: name}))
	}
}

func testSettleChangedPassword(t *testing.T, w *fixture) {
	x := storage.Settlement{LoginID: w.login.ID, PasswordSetAt: w.login.PasswordSetAt, Now: w.now.Add(time.Minute)}
	check(t, w.store.SettleLogin(w.ctx, x))
	check(t, w.store.SetPassword(w.ctx, w.login.ID, "another", w.now.Add(time.Minute), true))
	wantErr(t, w.store.SettleLogin(w.ctx, x), storage.ErrRefused)
}

func testSettleClears(t *testing.T, w *fixture) {
	lapsed := storage.Lockout{Failures: 12, LastFailureAt: w.now.Add(-time.Hour), LockedUntil: w.now}
	check(t, w.store.RecordFailure(w.ctx, w.principal(), lapsed, nil))
	before, family := w.principal().Lockout, w.family("resumed")
	check(t, w.store.SettleLogin(w.ctx, storage.Settlement{
		LoginID: w.login.ID, PasswordSetAt: w.login.PasswordSetAt, Resumed: true, BeginFamily: &family, Now: w.now,
	}))
	equal(t, w.principal().Lockout, before) // a resumed sign-in presents no credential
	check(t, w.store.SettleLogin(w.ctx, storage.Settlement{LoginID: w.login.ID, PasswordSetAt: w.login.PasswordSetAt, Now: w.now}))
	equal(t, w.principal().Lockout, storage.Lockout{Version: 2})
	check(t, w.store.SettleLogin(w.ctx, storage.Settlement{LoginID: w.login.ID, PasswordSetAt: w.login.PasswordSetAt, Now: w.now}))
	equal(t, w.principal().Lockout, storage.Lockout{Version: 2})
}

func testSettleCode(t *testing.T, w *fixture) {
	code := w.code("r1")
	x := storage.Settlement{LoginID: w.login.ID, CodeID: code.ID, Now: w.now.Add(time.Minute)}
	check(t, w.store.SettleLogin(w.ctx, x))
	code.UsedAt = x.Now
	equal(t, w.principal().Login.Code, code)
	wantErr(t, w.store.SettleLogin(w.ctx, x), storage.ErrRefused)
	w.code("r2") // a new code does not make the old one valid again
	wantErr(t, w.store.SettleLogin(w.ctx, x), storage.ErrRefused)
}

func testSettleHash(t *testing.T, w *fixture) {
	settle := func(from, to string) {
		check(t, w.store.SettleLogin(w.ctx, storage.Settlement{
			LoginID: w.login.ID, PasswordSetAt: w.login.PasswordSetAt, OldHash: from, NewHash: to, Now: w.now,
		}))
	}
	settle("hash-0", "lost") // the password was changed before
	equal(t, w.principal().Login.PasswordHash, "hash-1")
	settle("hash-1", "hash-2")
	equal(t, w.principal().Login.PasswordHash, "hash-2")
}

func testSettleFamily(t *testing.T, w *fixture) {
	f := w.begin("f1")
	state := must(w.store.Family(w.ctx, "f1"))(t)
	equal(t, state.Family, f)
	equal(t, state.Principal, w.principal())
}

// testRefused checks that a refused settlement begins no family.
func testRefused(t *testing.T, w *fixture) {
	code := w.code("r1")
	refuse := func(what string, change func(*storage.Settlement)) {
		t.Helper()
		f := w.family("f-" + what)
		x := storage.Settlement{LoginID: w.login.ID, CodeID: code.ID, BeginFamily: &f, NewHash: "n", OldHash: "hash-1", Now: w.now}
		change(&x)
		before := w.principal()
		wantErr(t, w.store.SettleLogin(w.ctx, x), storage.ErrRefused)
		fails(w.store.Family(w.ctx, f.ID))(t, storage.ErrNotFound)
		equal(t, w.principal(), before)
	}
	refuse("unknown login", func(x *storage.Settlement) { x.LoginID = "nobody" })
	refuse("unknown code", func(x *storage.Settlement) { x.CodeID = "other" })
	refuse("expired", func(x *storage.Settlement) { x.Now = code.ExpiresAt })

	w.lock(w.now.Add(time.Second))
	refuse("locked", func(*storage.Settlement) {})
	refuse("locked password", func(x *storage.Settlement) { x.CodeID = "" })
	check(t, w.store.Unlock(w.ctx, w.login.ID, w.now))

	w.login.Active, w.login.Version = false, 0
	must(w.store.PutLogin(w.ctx, w.login))(t)
	refuse("inactive", func(*storage.Settlement) {})
	refuse("inactive password", func(x *storage.Settlement) { x.CodeID = "" })
}

// testSettleFails makes the insertion of the family fail. The code must stay live.
func testSettleFails(t *testing.T, w *fixture) {
	w.begin("taken")
	code := w.code("r1")
	f := w.family("taken")
	x := storage.Settlement{LoginID: w.login.ID, CodeID: code.ID, BeginFamily: &f, Now: w.now}
	wantErr(t, w.store.SettleLogin(w.ctx, x), storage.ErrConflict)
	equal(t, w.principal().Login.Code, code)
	f.ID = "free"
	check(t, w.store.SettleLogin(w.ctx, x))
}

func testFailureThenSuccess(t *testing.T, w *fixture) {
	check(t, w.store.RecordFailure(w.ctx, w.principal(), storage.Lockout{Failures: 1, LastFailureAt: w.now}, nil))
	seen := w.principal()
	check(t, w.store.SettleLogin(w.ctx, storage.Settlement{LoginID: w.login.ID, PasswordSetAt: w.login.PasswordSetAt, Now: w.now}))
	err := w.store.RecordFailure(w.ctx, seen, storage.Lockout{Failures: 2, LastFailureAt: w.now}, nil)
	wantErr(t, err, storage.ErrStale)
}
