package storetest

import (
	"fmt"
	"testing"
	"time"

	"latchkey/storage"
)

func testMembers(t *testing.T, s suite) {
	s.run(t, cases{
		"memberships are listed in pages":                 testMembersPages,
		"a membership is found by account ID":             testMember,
		"a membership is found by its ID":                 testMembershipByID,
		"a family contains the membership in its account": testScopeOfFamily,
		"the token status contains the membership":        testScopeOfTokenStatus,
		"without a membership the result is ErrNotFound":  testNoMember,
	})
}

// addMembership makes bob a member of a new account. after is the age of the fixture at
// that time, in seconds.
func (w *fixture) addMembership(uid, id string, after int, roles ...string) storage.Member {
	w.t.Helper()
	a := w.addAccount(uid, id)
	m := must(w.store.PutMembership(w.ctx, storage.Membership{
		ID: "m-" + uid, AccountUID: uid, UserUID: w.user.UID, Roles: roles, CreatedAt: w.now.Add(time.Duration(after) * time.Second),
	}))(w.t)
	return storage.Member{Membership: m, Account: a}
}

// scoped returns a member without the fields that TokenStatus does not read.
func scoped(m storage.Member) *storage.Member {
	return &storage.Member{Membership: m.Membership, Account: accountWithoutUnread(m.Account)}
}

// leaveOwnAccount deletes bob's membership in its own account.
func (w *fixture) leaveOwnAccount() {
	w.t.Helper()
	w.leave(w.account.UID)
}

func testMembersPages(t *testing.T, w *fixture) {
	w.leaveOwnAccount()
	third := w.addMembership("acc_a", "three", 3, "Buyer")
	first := w.addMembership("acc_z", "one", 1)
	second := w.addMembership("acc_c", "two", 1) // created at the same time as another membership
	first, second = second, first
	asleep := w.addMembership("acc_b", "asleep", 2).Account
	asleep.Active = false
	must(w.store.PutAccount(w.ctx, asleep))(t)
	w.addAccount("acc_n", "of-nobody")
	all := []storage.Member{first, second, third}
	for _, page := range []struct {
		offset, limit int
		want          []storage.Member
	}{{0, 10, all}, {0, 2, all[:2]}, {2, 2, all[2:]}, {1, 1, all[1:2]}, {3, 5, nil}, {99, 1, nil}, {0, 0, nil}} {
		got := must(w.store.Members(w.ctx, w.user.UID, page.offset, page.limit))(t)
		equal(t, got, storage.Page[storage.Member]{Items: page.want, Total: 3})
	}
	equal(t, must(w.store.Members(w.ctx, "usr_x", 0, 5))(t), storage.Page[storage.Member]{})
}

func testMember(t *testing.T, w *fixture) {
	want := w.addMembership("acc_2", "second", 1, "Approver", "Buyer")
	equal(t, must(w.store.Member(w.ctx, w.user.UID, "second"))(t), want)

	// A supplier may have the ID of a buyer.
	supplier := must(w.store.PutAccount(w.ctx, storage.Account{
		UID: "acc_0", RealmID: "default", Kind: storage.Supplier, ID: "second", Active: true,
	}))(t)
	m := must(w.store.PutMembership(w.ctx, storage.Membership{AccountUID: "acc_0", UserUID: w.user.UID}))(t)
	equal(t, must(w.store.Member(w.ctx, w.user.UID, "second"))(t), want)
	w.leave("acc_2")
	equal(t, must(w.store.Member(w.ctx, w.user.UID, "second"))(t), storage.Member{Membership: m, Account: supplier})
}

