package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"latchkey/storage"
)

func testDeletes(t *testing.T, s suite) {
	s.run(t, cases{
		"a client is deleted with its secrets":               testDeleteClient,
		"a security profile is deleted with its assignments": testDeleteSecurityProfile,
		"a password profile is deleted with its logins":      testDeletePasswordProfile,
		"a password profile in use is not deleted":           testDeleteUsedProfile,
		"a sender is deleted":                                testDeleteSender,
		"a login is deleted with its records":                testDeleteLogin,
		"a user is deleted with its records":                 testDeleteUser,
		"an account is deleted with its users":               testDeleteAccount,
		"deletions of this replica are seen at once":         testDeletedHere,
		"deletions of another replica are seen":              testDeletedElsewhere,
		"a deletion can be rolled back":                      testDeleteRollsBack,
		"absent records and other versions":                  testDeleteRefused,
		"a user is deleted as it was read, with its login":   testDeleteUserAsRead,
	})
	s.runRepeating(t, cases{
		"a concurrent sign-in leaves no live family":                      raceDelete,
		"a concurrent sign-in of a profile's login leaves no live family": raceDeleteProfile,
	})
}

func testDeleteClient(t *testing.T, w *fixture) {
	c := must(w.store.PutClient(w.ctx, fullClient("Web")))(t)
	must(w.store.PutClient(w.ctx, fullClient("other")))(t)
	for _, id := range []string{"s1", "s2"} {
		check(t, w.store.AddClientSecret(w.ctx, "web", storage.ClientSecret{ID: id}, 0))
	}
	check(t, w.store.AddClientSecret(w.ctx, "other", storage.ClientSecret{ID: "s3"}, 0))
	check(t, w.store.DeleteClient(w.ctx, "wEB", c.Version))
	fails(w.store.Client(w.ctx, "Web"))(t, storage.ErrNotFound)
	equal(t, len(must(w.store.Client(w.ctx, "other"))(t).Secrets), 1)
	must(w.store.PutClient(w.ctx, fullClient("Web")))(t)
	equal(t, len(must(w.store.Client(w.ctx, "web"))(t).Secrets), 0)
}

func testDeleteSecurityProfile(t *testing.T, w *fixture) {
	for _, id := range []string{"p1", "p2"} {
		must(w.store.PutSecurityProfile(w.ctx, storage.SecurityProfile{ID: id, RealmID: "default", Roles: []string{"Role" + id}}))(t)
		for _, party := range []storage.Party{storage.UserParty(w.user.UID), storage.KindParty(storage.Buyer)} {
			check(t, w.store.AssignSecurityProfile(w.ctx, id, party))
		}
	}
	equal(t, w.principal().Roles, []string{"Rolep1", "Rolep2"})
	check(t, w.store.DeleteSecurityProfile(w.ctx, "p1", 1))
	equal(t, w.principal().Roles, []string{"Rolep2"})
	fails(w.store.SecurityProfile(w.ctx, "p1"))(t, storage.ErrNotFound)
	equal(t, len(must(w.store.SecurityProfileParties(w.ctx, "p1"))(t)), 0)
	equal(t, len(must(w.store.SecurityProfileParties(w.ctx, "p2"))(t)), 2)
}

// addLoginRecords adds all records that can belong to a login to bob's login.
func (w *fixture) addLoginRecords() {
	w.t.Helper()
	check(w.t, w.store.ChangePassword(w.ctx, storage.PasswordChange{LoginID: w.login.ID, Hash: "hash-2", Keep: 5, Now: w.now}))
	w.login = must(w.store.LoginByID(w.ctx, w.login.ID))(w.t)
	w.code("r1")
	w.verification("v1")
	w.begin("fam")
}

// checkLoginDeleted checks that bob's login is deleted, that its families have no user,
// and that its username is free.
func (w *fixture) checkLoginDeleted() {
	w.t.Helper()
	fails(w.store.LoginByID(w.ctx, w.login.ID))(w.t, storage.ErrNotFound)
	fails(w.store.VerificationCode(w.ctx, w.login.ID))(w.t, storage.ErrNotFound)
	if former, _ := w.store.FormerPasswords(w.ctx, w.login.ID, 9); len(former) != 0 {
		w.t.Errorf("got the former passwords %q, want none", former)
	}
	state := must(w.store.Family(w.ctx, "fam"))(w.t)
	if state.Principal.Known || w.known("fam") {
		w.t.Errorf("the family still has a user: %+v", state.Family)
	}
	if w.principal().Known {
		w.t.Error("the username is still known")
	}
	must(w.store.Message(w.ctx, "msg-r1"))(w.t)
	equal(w.t, len(w.timeline("r1").Codes), 1)
}

