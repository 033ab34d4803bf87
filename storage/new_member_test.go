package storage_test

import (
	"crypto/rand"
	"testing"

	"latchkey/storage"
)

// TestNewMember checks that a new member is an active buyer, and that only the default
// realm gives it an account, if it creates accounts at all.
func TestNewMember(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		realm   storage.Realm
		account bool
	}{
		{storage.Realm{ID: storage.DefaultRealmID}, false},
		{storage.Realm{ID: storage.DefaultRealmID, AutoCreateAccount: true}, true},
		{storage.Realm{ID: "other", AutoCreateAccount: true}, false},
	} {
		got, err := test.realm.NewMember(rand.Reader, storage.User{Name: "Ann Doe", Email: "ann@example.com"})
		u := got.User
		if err != nil || u.UID == "" || u.ID != u.UID || u.RealmID != test.realm.ID || u.Kind != storage.Buyer || !u.Active || u.Email != "ann@example.com" {
			t.Errorf("%+v: got user %+v, error %v", test.realm, u, err)
		}
		if (got.Account != nil) != test.account {
			t.Errorf("%+v: got account %+v", test.realm, got.Account)
		}
		if a := got.Account; a != nil && (a.Name != "Ann Doe" || a.LegalName != "Ann Doe" || a.RealmID != test.realm.ID || a.Kind != storage.Buyer || !a.Active || a.UID == a.ID) {
			t.Errorf("got account %+v", a)
		}
	}
}
