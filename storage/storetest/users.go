package storetest

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"latchkey/storage"
)

func testUsers(t *testing.T, s suite) {
	s.run(t, cases{
		"a user is added with login, account and invitation": testAddUser,
		"a user is added alone":                              testAddUserAlone,
		"a conflict adds nothing":                            testAddUserConflicts,
		"user, login and password change together":           testChangeUser,
		"codes end with the address":                         testChangeAddress,
		"parts that are not given do not change":             testChangeParts,
		"a change that fails changes nothing":                testChangeRollsBack,
		"a principal is found by its login's ID":             testPrincipalOf,
		"revoked tokens stay revoked":                        testRevokeTokens,
	})
	s.runRepeating(t, cases{
		"one of concurrent users gets the username":         raceAddUser,
		"one of concurrent changes of a version is applied": raceChangeUser,
	})
}

// newUser returns a user to add with a login and an invitation.
func (w *fixture) newUser(name string) storage.NewUser {
	return storage.NewUser{
		User: storage.User{
			UID: "usr_" + name, RealmID: "default", Kind: storage.Buyer, AccountUID: "acc_1", ID: name,
			Email: name + "@example.com", EmailKey: name + "@example.com", Active: true,
		},
		Login: &storage.Login{
			ID: "lgn_" + name, ProfileID: "default", Username: name, UsernameKey: name, Active: true,
			PasswordHash: "hash-1", PasswordSetAt: w.now,
		},
		Invitation: &storage.CodeRequest{
			ID: "r-" + name, Type: storage.MessageNewUserInvitation, UserUID: "usr_" + name,
			CreatedAt: w.now, ExpiresAt: w.now.Add(7 * day),
		},
	}
}

func testAddUser(t *testing.T, w *fixture) {
	n := w.newUser("ann")
	n.Account = &storage.Account{UID: "acc_ann", RealmID: "default", Kind: storage.Buyer, ID: "own", Name: "Ann's", Active: true}
	got := must(w.store.AddUser(w.ctx, n))(t)
	stamped(t, got.User.Version, got.User.CreatedAt, got.User.UpdatedAt)
	stamped(t, got.Login.Version, got.Login.CreatedAt, got.Login.UpdatedAt)
	want := storage.UserLogin{User: n.User, Login: *n.Login}
	want.User.Version, want.User.CreatedAt, want.User.UpdatedAt = 1, got.User.CreatedAt, got.User.UpdatedAt
	want.Login.UserUID = "usr_ann"
	want.Login.Version, want.Login.CreatedAt, want.Login.UpdatedAt = 1, got.Login.CreatedAt, got.Login.UpdatedAt
	equal(t, got, want)
	equal(t, must(w.store.UserByUID(w.ctx, "usr_ann"))(t), want.User)
	equal(t, must(w.store.LoginByID(w.ctx, "lgn_ann"))(t), want.Login)
	for _, account := range []string{"acc_1", "acc_ann"} {
		must(w.store.Membership(w.ctx, account, "usr_ann"))(t)
	}
	equal(t, must(w.store.Member(w.ctx, "usr_ann", "own"))(t).Account.Name, "Ann's")
	equal(t, must(w.store.ClaimCodeRequests(w.ctx, w.now, w.now, 5))(t), []storage.CodeRequest{*n.Invitation})
}

func testAddUserAlone(t *testing.T, w *fixture) {
	u := storage.User{UID: "usr_ann", RealmID: "default", Kind: storage.Buyer, ID: "0a"}
	got := must(w.store.AddUser(w.ctx, storage.NewUser{User: u}))(t)
	equal(t, got.Login, storage.Login{})
	equal(t, must(w.store.UserByUID(w.ctx, "usr_ann"))(t), got.User)
	equal(t, must(w.store.Members(w.ctx, "usr_ann", 0, 5))(t).Total, 0)
	equal(t, len(must(w.store.ClaimCodeRequests(w.ctx, w.now, w.now, 5))(t)), 0)
}