// known reports whether a token of the family belongs to a known user.
func (w *fixture) known(family string) bool {
	w.t.Helper()
	f := must(w.store.Family(w.ctx, family))(w.t).Family
	return must(w.store.TokenStatus(w.ctx, storage.TokenRef{FamilyID: f.ID, UserUID: f.UserUID, LoginID: f.LoginID}))(w.t).Principal.Known
}

func testDeletePasswordProfile(t *testing.T, w *fixture) {
	must(w.store.PutPasswordProfile(w.ctx, storage.PasswordProfile{ID: "p", RealmID: "default"}))(t)
	w.login.ProfileID, w.login.Version = "p", 0
	must(w.store.PutLogin(w.ctx, w.login))(t)
	other, _ := w.addUser("eve", "")
	w.addLoginRecords()
	check(t, w.store.DeletePasswordProfile(w.ctx, "p", 1))
	fails(w.store.PasswordProfile(w.ctx, "p"))(t, storage.ErrNotFound)
	w.login.ProfileID = "default" // principals of a deleted profile cannot be read
	w.checkLoginDeleted()
	must(w.store.UserByUID(w.ctx, w.user.UID))(t)
	equal(t, len(must(w.store.LoginsOfUser(w.ctx, other.UID))(t)), 1)
}

func testDeleteUsedProfile(t *testing.T, w *fixture) {
	wantErr(t, w.store.DeletePasswordProfile(w.ctx, storage.DefaultProfileID, 0), storage.ErrConflict)
	must(w.store.PutPasswordProfile(w.ctx, storage.PasswordProfile{ID: "p", RealmID: "default"}))(t)
	c := fullClient("web")
	c.ProfileID = "p"
	must(w.store.PutClient(w.ctx, c))(t)
	wantErr(t, w.store.DeletePasswordProfile(w.ctx, "p", 0), storage.ErrConflict)
	must(w.store.PasswordProfile(w.ctx, "p"))(t)
	check(t, w.store.DeleteClient(w.ctx, "web", 0))
	check(t, w.store.DeletePasswordProfile(w.ctx, "p", 0))
}

func testDeleteSender(t *testing.T, w *fixture) {
	must(w.store.PutSender(w.ctx, storage.Sender{ID: "hook", RealmID: "default"}))(t)
	must(w.store.PutSender(w.ctx, storage.Sender{ID: "mail", RealmID: "default"}))(t)
	w.code("r1") // a message is queued for it
	check(t, w.store.DeleteSender(w.ctx, "hook", 1))
	fails(w.store.Sender(w.ctx, "hook"))(t, storage.ErrNotFound)
	equal(t, len(must(w.store.Senders(w.ctx))(t)), 1)
	must(w.store.Message(w.ctx, "msg-r1"))(t)
}

func testDeleteLogin(t *testing.T, w *fixture) {
	w.addLoginRecords()
	second := must(w.store.PutLogin(w.ctx, storage.Login{
		ID: "l2", ProfileID: "default", UsernameKey: "bob2", UserUID: w.user.UID, Active: true,
	}))(t)
	kept := w.family("kept")
	kept.LoginID = second.ID
	check(t, w.store.SettleLogin(w.ctx, storage.Settlement{LoginID: second.ID, BeginFamily: &kept, Now: w.now}))
	second.LastActiveAt = w.now
	check(t, w.store.DeleteLogin(w.ctx, w.login.ID, w.login.Version))
	w.checkLoginDeleted()
	equal(t, must(w.store.Family(w.ctx, "kept"))(t).Family, kept)
	equal(t, w.known("kept"), true)
	equal(t, must(w.store.LoginsOfUser(w.ctx, w.user.UID))(t), []storage.Login{second})
}

