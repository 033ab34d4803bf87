package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"latchkey/storage"
)

func testPasswords(t *testing.T, s suite) {
	s.run(t, cases{
		"a changed password ends earlier sessions": testChangePassword,
		"a change without a code keeps the lock":   testChangeKeepsLock,
		"a code clears the failures":               testRenew,
		"a refused reset changes nothing":          testRenewRefused,
		"an expired or used code is refused":       testRenewDeadCode,
		"former passwords are remembered":          testHistory,
		"security profiles tighten the rules":      testRules,
	})
	s.runRepeating(t, cases{
		"one of concurrent resets succeeds":      raceRenew,
		"a lock that came first refuses a reset": raceRenewLock,
		"a replaced code is refused":             raceRenewIssue,
	})
}

// renewal returns a change of bob's password with a verification code.
func (w *fixture) renewal(codeID string) storage.PasswordChange {
	return storage.PasswordChange{LoginID: w.login.ID, Hash: "hash-2", CodeID: codeID, Now: w.now.Add(time.Minute)}
}

// locked returns a lock for passwords, codes and the source until a time, with a failure
// at the time at.
func locked(at, until time.Time) storage.Lockout {
	c := storage.Counter{Failures: 10, LastFailureAt: at, LockedUntil: until}
	return storage.Lockout{Failures: c.Failures, LastFailureAt: c.LastFailureAt, LockedUntil: c.LockedUntil, Codes: c, Source: c}
}

// lock stores a failure that locks bob until the time.
func (w *fixture) lock(until time.Time) storage.Lockout {
	w.t.Helper()
	check(w.t, w.store.RecordFailure(w.ctx, w.principal(), locked(w.now, until), nil))
	return w.principal().Lockout
}

func testChangePassword(t *testing.T, w *fixture) {
	w.code("r1")
	w.verification("v1")
	x := w.renewal("")
	x.KeepSession = "own session"
	check(t, w.store.ChangePassword(w.ctx, x))
	want := w.login
	want.PasswordHash, want.PasswordSetAt, want.SessionsValidFrom, want.KeptSession = "hash-2", x.Now, x.Now, "own session"
	equal(t, w.principal().Login.KeptSession, "own session")
	equal(t, must(w.store.LoginByID(w.ctx, w.login.ID))(t), want)
	fails(w.store.VerificationCode(w.ctx, w.login.ID))(t, storage.ErrNotFound)
	for _, request := range []string{"r1", "v1"} {
		equal(t, w.history(request).RetiredAt, x.Now)
		equal(t, w.history(request).RedeemedAt, time.Time{})
	}

	x.KeepSession = "" // a change by another user ends this session as well
	check(t, w.store.ChangePassword(w.ctx, x))
	want.KeptSession = ""
	equal(t, must(w.store.LoginByID(w.ctx, w.login.ID))(t), want)

	x.LoginID = "nobody"
	wantErr(t, w.store.ChangePassword(w.ctx, x), storage.ErrRefused)
	w.login.Active, w.login.Version = false, 0
	must(w.store.PutLogin(w.ctx, w.login))(t)
	wantErr(t, w.store.ChangePassword(w.ctx, w.renewal("")), storage.ErrRefused)
}

func testChangeKeepsLock(t *testing.T, w *fixture) {
	locked := w.lock(w.now.Add(time.Hour))
	check(t, w.store.ChangePassword(w.ctx, w.renewal("")))
	equal(t, w.principal().Lockout, locked)
}

func testRenew(t *testing.T, w *fixture) {
	w.code("r1")
	w.lock(w.now.Add(time.Minute)) // ends before the code is used
	c := w.verification("v1")
	x := w.renewal(c.ID)
	check(t, w.store.ChangePassword(w.ctx, x))
	want := w.login
	want.PasswordHash, want.PasswordSetAt, want.SessionsValidFrom = "hash-2", x.Now, x.Now
	want.Lockout = storage.Lockout{Version: 2}
	equal(t, must(w.store.LoginByID(w.ctx, w.login.ID))(t), want)
	c.UsedAt = x.Now
	equal(t, must(w.store.VerificationCode(w.ctx, w.login.ID))(t), c)
	history := w.history("v1")
	equal(t, history.RedeemedAt, x.Now)
	equal(t, history.RetiredAt, time.Time{})
	equal(t, w.history("r1").RetiredAt, x.Now)

	w.verification("v2") // the timeline of the first code does not change
	equal(t, w.history("v1"), history)
	check(t, w.store.ChangePassword(w.ctx, w.renewal("code-v2")))
	equal(t, w.principal().Lockout, storage.Lockout{Version: 3})
}