func testAddUserConflicts(t *testing.T, w *fixture) {
	w.request("taken")
	own := storage.Account{UID: "acc_own", RealmID: "default", Kind: storage.Buyer, ID: "own"}
	for name, refused := range map[string]struct {
		want   error
		change func(*storage.NewUser)
	}{
		"uid":          {storage.ErrConflict, func(n *storage.NewUser) { n.User.UID = w.user.UID }},
		"user id":      {storage.ErrConflict, func(n *storage.NewUser) { n.User.ID = w.user.ID }},
		"username":     {storage.ErrUsernameTaken, func(n *storage.NewUser) { n.Login.UsernameKey = "bob" }},
		"account id":   {storage.ErrConflict, func(n *storage.NewUser) { n.Account.ID = w.account.ID }},
		"invitation":   {storage.ErrConflict, func(n *storage.NewUser) { n.Invitation.ID = "taken" }},
		"no realm":     {storage.ErrNotFound, func(n *storage.NewUser) { n.User.RealmID = "nowhere" }},
		"no account":   {storage.ErrNotFound, func(n *storage.NewUser) { n.User.AccountUID = "nowhere" }},
		"no profile":   {storage.ErrNotFound, func(n *storage.NewUser) { n.Login.ProfileID = "nowhere" }},
		"account uid":  {storage.ErrConflict, func(n *storage.NewUser) { n.Account.UID = "acc_1" }},
		"account home": {storage.ErrNotFound, func(n *storage.NewUser) { n.Account.RealmID = "nowhere" }},
	} {
		n, account := w.newUser("ann"), own
		n.Account = &account
		refused.change(&n)
		_, err := w.store.AddUser(w.ctx, n)
		if !is(err, refused.want) || is(err, storage.ErrUsernameTaken) != (name == "username") {
			t.Errorf("%s: got %v, want %v", name, err, refused.want)
		}
		fails(w.store.UserByUID(w.ctx, "usr_ann"))(t, storage.ErrNotFound)
		fails(w.store.LoginByID(w.ctx, "lgn_ann"))(t, storage.ErrNotFound)
		fails(w.store.AccountByUID(w.ctx, "acc_own"))(t, storage.ErrNotFound)
		fails(w.store.Timeline(w.ctx, "r-ann"))(t, storage.ErrNotFound)
	}
	must(w.store.AddUser(w.ctx, w.newUser("ann")))(t)
}

func testChangeUser(t *testing.T, w *fixture) {
	code := w.code("r1")
	u, l := w.user, w.login
	u.FirstName, u.Active, l.Username, l.UsernameKey = "Robert", false, "Rob", "rob"
	got := must(w.store.ChangeUser(w.ctx, u, &l, &storage.PasswordChange{Hash: "hash-2", Now: w.now}))(t)
	u.Version, u.UpdatedAt, u.ValidFrom = 2, got.User.UpdatedAt, got.User.ValidFrom
	l.Version, l.UpdatedAt = 2, got.Login.UpdatedAt
	l.PasswordHash, l.PasswordSetAt, l.SessionsValidFrom = "hash-2", w.now, w.now
	equal(t, got, storage.UserLogin{User: u, Login: l})
	equal(t, must(w.store.UserByUID(w.ctx, u.UID))(t), u)
	equal(t, must(w.store.LoginByID(w.ctx, l.ID))(t), l)
	if got.Login.Code.Live(w.now) || w.history(code.RequestID).RetiredAt.IsZero() {
		t.Error("the code is still live")
	}

	l.Active = false // an administrator disables the login and sets another password
	l = must(w.store.ChangeUser(w.ctx, u, &l, &storage.PasswordChange{Hash: "hash-3", Now: w.now}))(t).Login
	equal(t, l.PasswordHash, "hash-3")
}

// testChangeAddress checks that a new e-mail address ends codes that were sent to the
// former one, and that the former one is notified. The number of notices is limited.
func testChangeAddress(t *testing.T, w *fixture) {
	u := w.user
	u.Email, u.EmailKey, u.Version = "first@example.com", "first@example.com", 0
	must(w.store.ChangeUser(w.ctx, u, nil, nil))(t)
	code := w.code("r1")
	u.LastName, u.Email = "Other", "First@example.com"
	got := must(w.store.ChangeUser(w.ctx, u, nil, nil))(t)
	if !got.Login.Code.Live(w.now) {
		t.Error("a code ended although the address is the same")
	}
	u.Email, u.EmailKey = "second@example.com", "second@example.com"
	got = must(w.store.ChangeUser(w.ctx, u, nil, nil))(t)
	if got.Login.Code.Live(w.now) || w.history(code.RequestID).RetiredAt.IsZero() {
		t.Error("the code is still live")
	}
	equal(t, w.contactNotices(), [][2]string{{"bob@example.com", "+41 1"}, {"First@example.com", "+41 1"}})
	for i := range 9 {
		u.Phone = "+49 " + strconv.Itoa(i)
		must(w.store.ChangeUser(w.ctx, u, nil, nil))(t)
	}
	equal(t, w.contactNotices(), [][2]string{{"second@example.com", "+41 1"}})
}

