package storetest

import (
	"testing"
	"time"

	"latchkey/storage"
)

func testRoles(t *testing.T, s suite) {
	s.run(t, cases{
		"a security profile is stored":                       testSecurityProfile,
		"a security profile is assigned and unassigned":      testAssign,
		"roles come from every assignment":                   testRoleSources,
		"roles come from the membership":                     testMembershipRoles,
		"the strictest password policy counts":               testTightened,
		"a security profile of another replica is seen":      testNewProfileSeen,
		"a security profile without assignments is no error": testNoParties,
		"the roles of admin users are found":                 testAdminRoles,
	})
}

func (w *fixture) profile(id string, policy storage.PasswordPolicy, roles ...string) storage.SecurityProfile {
	w.t.Helper()
	return must(w.store.PutSecurityProfile(w.ctx, storage.SecurityProfile{
		ID: id, RealmID: storage.DefaultRealmID, Name: id, Roles: roles, Password: policy,
	}))(w.t)
}

func testSecurityProfile(t *testing.T, w *fixture) {
	attempts, lock := 5, 10*time.Minute
	policy := storage.PasswordPolicy{AllowedFailedAttempts: &attempts, LockoutDuration: &lock, SpecialRequired: true}
	want := storage.SecurityProfile{
		ID: "sp", RealmID: storage.DefaultRealmID, Name: "sp", Roles: []string{"A", "B"}, Password: policy, Version: 1,
	}
	got := w.profile("sp", policy, "A", "B")
	stamped(t, got.Version, got.CreatedAt, got.UpdatedAt)
	want.CreatedAt, want.UpdatedAt = got.CreatedAt, got.UpdatedAt
	equal(t, got, want)
	equal(t, must(w.store.SecurityProfile(w.ctx, "sp"))(t), want)
}

func testAssign(t *testing.T, w *fixture) {
	w.profile("sp", storage.PasswordPolicy{})
	bob, buyers := storage.UserParty(w.user.UID), storage.KindParty(storage.Buyer)
	for range 2 { // the second time changes nothing
		check(t, w.store.AssignSecurityProfile(w.ctx, "sp", bob))
		check(t, w.store.AssignSecurityProfile(w.ctx, "sp", buyers))
	}
	equal(t, must(w.store.SecurityProfileParties(w.ctx, "sp"))(t), []storage.Party{buyers, bob})
	check(t, w.store.UnassignSecurityProfile(w.ctx, "sp", buyers))
	wantErr(t, w.store.UnassignSecurityProfile(w.ctx, "sp", buyers), storage.ErrNotFound)
	wantErr(t, w.store.AssignSecurityProfile(w.ctx, "nothing", bob), storage.ErrNotFound)
	equal(t, must(w.store.SecurityProfileParties(w.ctx, "sp"))(t), []storage.Party{bob})
}

func testRoleSources(t *testing.T, w *fixture) {
	for id, party := range map[string]storage.Party{
		"of-user":    storage.UserParty(w.user.UID),
		"of-account": storage.AccountParty("acc_1"),
		"of-kind":    storage.KindParty(storage.Buyer),
		"elsewhere":  storage.AccountParty("acc_2"),
		"of-other":   storage.KindParty(storage.Supplier),
	} {
		w.profile(id, storage.PasswordPolicy{}, id, "Shared")
		check(t, w.store.AssignSecurityProfile(w.ctx, id, party))
	}
	want := []string{"Shared", "of-account", "of-kind", "of-user"}
	equal(t, w.principal().Roles, want)
	w.begin("f1")
	equal(t, must(w.store.Family(w.ctx, "f1"))(t).Principal.Roles, want)
	equal(t, must(w.store.TokenStatus(w.ctx, storage.TokenRef{UserUID: w.user.UID}))(t).Principal.Roles, want)
	found := must(w.store.Recipients(w.ctx, storage.CodeRequest{ProfileID: "default"}, "bob", ""))(t)
	equal(t, found[0].Roles, want)
}

func testMembershipRoles(t *testing.T, w *fixture) {
	w.profile("sp", storage.PasswordPolicy{}, "B")
	check(t, w.store.AssignSecurityProfile(w.ctx, "sp", storage.UserParty(w.user.UID)))
	must(w.store.PutMembership(w.ctx, storage.Membership{
		AccountUID: "acc_1", UserUID: w.user.UID, Roles: []string{"A", "B", "C"},
	}))(t)
	equal(t, w.principal().Roles, []string{"A", "B", "C"})
}