func testRenewRefused(t *testing.T, w *fixture) {
	w.code("r1")
	c := w.verification("v1")
	_, eve := w.addUser("eve", "")
	refuse := func(what string, x storage.PasswordChange) {
		t.Helper()
		before := must(w.store.LoginByID(w.ctx, w.login.ID))(t)
		if err := w.store.ChangePassword(w.ctx, x); !is(err, storage.ErrRefused) {
			t.Errorf("%s: got %v, want ErrRefused", what, err)
		}
		equal(t, must(w.store.LoginByID(w.ctx, w.login.ID))(t), before)
		equal(t, must(w.store.VerificationCode(w.ctx, w.login.ID))(t), c)
		equal(t, must(w.store.FormerPasswords(w.ctx, w.login.ID, 9))(t), []string{"hash-1"})
		if history := w.history("v1"); !history.Live(w.now) {
			t.Errorf("%s ended the code: got %+v, want it live", what, history)
		}
	}
	x := w.renewal(c.ID)
	x.Keep = 5
	foreign, unknown, onetime := x, x, x
	foreign.LoginID, unknown.CodeID, onetime.CodeID = eve.ID, "other", "code-r1"
	refuse("a code of another login", foreign)
	refuse("an unknown code", unknown)
	refuse("a one-time password", onetime)
	w.lock(x.Now.Add(time.Microsecond))
	refuse("a locked login", x)
	check(t, w.store.Unlock(w.ctx, w.login.ID, w.now))
	w.login.Active, w.login.Version = false, 0
	must(w.store.PutLogin(w.ctx, w.login))(t)
	refuse("an inactive login", x)
}

func testRenewDeadCode(t *testing.T, w *fixture) {
	c := w.verification("v1")
	late := w.renewal(c.ID)
	late.Now = c.ExpiresAt
	wantErr(t, w.store.ChangePassword(w.ctx, late), storage.ErrRefused)
	check(t, w.store.ChangePassword(w.ctx, w.renewal(c.ID)))
	wantErr(t, w.store.ChangePassword(w.ctx, w.renewal(c.ID)), storage.ErrRefused)
	w.verification("v2") // another code does not make the first one valid again
	wantErr(t, w.store.ChangePassword(w.ctx, w.renewal(c.ID)), storage.ErrRefused)
}

func testHistory(t *testing.T, w *fixture) {
	change := func(n, keep int) {
		t.Helper()
		check(t, w.store.ChangePassword(w.ctx, storage.PasswordChange{
			LoginID: w.login.ID, Hash: fmt.Sprint("hash-", n), Keep: keep, Now: w.now.Add(time.Duration(n) * time.Second),
		}))
	}
	former := func(n int, want ...string) {
		t.Helper()
		equal(t, must(w.store.FormerPasswords(w.ctx, w.login.ID, n))(t), want)
	}
	former(5, "hash-1")
	change(2, 3)
	change(3, 3)
	change(4, 3)
	former(9, "hash-4", "hash-3", "hash-2", "hash-1")
	former(2, "hash-4", "hash-3")
	former(0)
	change(5, 3)
	former(9, "hash-5", "hash-4", "hash-3", "hash-2")
	change(6, 1)
	former(9, "hash-6", "hash-5")
	change(7, 0) // no former password is kept now
	former(9, "hash-7")

	check(t, w.store.SetPassword(w.ctx, w.login.ID, "", w.now, false))
	former(9)
	change(8, 3) // there was no former password
	former(9, "hash-8")
	equal(t, must(w.store.FormerPasswords(w.ctx, "nobody", 9))(t), nil)
}