// contactNotices claims the ContactChanged requests for bob, and returns their former
// addresses and phone numbers.
func (w *fixture) contactNotices() (former [][2]string) {
	w.t.Helper()
	later := w.now.Add(day)
	for _, r := range must(w.store.ClaimCodeRequests(w.ctx, w.now, later, 100))(w.t) {
		if r.Type != storage.MessageContactChanged {
			continue
		}
		if r.UserUID != w.user.UID || !r.ExpiresAt.Equal(r.CreatedAt.Add(day)) {
			w.t.Errorf("got the request %+v, want one of bob that is valid for a day", r)
		}
		former = append(former, [2]string{r.Email, r.Phone})
	}
	return former
}

func testChangeParts(t *testing.T, w *fixture) {
	u := w.user
	u.LastName, u.Version = "Other", 0
	got := must(w.store.ChangeUser(w.ctx, u, nil, nil))(t)
	u.Version, u.UpdatedAt = 2, got.User.UpdatedAt
	equal(t, got, storage.UserLogin{User: u, Login: w.login})

	got = must(w.store.ChangeUser(w.ctx, u, nil, &storage.PasswordChange{LoginID: w.login.ID, Hash: "h", Now: w.now}))(t)
	equal(t, got.Login, must(w.store.LoginByID(w.ctx, w.login.ID))(t))
	equal(t, got.Login.PasswordHash, "h")

	l := w.login
	l.Active, l.Version = false, 0
	got = must(w.store.ChangeUser(w.ctx, got.User, &l, nil))(t)
	if got.Login.Active || got.Login.PasswordHash != "h" || got.Login.Version != 2 {
		t.Fatalf("after the change: got %+v", got.Login)
	}
	alone := must(w.store.AddUser(w.ctx, storage.NewUser{User: storage.User{UID: "u9", RealmID: "default", Kind: storage.Admin, ID: "9"}}))(t)
	equal(t, must(w.store.ChangeUser(w.ctx, alone.User, nil, nil))(t).Login, storage.Login{})
}

func testChangeRollsBack(t *testing.T, w *fixture) {
	w.addUser("eve", "")
	for name, refused := range map[string]struct {
		want   error
		change func(u *storage.User, l *storage.Login, p *storage.PasswordChange)
	}{
		"outdated user":      {storage.ErrStale, func(u *storage.User, _ *storage.Login, _ *storage.PasswordChange) { u.Version = 9 }},
		"outdated login":     {storage.ErrStale, func(_ *storage.User, l *storage.Login, _ *storage.PasswordChange) { l.Version = 9 }},
		"no user":            {storage.ErrNotFound, func(u *storage.User, _ *storage.Login, _ *storage.PasswordChange) { u.UID, u.Version = "x", 0 }},
		"no login":           {storage.ErrNotFound, func(_ *storage.User, l *storage.Login, _ *storage.PasswordChange) { l.ID, l.Version = "x", 0 }},
		"user id taken":      {storage.ErrConflict, func(u *storage.User, _ *storage.Login, _ *storage.PasswordChange) { u.ID = "eve" }},
		"username taken":     {storage.ErrUsernameTaken, func(_ *storage.User, l *storage.Login, _ *storage.PasswordChange) { l.UsernameKey = "eve" }},
		"password of no-one": {storage.ErrRefused, func(_ *storage.User, _ *storage.Login, p *storage.PasswordChange) { p.LoginID = "x" }},
		"no live code":       {storage.ErrRefused, func(_ *storage.User, _ *storage.Login, p *storage.PasswordChange) { p.CodeID = "x" }},
	} {
		u, l, p := w.user, w.login, storage.PasswordChange{Hash: "h", Now: w.now}
		u.FirstName, l.Username = "Changed", "Changed"
		refused.change(&u, &l, &p)
		if _, err := w.store.ChangeUser(w.ctx, u, &l, &p); !is(err, refused.want) {
			t.Errorf("%s: got %v, want %v", name, err, refused.want)
		}
		equal(t, must(w.store.UserByUID(w.ctx, w.user.UID))(t), w.user)
		equal(t, must(w.store.LoginByID(w.ctx, w.login.ID))(t), w.login)
	}
}

