package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"latchkey/storage"
)

// testRaces runs concurrent calls on two replicas.
func testRaces(t *testing.T, s suite) {
	s.runRepeating(t, cases{
		"a code is redeemed once":                        raceRedeem,
		"a lock that came first refuses":                 raceLock,
		"no failure is lost":                             raceFailures,
		"no failure of an unknown login is lost":         raceUnknownLogins,
		"one of concurrent refreshes advances a family":  raceAdvance,
		"no message is claimed twice":                    raceClaims,
		"one worker ends a request":                      raceIssue,
		"valid logins all pass":                          raceLogins,
		"versions are not overwritten":                   raceVersions,
		"a client has ten secrets at most":               raceSecrets,
		"concurrent changes of a secret are all applied": raceSecretChanges,
	})
}

// replicas opens a second store on the fixture's database. The result alternates between
// the two.
func (w *fixture) replicas() func(i int) Store {
	two := []Store{w.store, w.open(w.t)}
	return func(i int) Store { return two[i%2] }
}

func raceRedeem(t *testing.T, w *fixture) {
	replica := w.replicas()
	for round := range 6 {
		code := w.code(fmt.Sprint("r", round))
		errs := concurrently(200, func(i int) error {
			f := w.family(fmt.Sprintf("f-%d-%d", round, i))
			return replica(i).SettleLogin(w.ctx, storage.Settlement{
				LoginID: w.login.ID, CodeID: code.ID, BeginFamily: &f, Now: w.now,
			})
		})
		equal(t, countErrors(errs), map[string]int{"": 1, storage.ErrRefused.Error(): 199})
		for i, err := range errs {
			if err != nil && i%20 != round {
				continue // checking a sample of the refused attempts is enough
			}
			_, missing := w.store.Family(w.ctx, fmt.Sprintf("f-%d-%d", round, i))
			if (err == nil) != (missing == nil) {
				t.Fatalf("attempt %d: got error %v, but reading its family: %v", i, err, missing)
			}
		}
	}
}

// raceLock settles the right code concurrently with the failure that locks the login.
// Either the success came first and the failure is stale, or the lock came first and
// the code is still live.
func raceLock(t *testing.T, w *fixture) {
	replica := w.replicas()
	for round := range 40 {
		code := w.code(fmt.Sprint("r", round))
		check(t, w.store.RecordFailure(w.ctx, w.principal(), storage.Lockout{Failures: 9, LastFailureAt: w.now}, nil))
		seen := w.principal()
		locked := locked(w.now, w.now.Add(time.Hour))
		errs := concurrently(2, func(i int) error {
			if i == round%2 {
				return replica(i).RecordFailure(w.ctx, seen, locked, nil)
			}
			return replica(i).SettleLogin(w.ctx, storage.Settlement{LoginID: w.login.ID, CodeID: code.ID, Now: w.now})
		})
		failure, success := errs[round%2], errs[1-round%2]
		after := w.principal()
		switch {
		case failure == nil && errors.Is(success, storage.ErrRefused):
			if !after.Login.Code.Live(w.now) || !after.Lockout.Locked(w.now) {
				t.Fatalf("locked first: got %+v, want a lock and a live code", after.Login)
			}
		case success == nil && errors.Is(failure, storage.ErrStale):
			if after.Login.Code.Live(w.now) || after.Lockout.Failures != 0 {
				t.Fatalf("succeeded first: got %+v, want no failure and a used code", after.Login)
			}
		default:
			t.Fatalf("got failure: %v, success: %v; want one of them refused", failure, success)
		}
		check(t, w.store.Unlock(w.ctx, w.login.ID, w.now))
	}
}

// failUntilCounted records a failure, and repeats that while the principal is stale.
func failUntilCounted(w *fixture, s Store, key storage.LoginKey) error {
	for {
		p, err := s.Principal(w.ctx, key)
		if err != nil {
			return err
		}
		next := storage.Lockout{Failures: p.Lockout.Failures + 1, LastFailureAt: w.now}
		if err := s.RecordFailure(w.ctx, p, next, nil); !errors.Is(err, storage.ErrStale) {
			return err
		}
	}
}

