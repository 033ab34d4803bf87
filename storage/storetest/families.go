package storetest

import (
	"testing"
	"time"

	"latchkey/storage"
)

func testFamilies(t *testing.T, s suite) {
	s.run(t, cases{
		"a family advances one generation at a time": testAdvance,
		"a revoked family stays revoked":             testRevoke,
		"a family has the current state of its user": testFamilyUser,
		"a token can be revoked":                     testRevokeToken,
		"the token status contains the family":       testTokenStatusFamily,
		"the token status contains the user":         testTokenStatusUser,
	})
}

func testAdvance(t *testing.T, w *fixture) {
	f := w.begin("f1")
	later := w.now.Add(time.Hour)
	advance := func(id string, from int64, idleUntil time.Time, rotations ...storage.Rotation) error {
		return w.store.AdvanceFamily(w.ctx, id, storage.FamilyAdvance{From: from, Now: later, IdleUntil: idleUntil, Rotations: rotations})
	}
	check(t, advance("f1", 1, later.Add(day)))
	wantErr(t, advance("f1", 1, later), storage.ErrStale)
	wantErr(t, advance("f1", 3, later), storage.ErrStale)
	wantErr(t, advance("none", 1, later), storage.ErrStale)
	f.Generation, f.RotatedAt, f.IdleUntil = 2, later, later.Add(day)
	equal(t, must(w.store.Family(w.ctx, "f1"))(t).Family, f)

	rotations := []storage.Rotation{{Generation: 1, At: w.now}, {Generation: 2, At: later}}
	check(t, advance("f1", 2, time.Time{}, rotations...))
	f.Generation, f.IdleUntil, f.Rotations = 3, time.Time{}, rotations
	equal(t, must(w.store.Family(w.ctx, "f1"))(t).Family, f)
}

func testRevoke(t *testing.T, w *fixture) {
	f := w.begin("f1")
	check(t, w.store.RevokeFamily(w.ctx, "f1", w.now.Add(time.Minute)))
	check(t, w.store.RevokeFamily(w.ctx, "f1", w.now.Add(time.Hour))) // the time of the first revocation stays
	check(t, w.store.RevokeFamily(w.ctx, "none", w.now))
	f.RevokedAt = w.now.Add(time.Minute)
	equal(t, must(w.store.Family(w.ctx, "f1"))(t).Family, f)
	wantErr(t, w.store.AdvanceFamily(w.ctx, "f1", storage.FamilyAdvance{From: 1, Now: w.now, IdleUntil: w.now}), storage.ErrStale)
	fails(w.store.Family(w.ctx, "none"))(t, storage.ErrNotFound)
}

func testFamilyUser(t *testing.T, w *fixture) {
	w.begin("f1")
	w.user.Active = false
	user := must(w.store.PutUser(w.ctx, w.user))(t)
	got := must(w.store.Family(w.ctx, "f1"))(t).Principal
	w.login.LastActiveAt = w.now // when the family began
	want := withoutUnread(storage.Principal{User: user, Login: w.login, Account: w.account})
	equal(t, got.User, want.User)
	equal(t, got.Login, want.Login)
	equal(t, got.Account, want.Account)

	f := w.family("orphan")
	f.UserUID = "usr_gone"
	check(t, w.store.SettleLogin(w.ctx, storage.Settlement{LoginID: w.login.ID, PasswordSetAt: w.login.PasswordSetAt, BeginFamily: &f, Now: w.now}))
	if must(w.store.Family(w.ctx, "orphan"))(t).Principal.Known {
		t.Fatal("a family of a deleted user has a user")
	}
}

func testRevokeToken(t *testing.T, w *fixture) {
	status := func(jti string) bool {
		return must(w.store.TokenStatus(w.ctx, storage.TokenRef{JTI: jti}))(t).Revoked
	}
	check(t, w.store.RevokeToken(w.ctx, "j1", w.now))
	check(t, w.store.RevokeToken(w.ctx, "j1", w.now))
	if !status("j1") || status("j2") || status("") {
		t.Fatalf("got revoked j1 %v, j2 %v, empty %v; want only j1", status("j1"), status("j2"), status(""))
	}
}

func testTokenStatusFamily(t *testing.T, w *fixture) {
	w.begin("live")
	w.begin("dead")
	check(t, w.store.RevokeFamily(w.ctx, "dead", w.now))
	for family, want := range map[string]bool{"live": false, "dead": true, "gone": true, "": false} {
		got := must(w.store.TokenStatus(w.ctx, storage.TokenRef{JTI: "j", FamilyID: family, UserUID: w.user.UID, LoginID: w.login.ID}))(t)
		began := map[string]time.Time{"live": w.now, "dead": w.now}[family]
		equal(t, got.FamilyBegan, began)
		if got.FamilyRevoked != want || got.Revoked {
			t.Errorf("family %q: got revoked %v, want %v", family, got.FamilyRevoked, want)
		}
	}
}

func testTokenStatusUser(t *testing.T, w *fixture) {
	status := func(user, login string) storage.Principal {
		return must(w.store.TokenStatus(w.ctx, storage.TokenRef{JTI: "j", UserUID: user, LoginID: login}))(t).Principal
	}
	equal(t, status(w.user.UID, w.login.ID), w.principal())
	alone := status(w.user.UID, "")
	equal(t, alone, withoutUnread(storage.Principal{RoleSource: alone.RoleSource, Known: true, User: w.user, Account: w.account}))

	_, other := w.addUser("eve", "eve@example.com")
	for name, p := range map[string]storage.Principal{
		"absent user":         status("usr_x", w.login.ID),
		"no user":             status("", ""),
		"absent login":        status(w.user.UID, "lgn_x"),
		"login of other user": status(w.user.UID, other.ID),
	} {
		if p.Known {
			t.Errorf("%s: the user is known, want it unknown", name)
		}
	}
}
