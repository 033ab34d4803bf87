package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"latchkey/storage"
)

// testSessionSource checks that the source of a family or token decides which lock
// applies to it.
func testSessionSource(t *testing.T, w *fixture) {
	w.addSources(home)
	for id, sourceID := range map[string]string{"home": "src_" + home, "nowhere": "", "gone": "src_gone"} {
		f := w.family(id)
		f.SourceID, f.Resources, f.JKT = sourceID, []string{"https://a.example/x", "urn:b"}, "thumb"
		x := w.settled("")
		x.BeginFamily = &f
		check(t, w.store.SettleLogin(w.ctx, x))
		equal(t, must(w.store.Family(w.ctx, id))(t).Family, f)
	}
	next := locked(w.now, w.now.Add(time.Hour))
	w.failed(away, next)
	ref := storage.TokenRef{UserUID: w.user.UID, LoginID: w.login.ID}
	for id, sourceID := range map[string]string{"home": "src_" + home, "nowhere": "", "gone": "src_gone"} {
		ref.FamilyID, ref.SourceID = id, sourceID
		family := must(w.store.Family(w.ctx, id))(t).Principal
		status := must(w.store.TokenStatus(w.ctx, ref))(t).Principal
		equal(t, status, family)
		equal(t, family.Locked(w.now), id != "home")
		if id == "home" {
			equal(t, family.Source, source(home, w.now))
		}
		resumed := w.settled(sourceID)
		resumed.Resumed = true
		equal(t, w.store.SettleLogin(w.ctx, resumed) == nil, id == "home")
	}
	own := storage.Counter{Failures: 3, LastFailureAt: w.now, LockedUntil: w.now.Add(time.Minute)}
	next.Source = own
	w.failed(home, next)
	ref.FamilyID, ref.SourceID = "home", "src_"+home
	equal(t, must(w.store.TokenStatus(w.ctx, ref))(t).Principal.Lockout.Source, own)
	_, eve := w.addUser("eve", "")
	ref = storage.TokenRef{UserUID: eve.UserUID, LoginID: eve.ID, SourceID: "src_" + home}
	equal(t, must(w.store.TokenStatus(w.ctx, ref))(t).Principal.Source, storage.Source{})
}

// testMailSource checks the source of principals that are read as recipients.
func testMailSource(t *testing.T, w *fixture) {
	found := func() storage.Source {
		t.Helper()
		p := must(w.store.PrincipalOf(w.ctx, w.login.ID))(t)
		all := must(w.store.Recipients(w.ctx, storage.CodeRequest{ProfileID: storage.DefaultProfileID}, "bob", ""))(t)
		equal(t, all, []storage.Principal{p})
		return p.Source
	}
	equal(t, found(), storage.Source{})
	w.addSources(home, away)
	equal(t, found(), source(away, w.now.Add(time.Second)))
	next := locked(time.Now(), time.Now().Add(time.Hour))
	w.failed(away, next)
	equal(t, found(), source(home, w.now))
	w.failed(home, next)
	equal(t, found(), storage.Source{})
	next.Source.LockedUntil = time.Now().Add(-time.Second)
	w.failed(away, next)
	equal(t, found(), source(away, w.now.Add(time.Second)))
}

func testUnlockSources(t *testing.T, w *fixture) {
	w.addSources(home, away)
	w.failed(home, locked(w.now, w.now.Add(time.Hour)))
	w.failed(away, locked(w.now, w.now.Add(time.Hour)))
	seen := w.from(home)
	check(t, w.store.Unlock(w.ctx, w.login.ID, w.now))
	want := storage.Lockout{Version: seen.Lockout.Version + 1}
	for _, address := range []string{home, away, ""} {
		equal(t, w.from(address).Lockout, want)
	}
	wantErr(t, w.store.RecordFailure(w.ctx, seen, locked(w.now, w.now.Add(time.Hour)), nil), storage.ErrStale)
	equal(t, w.from(home).Source, source(home, w.now))
}

func testRenewSources(t *testing.T, w *fixture) {
	w.addSources(home, away)
	c := w.verification("v1")
	next := locked(w.now, w.now.Add(day))
	next.Codes.LockedUntil = w.now // guesses at passwords do not lock password resets
	w.failed(home, next)
	w.failed(away, next)
	seen := w.from(home)
	check(t, w.store.ChangePassword(w.ctx, w.renewal(c.ID)))
	want := storage.Lockout{Version: seen.Lockout.Version + 1}
	for _, address := range []string{home, away, ""} {
		equal(t, w.from(address).Lockout, want)
	}
	wantErr(t, w.store.RecordFailure(w.ctx, seen, next, nil), storage.ErrStale)
}