func testTightened(t *testing.T, w *fixture) {
	few, many := 3, 50
	short, long, forever := time.Minute, 48*time.Hour, time.Duration(0)
	profile := must(w.store.PasswordProfile(w.ctx, storage.DefaultProfileID))(t).Lockout
	steps := []struct {
		policy storage.PasswordPolicy
		want   storage.LockoutPolicy
	}{
		{storage.PasswordPolicy{AllowedFailedAttempts: &many, LockoutDuration: &short}, profile},
		{
			storage.PasswordPolicy{AllowedFailedAttempts: &few, LockoutDuration: &long},
			storage.LockoutPolicy{Threshold: 3, Duration: long, MaxDuration: profile.MaxDuration, ForgetsAfter: profile.ForgetsAfter},
		},
		{
			storage.PasswordPolicy{LockoutDuration: &forever},
			storage.LockoutPolicy{Threshold: 3, Duration: 0, MaxDuration: profile.MaxDuration, ForgetsAfter: profile.ForgetsAfter},
		},
	}
	for i, step := range steps {
		id := string(rune('a' + i)) // in addition to the earlier assignments
		w.profile(id, step.policy)
		check(t, w.store.AssignSecurityProfile(w.ctx, id, storage.UserParty(w.user.UID)))
		got := w.principal().Policy
		equal(t, got, step.want)
	}
}

func testNewProfileSeen(t *testing.T, w *fixture) {
	w.listen(w.store)
	w.profile("old", storage.PasswordPolicy{}, "Old")
	check(t, w.store.AssignSecurityProfile(w.ctx, "old", storage.UserParty(w.user.UID)))
	w.principal() // fills the cache
	other := w.open(t)
	must(other.PutSecurityProfile(w.ctx, storage.SecurityProfile{
		ID: "new", RealmID: storage.DefaultRealmID, Roles: []string{"New"},
	}))(t)
	check(t, other.AssignSecurityProfile(w.ctx, "new", storage.UserParty(w.user.UID)))
	equal(t, w.principal().Roles, []string{"New", "Old"})
}

func testNoParties(t *testing.T, w *fixture) {
	if got := must(w.store.SecurityProfileParties(w.ctx, "x"))(t); len(got) != 0 {
		t.Fatalf("parties of an absent security profile: got %v, want none", got)
	}
}

func testAdminRoles(t *testing.T, w *fixture) {
	admin := func(name, profileID string) storage.Party {
		u := must(w.store.PutUser(w.ctx, storage.User{UID: "usr_" + name, RealmID: storage.DefaultRealmID, Kind: storage.Admin, ID: name, Active: true}))(t)
		if profileID != "" {
			must(w.store.PutLogin(w.ctx, storage.Login{ID: "lgn_" + name, ProfileID: profileID, Username: name, UsernameKey: name, UserUID: u.UID, Active: true}))(t)
		}
		return storage.UserParty(u.UID)
	}
	must(w.store.PutPasswordProfile(w.ctx, storage.PasswordProfile{ID: "staff", RealmID: storage.DefaultRealmID, Name: "Staff"}))(t)
	must(w.store.PutPasswordProfile(w.ctx, storage.PasswordProfile{ID: "empty", RealmID: storage.DefaultRealmID, Name: "Empty"}))(t)
	for party, id := range map[storage.Party]string{
		admin("ada", "staff"): "of-ada", admin("abe", storage.DefaultProfileID): "of-abe", admin("amy", ""): "of-amy",
		storage.UserParty(w.user.UID): "of-bob", storage.AccountParty("acc_1"): "of-acme",
	} {
		w.profile(id, storage.PasswordPolicy{}, id, "Shared")
		check(t, w.store.AssignSecurityProfile(w.ctx, id, party))
	}
	inProfile := func(profileID string, want ...string) {
		t.Helper()
		equal(t, must(w.store.AdminRolesOfPasswordProfile(w.ctx, profileID))(t), want)
	}
	inProfile("staff", "Shared", "of-ada")
	inProfile(storage.DefaultProfileID, "Shared", "of-abe")
	inProfile("empty")
	equal(t, must(w.store.AdminRoles(w.ctx, "usr_amy"))(t), []string{"Shared", "of-amy"})
	equal(t, must(w.store.AdminRoles(w.ctx, w.user.UID))(t), nil)
	equal(t, must(w.store.RolesOfParty(w.ctx, storage.AccountParty("acc_1")))(t), []string{"Shared", "of-acme"})

	w.profile("all", storage.PasswordPolicy{}, "Everybody")
	check(t, w.store.AssignSecurityProfile(w.ctx, "all", storage.KindParty(storage.Admin)))
	inProfile("staff", "Everybody", "Shared", "of-ada")
	inProfile("empty")
	equal(t, must(w.store.AdminRoles(w.ctx, "usr_amy"))(t), []string{"Everybody", "Shared", "of-amy"})
	equal(t, must(w.store.AdminRoles(w.ctx, w.user.UID))(t), nil)
	holders := func(id string, wantAll bool, want ...string) {
		t.Helper()
		roles, all, err := w.store.AdminRolesOfSecurityProfile(w.ctx, id)
		check(t, err)
		equal(t, roles, want)
		equal(t, all, wantAll)
	}
	holders("all", true)
	holders("of-ada", false, "Everybody", "Shared", "of-ada")
	holders("of-acme", false)
	holders("of-bob", false)
}
