package storetest

import (
	"testing"
	"time"

	"latchkey/storage"
)

// testValidFrom checks that deactivation and activation set ValidFrom to a time after the
// change, with and without a version. Other changes do not change ValidFrom.
func testValidFrom(t *testing.T, w *fixture) {
	client := storage.Client{ID: "web", ProfileID: storage.DefaultProfileID, Active: true}
	must(w.store.PutClient(w.ctx, client))(t)
	for name, write := range map[string]func(active bool, version int64) (time.Time, int64){
		"account": func(active bool, version int64) (time.Time, int64) {
			w.account.Active, w.account.Version = active, version
			a := must(w.store.PutAccount(w.ctx, w.account))(t)
			return a.ValidFrom, a.Version
		},
		"user": func(active bool, version int64) (time.Time, int64) {
			w.user.Active, w.user.Version = active, version
			u := must(w.store.PutUser(w.ctx, w.user))(t)
			return u.ValidFrom, u.Version
		},
		"user and login": func(active bool, version int64) (time.Time, int64) {
			w.user.Active, w.user.Version = active, version
			u := must(w.store.ChangeUser(w.ctx, w.user, nil, nil))(t).User
			return u.ValidFrom, u.Version
		},
		"login": func(active bool, version int64) (time.Time, int64) {
			w.login.Active, w.login.Version = active, version
			l := must(w.store.PutLogin(w.ctx, w.login))(t)
			return l.SessionsValidFrom, l.Version
		},
		"client": func(active bool, version int64) (time.Time, int64) {
			client.Active, client.Version = active, version
			c := must(w.store.PutClient(w.ctx, client))(t)
			return c.ValidFrom, c.Version
		},
	} {
		last, version := write(true, 0)
		was := true
		for i, active := range []bool{true, false, false, true, false, true, true} {
			if i%2 == 0 {
				version = 0
			}
			before := time.Now()
			var mark time.Time
			mark, version = write(active, version)
			if moved := mark.After(before); moved != (active != was) || !moved && !mark.Equal(last) {
				t.Errorf("%s, change %d of active from %v to %v: got ValidFrom from %v to %v", name, i, was, active, last, mark)
			}
			last, was = mark, active
		}
	}
}

// testRecreatedClient checks that tokens of a deleted client are not valid for a new
// client with the same ID.
func testRecreatedClient(t *testing.T, w *fixture) {
	first := must(w.store.PutClient(w.ctx, storage.Client{ID: "web", ProfileID: storage.DefaultProfileID, Active: true}))(t)
	check(t, w.store.DeleteClient(w.ctx, "web", 0))
	between := time.Now()
	first.Version = storage.MustBeNew
	second := must(w.store.PutClient(w.ctx, first))(t)
	if second.ValidFrom.Before(between.Truncate(time.Microsecond)) {
		t.Errorf("valid from %v, but created after %v", second.ValidFrom, between)
	}
	equal(t, must(w.store.Client(w.ctx, "web"))(t), second)
}

// testPermittedSince tests that the store sets the time since which a client has what it was
// given after it was created. The caller cannot set it.
func testPermittedSince(t *testing.T, w *fixture) {
	client := storage.Client{ID: "web", ProfileID: storage.DefaultProfileID, Active: true, AllowAnyBuyer: true, AccountUIDs: []string{"acc_1"}}
	client = must(w.store.PutClient(w.ctx, client))(t)
	if client.PermittedSince != nil {
		t.Errorf("a new client: got %v, want nil", client.PermittedSince)
	}
	for i, anyVersion := range []bool{true, false} {
		client.AllowAnyBuyer, client.AccountUIDs = false, nil
		withdrawn := must(w.store.PutClient(w.ctx, client))(t)
		if withdrawn.PermittedSince != nil {
			t.Errorf("withdrawn: got %v, want nil", withdrawn.PermittedSince)
		}
		before := time.Now()
		withdrawn.AllowAnyBuyer, withdrawn.AccountUIDs = true, []string{"acc_1", "acc_2"}
		withdrawn.PermittedSince = map[string]time.Time{"acc_1": w.now.Add(-day)}
		if anyVersion {
			withdrawn.Version = 0
		}
		client = must(w.store.PutClient(w.ctx, withdrawn))(t)
		if len(client.PermittedSince) != 3 {
			t.Fatalf("round %d: got %v, want three times", i, client.PermittedSince)
		}
		for key, at := range client.PermittedSince {
			if !at.After(before) {
				t.Errorf("round %d: got %s since %v, want a time after %v", i, key, at, before)
			}
		}
		equal(t, must(w.store.Client(w.ctx, "web"))(t), client)
	}
}