func testRenewFromSource(t *testing.T, w *fixture) {
	w.addSources(home, away)
	next := locked(w.now, w.now.Add(day))
	w.failed(away, next)
	c := w.verification("v1")
	x := w.renewal(c.ID)
	for _, id := range []string{"", "src_" + away, "src_gone"} {
		x.SourceID = id
		wantErr(t, w.store.ChangePassword(w.ctx, x), storage.ErrRefused)
	}
	x.SourceID = "src_" + home
	check(t, w.store.ChangePassword(w.ctx, x))
	equal(t, w.principal().Login.PasswordHash, x.Hash)

	locked := w.from(home) // a change without a code clears nothing
	locked.Lockout.Source = storage.Counter{Failures: 1, LastFailureAt: w.now}
	check(t, w.store.RecordFailure(w.ctx, locked, locked.Lockout, nil))
	check(t, w.store.ChangePassword(w.ctx, w.renewal("")))
	equal(t, w.from(home).Lockout.Source, locked.Lockout.Source)
}

func testDeleteSources(t *testing.T, w *fixture) {
	w.addSources(home)
	check(t, w.store.DeleteLogin(w.ctx, w.login.ID, 0))
	w.login.Version = 0
	must(w.store.PutLogin(w.ctx, w.login))(t) // with the same ID, which servers never reuse
	equal(t, w.from(home).Source, storage.Source{})
	w.addSources(home)
	check(t, w.store.DeleteUser(w.ctx, w.user.UID, 0))
	equal(t, must(w.store.Sweep(w.ctx, w.now.Add(200*day), 100))(t), 0) // no rows are left
}

func testSweptSources(t *testing.T, w *fixture) {
	w.addSources(home, away)
	equal(t, must(w.store.Sweep(w.ctx, w.now.Add(90*day), 100))(t), 0)
	equal(t, must(w.store.Sweep(w.ctx, w.now.Add(90*day+time.Microsecond), 100))(t), 1)
	equal(t, w.ids(home, away), []string{"src_" + away})
}

// notice returns a request for a message about a lock.
func (w *fixture) notice(id string) *storage.CodeRequest {
	return &storage.CodeRequest{
		ID: id, Type: storage.MessageAccountLocked, ProfileID: storage.DefaultProfileID, Username: "bob",
		TraceID: "trace", CreatedAt: w.now, ExpiresAt: w.now.Add(time.Hour),
	}
}

// noticed returns the waiting requests by ID.
func (w *fixture) noticed() map[string]storage.CodeRequest {
	w.t.Helper()
	found := make(map[string]storage.CodeRequest)
	for _, r := range must(w.store.ClaimCodeRequests(w.ctx, w.now, w.now, 10))(w.t) {
		found[r.ID] = r
	}
	return found
}

func testNotice(t *testing.T, w *fixture) {
	w.addSources(home)
	want := make(map[string]storage.CodeRequest)
	for _, address := range []string{away, home} {
		seen := w.from(address)
		next := locked(w.now, w.now.Add(time.Hour))
		next.NotifiedAt = w.now
		check(t, w.store.RecordFailure(w.ctx, seen, next, w.notice(address)))
		wantErr(t, w.store.RecordFailure(w.ctx, seen, next, w.notice("stale")), storage.ErrStale)
		want[address] = *w.notice(address)
		equal(t, w.noticed(), want)
		equal(t, w.from(address).Lockout.NotifiedAt, w.now)
	}
	// If the notice cannot be stored, the failure is not counted.
	before := w.from(home)
	err := w.store.RecordFailure(w.ctx, before, storage.Lockout{Failures: 99}, w.notice(home))
	wantErr(t, err, storage.ErrConflict)
	equal(t, w.from(home), before)

	seen := w.from(away)
	replica := w.replicas()
	errs := concurrently(50, func(i int) error {
		return replica(i).RecordFailure(w.ctx, seen, locked(w.now, w.now.Add(time.Hour)), w.notice(fmt.Sprint(i)))
	})
	equal(t, countErrors(errs), map[string]int{"": 1, storage.ErrStale.Error(): 49})
	for i, err := range errs {
		if err == nil {
			want[fmt.Sprint(i)] = *w.notice(fmt.Sprint(i))
		}
	}
	equal(t, w.noticed(), want)
}

func testUnknownLoginNotice(t *testing.T, w *fixture) {
	key := storage.LoginKey{ProfileID: storage.DefaultProfileID, UsernameKey: "nobody", Source: home}
	seen := must(w.store.Principal(w.ctx, key))(t)
	next := locked(w.now, w.now.Add(time.Hour))
	next.NotifiedAt = w.now
	check(t, w.store.RecordFailure(w.ctx, seen, next, w.notice("n")))
	wantErr(t, w.store.RecordFailure(w.ctx, seen, next, w.notice("stale")), storage.ErrStale)
	equal(t, w.noticed(), map[string]storage.CodeRequest{"n": *w.notice("n")})
	next.Source, next.Version = storage.Counter{}, 1
	equal(t, must(w.store.Principal(w.ctx, key))(t).Lockout, next)
}