func testDeleteUser(t *testing.T, w *fixture) {
	must(w.store.PutSecurityProfile(w.ctx, storage.SecurityProfile{ID: "p", RealmID: "default"}))(t)
	eve, _ := w.addUser("bobby", "")
	for _, uid := range []string{w.user.UID, eve.UID} {
		check(t, w.store.AssignSecurityProfile(w.ctx, "p", storage.UserParty(uid)))
	}
	other := w.addAccount("acc_2", "other")
	must(w.store.PutMembership(w.ctx, storage.Membership{AccountUID: other.UID, UserUID: w.user.UID}))(t)
	w.addLoginRecords()
	loginless := w.family("loginless")
	loginless.LoginID = ""
	check(t, w.store.SettleLogin(w.ctx, storage.Settlement{
		LoginID: w.login.ID, PasswordSetAt: w.now, BeginFamily: &loginless, Now: w.now,
	}))
	check(t, w.store.DeleteUser(w.ctx, w.user.UID, w.user.Version))
	w.checkLoginDeleted()
	fails(w.store.UserByUID(w.ctx, w.user.UID))(t, storage.ErrNotFound)
	equal(t, must(w.store.Family(w.ctx, "loginless"))(t).Principal.Known, false)
	equal(t, w.known("loginless"), false)
	for _, account := range []string{"acc_1", "acc_2"} {
		fails(w.store.Membership(w.ctx, account, w.user.UID))(t, storage.ErrNotFound)
	}
	equal(t, must(w.store.SecurityProfileParties(w.ctx, "p"))(t), []storage.Party{storage.UserParty(eve.UID)})
	must(w.store.Membership(w.ctx, "acc_1", eve.UID))(t)
	equal(t, len(must(w.store.LoginsOfUser(w.ctx, eve.UID))(t)), 1)
}

func testDeleteAccount(t *testing.T, w *fixture) {
	w.addAccount("acc_2", "other")
	w.addAccount("acc_11", "longer")
	child := w.addAccount("acc_3", "child")
	child.ParentUID = "acc_1"
	child = must(w.store.PutAccount(w.ctx, child))(t)
	guest := must(w.store.PutUser(w.ctx, storage.User{
		UID: "usr_guest", RealmID: "default", Kind: storage.Buyer, AccountUID: "acc_2", ID: "guest",
	}))(t)
	must(w.store.PutMembership(w.ctx, storage.Membership{AccountUID: "acc_1", UserUID: guest.UID}))(t)
	must(w.store.PutSecurityProfile(w.ctx, storage.SecurityProfile{ID: "p", RealmID: "default"}))(t)
	for _, party := range []storage.Party{
		storage.AccountParty("acc_1"), storage.UserParty(w.user.UID), storage.AccountParty("acc_11"),
	} {
		check(t, w.store.AssignSecurityProfile(w.ctx, "p", party))
	}
	for id, assigned := range map[string][]string{
		"first": {"acc_1", "acc_11"}, "middle": {"acc_11", "acc_1", "acc_2"}, "only": {"acc_1"}, "none": {"acc_11"},
	} {
		c := fullClient(id)
		c.AccountUIDs = assigned
		must(w.store.PutClient(w.ctx, c))(t)
		must(w.store.PutSender(w.ctx, storage.Sender{ID: id, RealmID: "default", AccountUIDs: assigned}))(t)
	}
	w.listen(w.store)
	must(w.store.Client(w.ctx, "only"))(t)
	must(w.store.Senders(w.ctx))(t)
	w.addLoginRecords()

	check(t, w.store.DeleteAccount(w.ctx, "acc_1", w.account.Version))
	w.checkLoginDeleted()
	fails(w.store.AccountByUID(w.ctx, "acc_1"))(t, storage.ErrNotFound)
	fails(w.store.UserByUID(w.ctx, w.user.UID))(t, storage.ErrNotFound)
	fails(w.store.Membership(w.ctx, "acc_1", guest.UID))(t, storage.ErrNotFound)
	equal(t, must(w.store.UserByUID(w.ctx, guest.UID))(t), guest)
	equal(t, must(w.store.SecurityProfileParties(w.ctx, "p"))(t), []storage.Party{storage.AccountParty("acc_11")})
	for id, want := range map[string][]string{
		"first": {"acc_11"}, "middle": {"acc_11", "acc_2"}, "only": nil, "none": {"acc_11"},
	} {
		client, sender := must(w.store.Client(w.ctx, id))(t), must(w.store.Sender(w.ctx, id))(t)
		equal(t, client.AccountUIDs, want)
		equal(t, sender.AccountUIDs, want)
		changed := int64(2)
		if id == "none" {
			changed = 1
		}
		equal(t, []int64{client.Version, sender.Version}, []int64{changed, changed})
	}
	orphan := must(w.store.AccountByUID(w.ctx, child.UID))(t)
	equal(t, orphan.ParentUID, "")
	equal(t, orphan.Version, child.Version+1)
}

