package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"latchkey/storage"
)

func testAuthorizations(t *testing.T, s suite) {
	s.run(t, cases{
		"a code is redeemed once":                      testRedeemAuthorization,
		"a code without its session is refused":        testAuthorizationSession,
		"an authorization has the state of its member": testAuthorizationMember,
	})
	s.runRepeating(t, cases{
		"of many redemptions one takes effect":   raceAuthorizations,
		"a redemption or the end of its session": raceAuthorizationAndEnd,
	})
}

// redeemAuthorization redeems a code for a family of the session.
func (w *fixture) redeemAuthorization(s Store, codeID, sessionID, familyID string, now time.Time) error {
	f := w.family(familyID)
	f.SessionID = sessionID
	return s.RedeemAuthorization(w.ctx, storage.AuthorizationUse{ID: codeID, Family: &f, Now: now})
}

func testRedeemAuthorization(t *testing.T, w *fixture) {
	want := w.authorization("a1", "s1")
	w.beginSession(w.session("s1"), "a1")
	equal(t, must(w.store.Authorization(w.ctx, "a1"))(t).Authorization, want)
	fails(w.store.Authorization(w.ctx, "a2"))(t, storage.ErrNotFound)

	wantErr(t, w.redeemAuthorization(w.store, "a1", "s1", "late", w.now.Add(time.Minute)), storage.ErrRefused)
	wantErr(t, w.redeemAuthorization(w.store, "a2", "s1", "none", w.now), storage.ErrRefused)
	later := w.now.Add(59 * time.Second)
	check(t, w.redeemAuthorization(w.store, "a1", "s1", "f1", later))
	want.UsedAt, want.FamilyID = later, "f1"
	wantErr(t, w.redeemAuthorization(w.store, "a1", "s1", "f2", later), storage.ErrRefused)
	equal(t, must(w.store.Authorization(w.ctx, "a1"))(t).Authorization, want)
	f := w.family("f1")
	f.SessionID = "s1"
	equal(t, must(w.store.Family(w.ctx, "f1"))(t).Family, f)
	for _, id := range []string{"late", "none", "f2"} {
		fails(w.store.Family(w.ctx, id))(t, storage.ErrNotFound)
	}
}

func testAuthorizationSession(t *testing.T, w *fixture) {
	w.beginSession(w.session("s1"), "a1")
	equal(t, must(w.store.Authorization(w.ctx, "a1"))(t).SessionEnded, false)
	must(w.end("s1", w.now))(t)
	equal(t, must(w.store.Authorization(w.ctx, "a1"))(t).SessionEnded, true)
	wantErr(t, w.redeemAuthorization(w.store, "a1", "s1", "f1", w.now), storage.ErrRefused)
	fails(w.store.Family(w.ctx, "f1"))(t, storage.ErrNotFound)
}

func testAuthorizationMember(t *testing.T, w *fixture) {
	w.beginSession(w.session("s1"), "a1")
	state := must(w.store.Authorization(w.ctx, "a1"))(t)
	equal(t, []any{state.Principal.User.UID, state.Member.Account.ID}, []any{w.user.UID, "acme"})
	w.leave("acc_1")
	equal(t, must(w.store.Authorization(w.ctx, "a1"))(t).Member, nil)
	must(w.store.PutMembership(w.ctx, storage.Membership{AccountUID: "acc_1", UserUID: w.user.UID, Roles: []string{"Buyer"}}))(t)
	state = must(w.store.Authorization(w.ctx, "a1"))(t)
	equal(t, []any{state.Member.Account.ID, state.Member.Membership.Roles}, []any{"acme", []string{"Buyer"}})
	check(t, w.store.DeleteUser(w.ctx, w.user.UID, 0))
	equal(t, must(w.store.Authorization(w.ctx, "a1"))(t).Principal.Known, false)
}

func raceAuthorizations(t *testing.T, w *fixture) {
	replica := w.replicas()
	for round := range 6 {
		session, code := fmt.Sprint("s", round), fmt.Sprint("a", round)
		w.beginSession(w.session(session), code)
		errs := concurrently(100, func(i int) error {
			return w.redeemAuthorization(replica(i), code, session, fmt.Sprintf("f-%d-%d", round, i), w.now)
		})
		equal(t, countErrors(errs), map[string]int{"": 1, storage.ErrRefused.Error(): 99})
		for i, err := range errs {
			_, family := w.store.Family(w.ctx, fmt.Sprintf("f-%d-%d", round, i))
			if (err == nil) != (family == nil) {
				t.Fatalf("redemption %d: got error %v, and reading its family: %v", i, err, family)
			}
		}
	}
}

// raceAuthorizationAndEnd redeems a code while its session ends. Whichever comes first, no
// family of the session stays live.
func raceAuthorizationAndEnd(t *testing.T, w *fixture) {
	replica := w.replicas()
	for round := range 60 {
		session, code, family := fmt.Sprint("s", round), fmt.Sprint("a", round), fmt.Sprint("f", round)
		w.beginSession(w.session(session), code)
		errs := concurrently(2, func(i int) error {
			if i == 0 {
				_, err := replica(i+round).EndSession(w.ctx, w.logout(session, w.now))
				return err
			}
			return w.redeemAuthorization(replica(i+round), code, session, family, w.now)
		})
		check(t, errs[0])
		state, err := w.store.Family(w.ctx, family)
		switch {
		case errs[1] == nil && (err != nil || state.Family.RevokedAt.IsZero()):
			t.Fatalf("round %d: a family of the ended session is live, redemption error %v", round, err)
		case errs[1] != nil && !(errors.Is(errs[1], storage.ErrRefused) && errors.Is(err, storage.ErrNotFound)):
			t.Fatalf("round %d: redemption error %v, and reading its family: %v", round, errs[1], err)
		}
	}
}