func testSpend(t *testing.T, w *fixture) {
	id := []byte{0, 255, 1}
	equal(t, must(w.store.IsSpent(w.ctx, id))(t), false)
	check(t, w.store.SpendID(w.ctx, id, w.now))
	equal(t, must(w.store.IsSpent(w.ctx, id))(t), true)
	wantErr(t, w.store.SpendID(w.ctx, id, w.now.Add(day)), storage.ErrConflict)
	check(t, w.store.SpendID(w.ctx, []byte{0, 255}, w.now.Add(time.Hour)))
	equal(t, must(w.store.Sweep(w.ctx, w.now, 100))(t), 0)
	equal(t, must(w.store.Sweep(w.ctx, w.now.Add(time.Second), 100))(t), 1)
	check(t, w.store.SpendID(w.ctx, id, w.now))
	wantErr(t, w.store.SpendID(w.ctx, []byte{0, 255}, w.now), storage.ErrConflict)
}

func raceSpend(t *testing.T, w *fixture) {
	replica := w.replicas()
	for round := range 10 {
		errs := concurrently(50, func(i int) error { return replica(i).SpendID(w.ctx, []byte{byte(round)}, w.now) })
		equal(t, countErrors(errs), map[string]int{"": 1, storage.ErrConflict.Error(): 49})
	}
}

// raceRemember adds more sources concurrently than a login may have.
func raceRemember(t *testing.T, w *fixture) {
	replica := w.replicas()
	var addresses []string
	for range 10 {
		first := len(addresses)
		for i := range 10 {
			addresses = append(addresses, fmt.Sprint("2001:db8::", first+i))
		}
		errs := concurrently(10, func(i int) error {
			s := source(addresses[first+i], w.now.Add(time.Duration(first+i)*time.Second))
			x := w.settled("")
			x.Remember = &s
			return replica(i).SettleLogin(w.ctx, x)
		})
		equal(t, countErrors(errs), map[string]int{"": 10})
		equal(t, len(w.ids(addresses[max(0, first-10):]...)), storage.MaxSources)
	}
}

func raceRememberOne(t *testing.T, w *fixture) {
	replica := w.replicas()
	errs := concurrently(50, func(i int) error {
		s := storage.Source{ID: fmt.Sprint("src_", i), Address: home, SeenAt: w.now}
		f := w.family(s.ID)
		f.SourceID = s.ID
		x := w.settled("")
		x.Remember, x.BeginFamily = &s, &f
		return replica(i).SettleLogin(w.ctx, x)
	})
	equal(t, countErrors(errs), map[string]int{"": 50})
	known := 0
	for i := range errs {
		if must(w.store.Family(w.ctx, fmt.Sprint("src_", i)))(t).Principal.Source.ID != "" {
			known++
		}
	}
	equal(t, known, 1)
	equal(t, len(w.ids(home)), 1)
}

// raceSourceLock is raceLock for the lock of a known source, with passwords and with
// codes. Afterwards neither the login nor its codes are locked.
func raceSourceLock(t *testing.T, w *fixture) {
	replica := w.replicas()
	w.addSources(home)
	for round := range 60 {
		w.failed(home, storage.Lockout{Source: storage.Counter{Failures: 9, LastFailureAt: w.now}})
		x := w.settled("src_" + home)
		if round%4 < 2 {
			x.CodeID = w.code(fmt.Sprint("r", round)).ID
		}
		f := w.family(fmt.Sprint("f", round))
		x.BeginFamily = &f
		seen := w.from(home)
		lock := storage.Counter{Failures: 10, LastFailureAt: w.now, LockedUntil: w.now.Add(time.Hour)}
		errs := concurrently(2, func(i int) error {
			if i == round%2 {
				return replica(i).RecordFailure(w.ctx, seen, storage.Lockout{Failures: 1, Source: lock}, nil)
			}
			return replica(i).SettleLogin(w.ctx, x)
		})
		failure, success := errs[round%2], errs[1-round%2]
		after := w.from(home).Lockout.Source
		switch {
		case failure == nil && errors.Is(success, storage.ErrRefused):
			equal(t, after, lock)
		case success == nil && errors.Is(failure, storage.ErrStale):
			equal(t, after, storage.Counter{})
		default:
			t.Fatalf("got failure: %v, success: %v; want one of them refused", failure, success)
		}
		check(t, w.store.Unlock(w.ctx, w.login.ID, w.now))
	}
}