func testNoMember(t *testing.T, w *fixture) {
	w.addAccount("acc_2", "second")
	asleep := w.addMembership("acc_3", "asleep", 1).Account
	asleep.Active = false
	must(w.store.PutAccount(w.ctx, asleep))(t)
	for _, account := range []string{"second", "asleep", "acc_1", "", "unknown"} {
		fails(w.store.Member(w.ctx, w.user.UID, account))(t, storage.ErrNotFound)
	}
	fails(w.store.Member(w.ctx, "usr_x", "acme"))(t, storage.ErrNotFound)
	must(w.store.Member(w.ctx, w.user.UID, "acme"))(t)
	w.leaveOwnAccount()
	fails(w.store.Member(w.ctx, w.user.UID, "acme"))(t, storage.ErrNotFound)
}

func testMembershipByID(t *testing.T, w *fixture) {
	member := w.addMembership("acc_2", "second", 1, "Buyer")
	member.Account.Active = false
	member.Account = must(w.store.PutAccount(w.ctx, member.Account))(t)
	equal(t, must(w.store.MembershipByID(w.ctx, "m-acc_2"))(t), storage.MembershipDetail{
		Membership: member.Membership, Account: member.Account, User: w.user,
	})
	w.leave("acc_2")
	fails(w.store.MembershipByID(w.ctx, "m-acc_2"))(t, storage.ErrNotFound)
	fails(w.store.MembershipByID(w.ctx, ""))(t, storage.ErrNotFound)
}

// scopes checks the membership in the account acc_2 that read returns: while the account
// is active, while it is inactive, and after the membership was deleted.
func (w *fixture) scopes(read func() *storage.Member) {
	w.t.Helper()
	member := w.addMembership("acc_2", "second", 1, "Approver", "Buyer")
	equal(w.t, read(), scoped(member))
	changed := must(w.store.PutMembership(w.ctx, storage.Membership{AccountUID: "acc_2", UserUID: w.user.UID, Roles: []string{"Z"}}))(w.t)
	equal(w.t, read(), scoped(storage.Member{Membership: changed, Account: member.Account}))
	for _, active := range []bool{false, true} {
		member.Account.Active = active
		member.Account = must(w.store.PutAccount(w.ctx, member.Account))(w.t)
		if got := read(); (got != nil) != active {
			w.t.Fatalf("account active %v: got the member %+v", active, got)
		}
	}
	w.leave("acc_2")
	equal(w.t, read(), nil)
}

func testScopeOfFamily(t *testing.T, w *fixture) {
	for i, account := range []string{"acc_2", ""} {
		f := w.family(fmt.Sprint("f", i))
		f.AccountUID = account
		check(t, w.store.SettleLogin(w.ctx, storage.Settlement{
			LoginID: w.login.ID, PasswordSetAt: w.login.PasswordSetAt, BeginFamily: &f, Now: w.now,
		}))
	}
	w.scopes(func() *storage.Member {
		state := must(w.store.Family(w.ctx, "f0"))(t)
		equal(t, state.Principal, w.principal()) // the account of the family is not the user's account
		return state.Member
	})
	equal(t, must(w.store.Family(w.ctx, "f1"))(t).Member, nil)
}

func testScopeOfTokenStatus(t *testing.T, w *fixture) {
	ref := storage.TokenRef{JTI: "j", UserUID: w.user.UID, LoginID: w.login.ID, AccountUID: "acc_2"}
	w.scopes(func() *storage.Member {
		status := must(w.store.TokenStatus(w.ctx, ref))(t)
		equal(t, status.Principal, w.principal())
		return status.Member
	})
	ref.AccountUID = ""
	equal(t, must(w.store.TokenStatus(w.ctx, ref))(t).Member, nil)

	eve, _ := w.addUser("eve", "")
	w.addMembership("acc_3", "third", 1)
	for name, ref := range map[string]storage.TokenRef{
		"account of another user": {UserUID: eve.UID, AccountUID: "acc_3"},
		"account without user":    {AccountUID: "acc_3"},
		"unknown account":         {UserUID: w.user.UID, AccountUID: "acc_x"},
	} {
		if got := must(w.store.TokenStatus(w.ctx, ref))(t).Member; got != nil {
			t.Errorf("%s: got the member %+v, want none", name, got)
		}
	}
}