func raceFailures(t *testing.T, w *fixture) { w.loseNoFailure(w.key(), 300) }

// raceUnknownLogins is raceFailures for an unknown login, whose row does not exist at
// first.
func raceUnknownLogins(t *testing.T, w *fixture) {
	w.loseNoFailure(storage.LoginKey{ProfileID: "default", UsernameKey: "nobody"}, 60)
}

func (w *fixture) loseNoFailure(key storage.LoginKey, n int) {
	replica := w.replicas()
	errs := concurrently(n, func(i int) error { return failUntilCounted(w, replica(i), key) })
	equal(w.t, countErrors(errs), map[string]int{"": n})
	got := must(w.store.Principal(w.ctx, key))(w.t).Lockout
	equal(w.t, got, storage.Lockout{Failures: n, LastFailureAt: w.now, Version: int64(n)})
}

func raceAdvance(t *testing.T, w *fixture) {
	replica := w.replicas()
	w.begin("f")
	for generation := int64(1); generation <= 10; generation++ {
		errs := concurrently(100, func(i int) error {
			return replica(i).AdvanceFamily(w.ctx, "f", storage.FamilyAdvance{From: generation, Now: w.now})
		})
		equal(t, countErrors(errs), map[string]int{"": 1, storage.ErrStale.Error(): 99})
	}
	equal(t, must(w.store.Family(w.ctx, "f"))(t).Family.Generation, 11)
}

func raceClaims(t *testing.T, w *fixture) {
	replica := w.replicas()
	w.request("r")
	x := w.issuance("r")
	x.Codes[0].Messages = nil
	for i := range 400 {
		x.Codes[0].Messages = append(x.Codes[0].Messages, w.message(fmt.Sprint("m", i), "r"))
	}
	must(w.store.IssueCodes(w.ctx, x))(t)
	var mu sync.Mutex
	claims := make(map[string]int)
	errs := concurrently(8, func(i int) error {
		for {
			got, err := replica(i).ClaimMessages(w.ctx, w.now, w.now.Add(time.Minute), 7)
			if err != nil {
				return err
			}
			mu.Lock()
			for _, m := range got {
				claims[m.ID]++
			}
			all := len(claims) == 400
			mu.Unlock()
			// A claim may return fewer messages while other callers hold rows. So stop
			// when all messages are claimed.
			if all {
				return nil
			}
		}
	})
	equal(t, countErrors(errs), map[string]int{"": 8})
	for id, n := range claims {
		if n != 1 {
			t.Errorf("%s was claimed %d times", id, n)
		}
	}
}

func raceIssue(t *testing.T, w *fixture) {
	replica := w.replicas()
	w.request("r")
	errs := concurrently(100, func(i int) error {
		x := w.issuance("r")
		x.Codes[0].Messages[0].ID = fmt.Sprint("m", i)
		_, err := replica(i).IssueCodes(w.ctx, x)
		return err
	})
	equal(t, countErrors(errs), map[string]int{"": 1, storage.ErrStale.Error(): 99})
	equal(t, len(must(w.store.ClaimMessages(w.ctx, w.now, w.now.Add(time.Minute), 200))(t)), 1)
}

func raceLogins(t *testing.T, w *fixture) {
	replica := w.replicas()
	errs := concurrently(200, func(i int) error {
		f := w.family(fmt.Sprint("f", i))
		return replica(i).SettleLogin(w.ctx, storage.Settlement{LoginID: w.login.ID, PasswordSetAt: w.login.PasswordSetAt, BeginFamily: &f, Now: w.now})
	})
	equal(t, countErrors(errs), map[string]int{"": 200})
}

func raceVersions(t *testing.T, w *fixture) {
	replica := w.replicas()
	c := must(w.store.PutClient(w.ctx, fullClient("web")))(t)
	errs := concurrently(100, func(i int) error {
		_, err := replica(i).PutClient(w.ctx, c)
		return err
	})
	equal(t, countErrors(errs), map[string]int{"": 1, storage.ErrStale.Error(): 99})
}
