package storetest

import (
	"errors"
	"strings"
	"testing"

	"latchkey/storage"
)

// testMissingReferences tests that an error about a missing record names the field that refers to
// it, and that empty keys are refused by name.
func testMissingReferences(t *testing.T, s suite) {
	s.run(t, cases{"errors name the field and the missing record": testMissingParents})
}

func testMissingParents(t *testing.T, w *fixture) {
	client := fullClient("c1")
	user, login, account := w.user, w.login, w.account
	user.UID, user.ID, login.ID, login.UsernameKey, account.UID, account.ID = "usr_new", "new", "lgn_new", "new", "acc_new", "new"
	user.Version, login.Version, account.Version = 0, 0, 0
	member := storage.Membership{AccountUID: "acc_1", UserUID: "usr_bob"}
	profile := storage.NewPasswordProfile("p1", storage.DefaultRealmID)
	for want, put := range map[string]func() error{
		`ProfileID: there is no password profile "x"`:        func() error { c := client; c.ProfileID = "x"; return second(w.store.PutClient(w.ctx, c)) },
		`login: ProfileID: there is no password profile "x"`: func() error { l := login; l.ProfileID = "x"; return second(w.store.PutLogin(w.ctx, l)) },
		`UserUID: there is no user "x"`:                      func() error { l := login; l.UserUID = "x"; return second(w.store.PutLogin(w.ctx, l)) },
		`RealmID: there is no realm "x"`:                     func() error { u := user; u.RealmID = "x"; return second(w.store.PutUser(w.ctx, u)) },
		`AccountUID: there is no account "x"`:                func() error { u := user; u.AccountUID = "x"; return second(w.store.PutUser(w.ctx, u)) },
		`account: RealmID: there is no realm "x"`:            func() error { a := account; a.RealmID = "x"; return second(w.store.PutAccount(w.ctx, a)) },
		`membership: AccountUID: there is no account "y"`:    func() error { m := member; m.AccountUID = "y"; return second(w.store.PutMembership(w.ctx, m)) },
		`membership: UserUID: there is no user "y"`:          func() error { m := member; m.UserUID = "y"; return second(w.store.PutMembership(w.ctx, m)) },
		`profile: RealmID: there is no realm "x"`:            func() error { p := profile; p.RealmID = "x"; return second(w.store.PutPasswordProfile(w.ctx, p)) },
		`client: ID is empty`:                                func() error { c := client; c.ID = ""; return second(w.store.PutClient(w.ctx, c)) },
		`client: ProfileID is empty`:                         func() error { c := client; c.ProfileID = ""; return second(w.store.PutClient(w.ctx, c)) },
		`user: UID is empty`:                                 func() error { u := user; u.UID = ""; return second(w.store.PutUser(w.ctx, u)) },
		`login: ID is empty`:                                 func() error { l := login; l.ID = ""; return second(w.store.PutLogin(w.ctx, l)) },
		`login: UserUID is empty`:                            func() error { l := login; l.UserUID = ""; return second(w.store.PutLogin(w.ctx, l)) },
		`membership: UserUID is empty`:                       func() error { m := member; m.UserUID = ""; return second(w.store.PutMembership(w.ctx, m)) },
	} {
		err := put()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
		if strings.Contains(want, "there is no") && !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("got %v, want storage.ErrNotFound", err)
		}
	}
}

// second returns the error of a call.
func second[V any](_ V, err error) error { return err }