func testDeletedHere(t *testing.T, w *fixture) {
	w.listen(w.store)
	for range 20 {
		must(w.store.PutClient(w.ctx, fullClient("web")))(t)
		must(w.store.PutSender(w.ctx, storage.Sender{ID: "s", RealmID: "default"}))(t)
		must(w.store.PutPasswordProfile(w.ctx, storage.PasswordProfile{ID: "p", RealmID: "default"}))(t)
		must(w.store.Client(w.ctx, "web"))(t)
		must(w.store.Sender(w.ctx, "s"))(t)
		must(w.store.PasswordProfile(w.ctx, "p"))(t)
		check(t, w.store.DeleteClient(w.ctx, "web", 0))
		fails(w.store.Client(w.ctx, "web"))(t, storage.ErrNotFound)
		must(w.store.Sender(w.ctx, "s"))(t)
		check(t, w.store.DeleteSender(w.ctx, "s", 0))
		fails(w.store.Sender(w.ctx, "s"))(t, storage.ErrNotFound)
		must(w.store.PasswordProfile(w.ctx, "p"))(t)
		check(t, w.store.DeletePasswordProfile(w.ctx, "p", 0))
		fails(w.store.PasswordProfile(w.ctx, "p"))(t, storage.ErrNotFound)
	}
}

func testDeletedElsewhere(t *testing.T, w *fixture) {
	other := w.open(t)
	changes := w.listen(other)
	must(w.store.PutClient(w.ctx, fullClient("web")))(t)
	must(w.store.PutSender(w.ctx, storage.Sender{ID: "s", RealmID: "default"}))(t)
	must(w.store.PutPasswordProfile(w.ctx, storage.PasswordProfile{ID: "p", RealmID: "default"}))(t)
	seen := func() (n int) {
		_, err1 := other.Client(w.ctx, "web")
		_, err2 := other.Sender(w.ctx, "s")
		_, err3 := other.PasswordProfile(w.ctx, "p")
		for _, err := range []error{err1, err2, err3} {
			if err == nil {
				n++
			}
		}
		return n
	}
	until(changes, func() bool { return seen() == 3 })
	check(t, w.store.DeleteClient(w.ctx, "web", 0))
	until(changes, func() bool { return seen() == 2 })
	check(t, w.store.DeleteSender(w.ctx, "s", 0))
	until(changes, func() bool { return seen() == 1 })
	check(t, w.store.DeletePasswordProfile(w.ctx, "p", 0))
	until(changes, func() bool { return seen() == 0 })
}

func testDeleteRollsBack(t *testing.T, w *fixture) {
	w.addLoginRecords()
	before := must(w.store.LoginByID(w.ctx, w.login.ID))(t)
	wantErr(t, w.store.InTx(w.ctx, func(ctx context.Context) error {
		if err := w.store.DeleteAccount(ctx, "acc_1", 0); err != nil {
			return err
		}
		return storage.ErrRefused
	}), storage.ErrRefused)
	equal(t, must(w.store.LoginByID(w.ctx, w.login.ID))(t), before)
	equal(t, must(w.store.Family(w.ctx, "fam"))(t).Family.RevokedAt, time.Time{})
	must(w.store.AccountByUID(w.ctx, "acc_1"))(t)
}

func testDeleteRefused(t *testing.T, w *fixture) {
	must(w.store.PutClient(w.ctx, fullClient("web")))(t)
	must(w.store.PutSender(w.ctx, storage.Sender{ID: "s", RealmID: "default"}))(t)
	must(w.store.PutPasswordProfile(w.ctx, storage.PasswordProfile{ID: "p", RealmID: "default"}))(t)
	must(w.store.PutSecurityProfile(w.ctx, storage.SecurityProfile{ID: "sp", RealmID: "default"}))(t)
	membership := must(w.store.Membership(w.ctx, "acc_1", w.user.UID))(t)
	for name, remove := range map[string]func(id string, version int64) error{
		"web":         func(id string, v int64) error { return w.store.DeleteClient(w.ctx, id, v) },
		"s":           func(id string, v int64) error { return w.store.DeleteSender(w.ctx, id, v) },
		"p":           func(id string, v int64) error { return w.store.DeletePasswordProfile(w.ctx, id, v) },
		"sp":          func(id string, v int64) error { return w.store.DeleteSecurityProfile(w.ctx, id, v) },
		"lgn_bob":     func(id string, v int64) error { return w.store.DeleteLogin(w.ctx, id, v) },
		"usr_bob":     func(id string, v int64) error { return w.store.DeleteUser(w.ctx, id, v) },
		"acc_1":       func(id string, v int64) error { return w.store.DeleteAccount(w.ctx, id, v) },
		membership.ID: func(id string, v int64) error { return w.store.DeleteMembership(w.ctx, id, v) },
	} {
		wantErr(t, remove(name+"-absent", 0), storage.ErrNotFound)
		wantErr(t, remove(name+"' OR ''='", 0), storage.ErrNotFound)
		wantErr(t, remove(name, 7), storage.ErrStale)
	}
	must(w.store.AccountByUID(w.ctx, "acc_1"))(t)
	equal(t, w.principal().Known, true)
}