func testPrincipalOf(t *testing.T, w *fixture) {
	w.profile("sp", storage.PasswordPolicy{NumericRequired: true}, "Shopper")
	check(t, w.store.AssignSecurityProfile(w.ctx, "sp", storage.KindParty(storage.Buyer)))
	w.code("r1")
	equal(t, must(w.store.PrincipalOf(w.ctx, w.login.ID))(t), w.principal())
	fails(w.store.PrincipalOf(w.ctx, "lgn_x"))(t, storage.ErrNotFound)
}

func testRevokeTokens(t *testing.T, w *fixture) {
	revoked := w.begin("revoked")
	check(t, w.store.RevokeFamily(w.ctx, revoked.ID, w.now.Add(-time.Minute)))
	w.begin("live")
	eve, _ := w.addUser("eve", "")
	f := w.family("of-eve")
	f.UserUID, f.LoginID = eve.UID, "lgn_eve"
	check(t, w.store.SettleLogin(w.ctx, storage.Settlement{LoginID: "lgn_eve", PasswordSetAt: w.login.PasswordSetAt, BeginFamily: &f, Now: w.now}))

	check(t, w.store.RevokeUserTokens(w.ctx, w.user.UID, w.now))
	ended := w.now.Add(time.Microsecond) // sessions that began in the same microsecond end too
	for family, want := range map[string]time.Time{"revoked": ended, "live": ended, "of-eve": eve.TokensValidFrom} {
		equal(t, must(w.store.Family(w.ctx, family))(t).Principal.User.TokensValidFrom, want)
	}
	equal(t, must(w.store.UserByUID(w.ctx, w.user.UID))(t).TokensValidFrom, ended)
	equal(t, must(w.store.UserByUID(w.ctx, eve.UID))(t), eve)
	wantErr(t, w.store.RevokeUserTokens(w.ctx, "usr_x", w.now), storage.ErrNotFound)

	// Storing a user that was read earlier does not make the tokens valid again.
	must(w.store.PutUser(w.ctx, w.user))(t)
	w.user.Version = 0
	must(w.store.PutUser(w.ctx, w.user))(t)
	got := must(w.store.ChangeUser(w.ctx, w.user, nil, nil))(t).User
	equal(t, got.TokensValidFrom, ended)
	equal(t, w.principal().User.TokensValidFrom, ended)
}

func raceAddUser(t *testing.T, w *fixture) {
	replica := w.replicas()
	errs := concurrently(50, func(i int) error {
		n := w.newUser(fmt.Sprint("n", i))
		n.Login.Username, n.Login.UsernameKey = "Wanted", "wanted"
		_, err := replica(i).AddUser(w.ctx, n)
		return err
	})
	equal(t, countErrors(errs), map[string]int{"": 1, storage.ErrConflict.Error(): 49})
	for i, err := range errs {
		_, missing := w.store.UserByUID(w.ctx, fmt.Sprint("usr_n", i))
		if (err == nil) != (missing == nil) || err != nil && !is(err, storage.ErrUsernameTaken) {
			t.Errorf("user %d: got error %v, and reading it: %v", i, err, missing)
		}
	}
	equal(t, len(must(w.store.ClaimCodeRequests(w.ctx, w.now, w.now, 100))(t)), 1)
}

func raceChangeUser(t *testing.T, w *fixture) {
	replica := w.replicas()
	errs := concurrently(60, func(i int) error {
		u, l := w.user, w.login
		u.FirstName, l.Username = fmt.Sprint(i), fmt.Sprint(i)
		_, err := replica(i).ChangeUser(w.ctx, u, &l, nil)
		return err
	})
	equal(t, countErrors(errs), map[string]int{"": 1, storage.ErrStale.Error(): 59})
	got := must(w.store.ChangeUser(w.ctx, must(w.store.UserByUID(w.ctx, w.user.UID))(t), nil, nil))(t)
	equal(t, got.Login.Username, got.User.FirstName)

	errs = concurrently(60, func(i int) error { // without a version all changes succeed
		u := w.user
		u.Version = 0
		_, err := replica(i).ChangeUser(w.ctx, u, nil, nil)
		return err
	})
	equal(t, countErrors(errs), map[string]int{"": 60})
}
