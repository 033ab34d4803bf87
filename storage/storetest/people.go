package storetest

import (
	"errors"
	"testing"
	"time"

	"latchkey/storage"
)

func testPeople(t *testing.T, s suite) {
	s.run(t, cases{
		"an account is stored":                    testAccount,
		"a user is stored":                        testUser,
		"a login is stored":                       testLogin,
		"identities are unique":                   testUnique,
		"PutLogin does not change attempts":       testPutLoginLeaves,
		"a password can be set":                   testSetPassword,
		"a new password can end the sessions":     testEndSessions,
		"a locked login can be unlocked":          testUnlock,
		"a membership is stored and deleted":      testMembership,
		"a membership is not overwritten":         testMembershipRefused,
		"a user is a member of its account":       testHomeMembership,
		"absent users and accounts are not found": testAbsentPeople,
		"an admin user has no account":            testAdmin,
		"deactivation ends what was issued":       testValidFrom,
		"permissions of a client have a time":     testPermittedSince,
		"a recreated client is a new one":         testRecreatedClient,
	})
}

func testAccount(t *testing.T, w *fixture) {
	stamped(t, w.account.Version, w.account.CreatedAt, w.account.UpdatedAt)
	if w.account.LegalName == "" || w.account.RegistrationID == "" || w.account.ExternalRef == "" || w.account.ParentUID == "" {
		t.Fatalf("account was not stored completely: %+v", w.account)
	}
	equal(t, must(w.store.Account(w.ctx, "default", storage.Buyer, "acme"))(t), w.account)
	equal(t, must(w.store.AccountByUID(w.ctx, w.account.UID))(t), w.account)
	w.account.Name, w.account.Active = "Acme Ltd", false
	got := must(w.store.PutAccount(w.ctx, w.account))(t)
	if got.Version != 2 || got.Name != "Acme Ltd" || got.Active {
		t.Fatalf("after the update: got %+v", got)
	}
	equal(t, must(w.store.Account(w.ctx, "default", storage.Buyer, "acme"))(t), got)
}

func testUser(t *testing.T, w *fixture) {
	stamped(t, w.user.Version, w.user.CreatedAt, w.user.UpdatedAt)
	if w.user.Name == "" || w.user.MiddleName == "" || w.user.Email == "" || w.user.XP == nil || !w.user.TokensValidFrom.Equal(w.now.Add(-day)) {
		t.Fatalf("user was not stored completely: %+v", w.user)
	}
	equal(t, must(w.store.User(w.ctx, "default", storage.Buyer, "acc_1", "bob"))(t), w.user)
	equal(t, must(w.store.UserByUID(w.ctx, w.user.UID))(t), w.user)
}

func testLogin(t *testing.T, w *fixture) {
	want := storage.Login{
		ID: "l9", ProfileID: "default", Username: " Bob2", UsernameKey: "bob2", UserUID: w.user.UID, Active: true,
		PasswordHash: "h", PasswordSetAt: w.now, SessionsValidFrom: w.now.Add(time.Second),
		Lockout: storage.Lockout{
			Failures: 4, LastFailureAt: w.now, LockedUntil: w.now.Add(day),
			Codes:      storage.Counter{Failures: 2, LastFailureAt: w.now.Add(-time.Hour), LockedUntil: w.now.Add(time.Hour)},
			NotifiedAt: w.now.Add(time.Second), Version: 7,
		},
		Code: storage.Code{
			ID: "c", RequestID: "r", ClientID: "web", Purpose: storage.PurposeResetPassword,
			Digest:   storage.Digest{PepperID: "p", Sum: []byte{3}},
			IssuedAt: w.now.Add(-time.Second), ExpiresAt: w.now.Add(time.Minute), UsedAt: w.now,
		},
	}
	got := must(w.store.PutLogin(w.ctx, want))(t)
	stamped(t, got.Version, got.CreatedAt, got.UpdatedAt)
	want.Version, want.CreatedAt, want.UpdatedAt = got.Version, got.CreatedAt, got.UpdatedAt
	equal(t, got, want)
	equal(t, must(w.store.Login(w.ctx, "default", "bob2"))(t), want)
	equal(t, must(w.store.LoginByID(w.ctx, "l9"))(t), want)
	equal(t, must(w.store.LoginsOfUser(w.ctx, w.user.UID))(t), []storage.Login{w.login, want})
}

func testUnique(t *testing.T, w *fixture) {
	fails(w.store.PutLogin(w.ctx, storage.Login{
		ID: "other", ProfileID: "default", UsernameKey: "bob", UserUID: w.user.UID,
	}))(t, storage.ErrUsernameTaken)
	fails(w.store.PutUser(w.ctx, storage.User{
		UID: "other", RealmID: "default", Kind: storage.Buyer, AccountUID: "acc_1", ID: "bob",
	}))(t, storage.ErrConflict)
	fails(w.store.PutAccount(w.ctx, storage.Account{
		UID: "other", RealmID: "default", Kind: storage.Buyer, ID: "acme",
	}))(t, storage.ErrConflict)
	// An account of another kind may have the same ID.
	must(w.store.PutAccount(w.ctx, storage.Account{UID: "acc_s", RealmID: "default", Kind: storage.Supplier, ID: "acme"}))(t)
}