func testRules(t *testing.T, w *fixture) {
	length, reuse, age := 12, 4, 90*day
	w.profile("of-user", storage.PasswordPolicy{MinimumCharacterCount: &length})
	w.profile("of-account", storage.PasswordPolicy{LimitPasswordReuse: &reuse, UpperCaseRequired: true})
	w.profile("of-kind", storage.PasswordPolicy{MaximumPasswordAge: &age})
	check(t, w.store.AssignSecurityProfile(w.ctx, "of-user", storage.UserParty(w.user.UID)))
	check(t, w.store.AssignSecurityProfile(w.ctx, "of-account", storage.AccountParty("acc_1")))
	check(t, w.store.AssignSecurityProfile(w.ctx, "of-kind", storage.KindParty(storage.Buyer)))
	rules := func(u storage.User) storage.PasswordRules {
		return must(w.store.Rules(w.ctx, storage.DefaultProfileID, u))(t)
	}
	plain := must(w.store.PasswordProfile(w.ctx, storage.DefaultProfileID))(t).Rules
	want := plain
	equal(t, rules(storage.User{Kind: storage.Admin}), want)
	want.MaxAge = age
	equal(t, rules(storage.User{Kind: storage.Buyer}), want)
	want.History, want.UpperCase = reuse, true
	equal(t, rules(storage.User{Kind: storage.Buyer, AccountUID: "acc_1"}), want)
	want.MinLength = length
	equal(t, rules(w.user), want)
	equal(t, w.principal().Rules, want)
	equal(t, must(w.store.TokenStatus(w.ctx, storage.TokenRef{UserUID: w.user.UID, LoginID: w.login.ID}))(t).Principal.Rules, want)
	fails(w.store.Rules(w.ctx, "nowhere", w.user))(t, storage.ErrNotFound)
}

func raceRenew(t *testing.T, w *fixture) {
	replica := w.replicas()
	for round := range 10 {
		c := w.verification(fmt.Sprint("v", round))
		errs := concurrently(100, func(i int) error {
			x := w.renewal(c.ID)
			x.Hash, x.Keep = fmt.Sprintf("hash-%d-%d", round, i), 100
			return replica(i).ChangePassword(w.ctx, x)
		})
		equal(t, countErrors(errs), map[string]int{"": 1, storage.ErrRefused.Error(): 99})
		won := ""
		for i, err := range errs {
			if err == nil {
				won = fmt.Sprintf("hash-%d-%d", round, i)
			}
		}
		equal(t, w.principal().Login.PasswordHash, won)
	}
}

// raceRenewLock runs a password reset concurrently with the failure that locks the login.
// Either the password is set and the failure is stale, or the lock came first and the
// code is still live.
func raceRenewLock(t *testing.T, w *fixture) {
	replica := w.replicas()
	for round := range 40 {
		c := w.verification(fmt.Sprint("v", round))
		check(t, w.store.RecordFailure(w.ctx, w.principal(), storage.Lockout{Failures: 9, LastFailureAt: w.now}, nil))
		seen := w.principal()
		locked := locked(w.now, w.now.Add(time.Hour))
		x := w.renewal(c.ID)
		x.Hash = fmt.Sprint("renewed-", round)
		errs := concurrently(2, func(i int) error {
			if i == round%2 {
				return replica(i).RecordFailure(w.ctx, seen, locked, nil)
			}
			return replica(i).ChangePassword(w.ctx, x)
		})
		failure, change := errs[round%2], errs[1-round%2]
		after, code := w.principal(), must(w.store.VerificationCode(w.ctx, w.login.ID))(t)
		switch {
		case failure == nil && errors.Is(change, storage.ErrRefused):
			if !code.Live(w.now) || !after.Lockout.Locked(w.now) || after.Login.PasswordHash == x.Hash {
				t.Fatalf("locked first: got %+v, code %+v; want a lock and a live code", after.Login, code)
			}
		case change == nil && errors.Is(failure, storage.ErrStale):
			if code.Live(w.now) || after.Lockout.Failures != 0 || after.Login.PasswordHash != x.Hash {
				t.Fatalf("changed first: got %+v, code %+v; want no failure and a used code", after.Login, code)
			}
		default:
			t.Fatalf("got failure: %v, change: %v; want one of them refused", failure, change)
		}
		check(t, w.store.Unlock(w.ctx, w.login.ID, w.now))
	}
}

// raceRenewIssue uses a code while another one replaces it. The code is either used or
// retired, and the timeline says which.
func raceRenewIssue(t *testing.T, w *fixture) {
	replica := w.replicas()
	code := w.verification("v")
	for round := range 40 {
		next := fmt.Sprint("v", round)
		w.request(next)
		x := w.verificationIssuance(next)
		errs := concurrently(2, func(i int) error {
			if i == round%2 {
				_, err := replica(i).IssueCodes(w.ctx, x)
				return err
			}
			return replica(i).ChangePassword(w.ctx, w.renewal(code.ID))
		})
		check(t, errs[round%2])
		history, used := w.history(code.RequestID), errs[1-round%2] == nil
		if used == history.RedeemedAt.IsZero() || used != history.RetiredAt.IsZero() {
			t.Fatalf("used: %v, but the timeline says %+v", used, history)
		}
		code = x.Verifications[0].Code
		equal(t, must(w.store.VerificationCode(w.ctx, w.login.ID))(t), code)
	}
}