func raceSourceFailures(t *testing.T, w *fixture) {
	w.addSources(home)
	replica := w.replicas()
	key := w.key()
	key.Source = home
	errs := concurrently(60, func(i int) error {
		for {
			p, err := replica(i).Principal(w.ctx, key)
			if err != nil {
				return err
			}
			next := storage.Lockout{Failures: p.Lockout.Failures + 1, Source: storage.Counter{Failures: p.Lockout.Source.Failures + 1}}
			if err := replica(i).RecordFailure(w.ctx, p, next, nil); !errors.Is(err, storage.ErrStale) {
				return err
			}
		}
	})
	equal(t, countErrors(errs), map[string]int{"": 60})
	got := w.from(home).Lockout
	equal(t, []int{got.Failures, got.Source.Failures}, []int{60, 60})
}

// raceSourceLogins settles concurrent successes. The first one clears the failures.
func raceSourceLogins(t *testing.T, w *fixture) {
	w.addSources(home)
	replica := w.replicas()
	w.failed(home, storage.Lockout{Failures: 2, Source: storage.Counter{Failures: 2}})
	errs := concurrently(100, func(i int) error {
		x, f := w.settled("src_"+home), w.family(fmt.Sprint("f", i))
		x.BeginFamily = &f
		return replica(i).SettleLogin(w.ctx, x)
	})
	equal(t, countErrors(errs), map[string]int{"": 100})
	equal(t, w.from(home).Lockout, storage.Lockout{Version: 3})
}

func raceSourceRedeem(t *testing.T, w *fixture) {
	w.addSources(home)
	replica := w.replicas()
	w.failed(home, storage.Lockout{Failures: 2, Source: storage.Counter{Failures: 2}})
	code := w.code("r")
	errs := concurrently(100, func(i int) error {
		return replica(i).SettleLogin(w.ctx, storage.Settlement{LoginID: w.login.ID, SourceID: "src_" + home, CodeID: code.ID, Now: w.now})
	})
	equal(t, countErrors(errs), map[string]int{"": 1, storage.ErrRefused.Error(): 99})
}

// testKeptAnswers tests that an answer is kept until it ends. Until then another answer with
// the same ID is refused.
func testKeptAnswers(t *testing.T, w *fixture) {
	answer := storage.KeptAnswer{
		ID: "a", Request: []byte{0, 1}, Answer: storage.Sealed{KeyID: "k", Data: []byte{0, 255}}, CreatedAt: w.now, ExpiresAt: w.now.Add(time.Minute),
	}
	_, err := w.store.KeptAnswer(w.ctx, "a", w.now)
	wantErr(t, err, storage.ErrNotFound)
	check(t, w.store.KeepAnswer(w.ctx, answer))
	equal(t, must(w.store.KeptAnswer(w.ctx, "a", w.now))(t), answer)
	other := answer
	other.Request, other.CreatedAt, other.ExpiresAt = []byte{2}, w.now.Add(time.Minute-time.Second), w.now.Add(2*time.Minute)
	wantErr(t, w.store.KeepAnswer(w.ctx, other), storage.ErrConflict)
	_, err = w.store.KeptAnswer(w.ctx, "a", answer.ExpiresAt)
	wantErr(t, err, storage.ErrNotFound)
	other.CreatedAt = answer.ExpiresAt
	check(t, w.store.KeepAnswer(w.ctx, other))
	equal(t, must(w.store.KeptAnswer(w.ctx, "a", answer.ExpiresAt))(t), other)
	check(t, w.store.CloseAnswer(w.ctx, "b"))
	equal(t, must(w.store.KeptAnswer(w.ctx, "a", answer.ExpiresAt))(t).Request, []byte{2})
	check(t, w.store.CloseAnswer(w.ctx, "a"))
	equal(t, len(must(w.store.KeptAnswer(w.ctx, "a", answer.ExpiresAt))(t).Request), 0)
	wantErr(t, w.store.KeepAnswer(w.ctx, other), storage.ErrConflict)
	equal(t, must(w.store.Sweep(w.ctx, other.ExpiresAt, 100))(t), 0)
	equal(t, must(w.store.Sweep(w.ctx, other.ExpiresAt.Add(time.Second), 100))(t), 1)
}

// raceKeptAnswers stores many answers with the same ID at the same time. Exactly one must be
// kept.
func raceKeptAnswers(t *testing.T, w *fixture) {
	replica := w.replicas()
	errs := concurrently(50, func(i int) error {
		return replica(i).KeepAnswer(w.ctx, storage.KeptAnswer{ID: "a", CreatedAt: w.now, ExpiresAt: w.now.Add(time.Minute)})
	})
	equal(t, countErrors(errs), map[string]int{"": 1, storage.ErrConflict.Error(): 49})
}