func testPutLoginLeaves(t *testing.T, w *fixture) {
	code := w.code("r1")
	failed := storage.Lockout{Failures: 2, LastFailureAt: w.now, LockedUntil: w.now.Add(time.Minute)}
	check(t, w.store.RecordFailure(w.ctx, w.principal(), failed, nil))
	for _, version := range []int64{0, 2} { // both ways to update
		got := must(w.store.PutLogin(w.ctx, storage.Login{
			ID: w.login.ID, ProfileID: "default", Username: "B", UsernameKey: "b", UserUID: w.user.UID, Version: version,
		}))(t)
		want := w.login
		want.Username, want.UsernameKey, want.Active = "B", "b", false
		want.Code, want.Lockout, want.Lockout.Version = code, failed, 1
		want.Version, want.UpdatedAt, want.SessionsValidFrom = got.Version, got.UpdatedAt, got.SessionsValidFrom
		equal(t, got, want)
		equal(t, must(w.store.Login(w.ctx, "default", "b"))(t), want)
	}
}

func testSetPassword(t *testing.T, w *fixture) {
	code := w.code("r1")
	check(t, w.store.SetPassword(w.ctx, w.login.ID, "hash-2", w.now, false))
	want := w.login
	want.PasswordHash, want.PasswordSetAt, want.Code = "hash-2", w.now, code
	equal(t, must(w.store.Login(w.ctx, "default", "bob"))(t), want)
	wantErr(t, w.store.SetPassword(w.ctx, "nobody", "h", w.now, false), storage.ErrNotFound)
}

func testEndSessions(t *testing.T, w *fixture) {
	code := w.code("r1")
	check(t, w.store.ChangePassword(w.ctx, storage.PasswordChange{LoginID: w.login.ID, Hash: "h", KeepSession: "own session", Now: w.now}))
	check(t, w.store.SetPassword(w.ctx, w.login.ID, "hash-2", w.now, true))
	got := must(w.store.Login(w.ctx, "default", "bob"))(t)
	if !got.SessionsValidFrom.Equal(w.now) || got.KeptSession != "" || got.Code.Live(w.now) {
		t.Fatalf("got sessions valid from %v except %q, code %+v", got.SessionsValidFrom, got.KeptSession, got.Code)
	}
	err := w.store.SettleLogin(w.ctx, storage.Settlement{LoginID: w.login.ID, CodeID: code.ID, Now: w.now})
	wantErr(t, err, storage.ErrRefused)

	w.verification("v1")
	check(t, w.store.SetPassword(w.ctx, w.login.ID, "hash-3", w.now, true))
	fails(w.store.VerificationCode(w.ctx, w.login.ID))(t, storage.ErrNotFound)
}

func testUnlock(t *testing.T, w *fixture) {
	seen := w.principal()
	locked := storage.Lockout{Failures: 10, LastFailureAt: w.now, LockedUntil: w.now.Add(day)}
	check(t, w.store.RecordFailure(w.ctx, seen, locked, nil))
	check(t, w.store.Unlock(w.ctx, w.login.ID, w.now))
	equal(t, w.principal().Lockout, storage.Lockout{Version: 2})
	seen.Lockout.Version = 1 // a failure that was computed before the unlock
	wantErr(t, w.store.RecordFailure(w.ctx, seen, locked, nil), storage.ErrStale)
	wantErr(t, w.store.Unlock(w.ctx, "nobody", w.now), storage.ErrNotFound)
}

func testMembership(t *testing.T, w *fixture) {
	w.addAccount("acc_2", "second")
	want := storage.Membership{
		ID: "m2", AccountUID: "acc_2", UserUID: w.user.UID, Roles: []string{"A", "B"}, Version: storage.MustBeNew, CreatedAt: w.now,
	}
	got := must(w.store.PutMembership(w.ctx, want))(t)
	want.Version, want.UpdatedAt = 1, got.UpdatedAt
	equal(t, got, want)
	equal(t, must(w.store.Membership(w.ctx, "acc_2", w.user.UID))(t), want)

	got = must(w.store.PutMembership(w.ctx, storage.Membership{ID: "other", AccountUID: "acc_2", UserUID: w.user.UID}))(t)
	want.Roles, want.Version, want.UpdatedAt = nil, 2, got.UpdatedAt
	equal(t, got, want)
	want.Roles = []string{"C"}
	got = must(w.store.PutMembership(w.ctx, want))(t)
	want.Version, want.UpdatedAt = 3, got.UpdatedAt
	equal(t, got, want)
	equal(t, must(w.store.Membership(w.ctx, "acc_2", w.user.UID))(t), want)

	w.leave("acc_2")
	fails(w.store.Membership(w.ctx, "acc_2", w.user.UID))(t, storage.ErrNotFound)
	fails(w.store.PutMembership(w.ctx, want))(t, storage.ErrStale)
	again := must(w.store.PutMembership(w.ctx, storage.Membership{AccountUID: "acc_2", UserUID: w.user.UID}))(t)
	if len(again.ID) != 36 || again.ID == want.ID || again.Version != 1 {
		t.Fatalf("got the new membership %+v", again)
	}
}