// testDeleteUserAsRead tests that a user is not deleted if the user was changed, or its login was
// changed, added or deleted, since it was read.
func testDeleteUserAsRead(t *testing.T, w *fixture) {
	read := func() storage.UserLogin {
		u := storage.UserLogin{User: must(w.store.UserByUID(w.ctx, w.user.UID))(t)}
		if logins := must(w.store.LoginsOfUser(w.ctx, w.user.UID))(t); len(logins) > 0 {
			u.Login = logins[0]
		}
		return u
	}
	for _, change := range []func(){
		func() { w.login = must(w.store.PutLogin(w.ctx, w.login))(t) },
		func() { check(t, w.store.DeleteLogin(w.ctx, w.login.ID, 0)) },
		func() {
			w.login.Version = storage.MustBeNew
			must(w.store.PutLogin(w.ctx, w.login))(t)
		},
		func() { w.user = must(w.store.PutUser(w.ctx, w.user))(t) },
	} {
		before := read()
		change()
		wantErr(t, w.store.DeleteUserLogin(w.ctx, before), storage.ErrStale)
	}
	check(t, w.store.DeleteUserLogin(w.ctx, read()))
	fails(w.store.UserByUID(w.ctx, w.user.UID))(t, storage.ErrNotFound)
	fails(w.store.LoginByID(w.ctx, w.login.ID))(t, storage.ErrNotFound)
}

// raceDelete deletes users while they sign in. Afterwards no family of theirs is live, whether
// or not the sign-in was settled.
func raceDelete(t *testing.T, w *fixture) {
	replica := w.replicas()
	for round := range 30 {
		user, login := w.addUser(fmt.Sprint("user", round), "")
		w.raceSignIn(t, replica, round, login, func(i int) error {
			return replica(i).DeleteUser(w.ctx, user.UID, 0)
		})
	}
}

func raceDeleteProfile(t *testing.T, w *fixture) {
	replica := w.replicas()
	for round := range 30 {
		must(w.store.PutPasswordProfile(w.ctx, storage.PasswordProfile{ID: "p", RealmID: "default"}))(t)
		login := must(w.store.PutLogin(w.ctx, storage.Login{
			ID: fmt.Sprint("login", round), ProfileID: "p", UsernameKey: "bob", UserUID: w.user.UID, Active: true,
		}))(t)
		w.raceSignIn(t, replica, round, login, func(i int) error {
			return replica(i).DeletePasswordProfile(w.ctx, "p", 0)
		})
	}
}

// raceSignIn signs a login in while it is deleted.
func (w *fixture) raceSignIn(t *testing.T, replica func(int) Store, round int, login storage.Login, remove func(i int) error) {
	t.Helper()
	f := w.family("fam-" + login.ID)
	f.UserUID, f.LoginID = login.UserUID, login.ID
	errs := concurrently(2, func(i int) error {
		if i == round%2 {
			return remove(i)
		}
		return replica(i).SettleLogin(w.ctx, storage.Settlement{
			LoginID: login.ID, PasswordSetAt: login.PasswordSetAt, BeginFamily: &f, Now: w.now,
		})
	})
	check(t, errs[round%2])
	state, err := w.store.Family(w.ctx, f.ID)
	if settled := errs[1-round%2] == nil; settled != (err == nil) {
		t.Fatalf("settled %v, but reading its family: %v", settled, err)
	}
	if err == nil && (state.Principal.Known || w.known(f.ID)) {
		t.Fatal("a family of the deleted login is live")
	}
}