func testMembershipRefused(t *testing.T, w *fixture) {
	home := must(w.store.Membership(w.ctx, "acc_1", w.user.UID))(t)
	w.addAccount("acc_2", "second")
	for name, refused := range map[string]struct {
		m    storage.Membership
		want error
	}{
		"unknown account": {storage.Membership{AccountUID: "nowhere", UserUID: w.user.UID}, storage.ErrNotFound},
		"unknown user":    {storage.Membership{AccountUID: "acc_1", UserUID: "nobody"}, storage.ErrNotFound},
		"ID in use":       {storage.Membership{ID: home.ID, AccountUID: "acc_2", UserUID: w.user.UID}, storage.ErrConflict},
		"member already":  {storage.Membership{AccountUID: "acc_1", UserUID: w.user.UID, Version: storage.MustBeNew}, storage.ErrConflict},
		"outdated":        {storage.Membership{AccountUID: "acc_1", UserUID: w.user.UID, Version: 9}, storage.ErrStale},
		"never there":     {storage.Membership{AccountUID: "acc_2", UserUID: w.user.UID, Version: 1}, storage.ErrStale},
	} {
		if _, err := w.store.PutMembership(w.ctx, refused.m); !errors.Is(err, refused.want) {
			t.Errorf("%s: got %v, want %v", name, err, refused.want)
		}
	}
	equal(t, must(w.store.Membership(w.ctx, "acc_1", w.user.UID))(t), home)
}

// testHomeMembership checks that a user is a member of its account from the start, and
// that the membership does not come back after it was deleted.
func testHomeMembership(t *testing.T, w *fixture) {
	got := must(w.store.Membership(w.ctx, "acc_1", w.user.UID))(t)
	if len(got.ID) != 36 || got.Version != 1 || !got.CreatedAt.Equal(w.user.CreatedAt) || got.Roles != nil {
		t.Fatalf("got membership %+v of %+v", got, w.user)
	}
	w.leave("acc_1")
	for _, version := range []int64{0, 2} { // both ways to update
		w.user.Version = version
		must(w.store.PutUser(w.ctx, w.user))(t)
	}
	fails(w.store.Membership(w.ctx, "acc_1", w.user.UID))(t, storage.ErrNotFound)
	fails(w.store.PutUser(w.ctx, storage.User{
		UID: "usr_x", RealmID: "default", Kind: storage.Buyer, AccountUID: "nowhere", ID: "x",
	}))(t, storage.ErrNotFound)
	fails(w.store.UserByUID(w.ctx, "usr_x"))(t, storage.ErrNotFound)
}

func testAbsentPeople(t *testing.T, w *fixture) {
	fails(w.store.Account(w.ctx, "default", storage.Supplier, "acme"))(t, storage.ErrNotFound)
	fails(w.store.User(w.ctx, "default", storage.Buyer, "acc_2", "bob"))(t, storage.ErrNotFound)
	fails(w.store.UserByUID(w.ctx, "usr_x"))(t, storage.ErrNotFound)
	fails(w.store.AccountByUID(w.ctx, "acc_x"))(t, storage.ErrNotFound)
	fails(w.store.LoginByID(w.ctx, "lgn_x"))(t, storage.ErrNotFound)
	fails(w.store.Login(w.ctx, "default", "x"))(t, storage.ErrNotFound)
	if got := must(w.store.LoginsOfUser(w.ctx, "usr_x"))(t); len(got) != 0 {
		t.Fatalf("logins of an absent user: %v", got)
	}
}

func testAdmin(t *testing.T, w *fixture) {
	admin := must(w.store.PutUser(w.ctx, storage.User{
		UID: "usr_admin", RealmID: "default", Kind: storage.Admin, ID: "root", Active: true,
	}))(t)
	must(w.store.PutLogin(w.ctx, storage.Login{
		ID: "lgn_admin", ProfileID: "default", UsernameKey: "root", UserUID: admin.UID, Active: true,
	}))(t)
	p := must(w.store.Principal(w.ctx, storage.LoginKey{ProfileID: "default", UsernameKey: "root"}))(t)
	equal(t, p.User, withoutUnread(storage.Principal{User: admin}).User)
	equal(t, p.Account, storage.Account{})
}
