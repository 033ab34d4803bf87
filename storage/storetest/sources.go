package storetest

import (
	"testing"
	"time"

	"latchkey/storage"
)

// testSources tests the known sources of a login, and which lock applies to which
// source.
func testSources(t *testing.T, s suite) {
	s.run(t, cases{
		"an address is known after a sign-in from it":            testRemember,
		"a known address keeps its ID":                           testRememberAgain,
		"the source that was not used longest is replaced":       testEvict,
		"a refused settlement remembers nothing":                 testRememberRefused,
		"a resumed sign-in remembers nothing":                    testRememberResumed,
		"failures from a known source count there too":           testSourceFailure,
		"failures from unknown sources do not change known ones": testUnknownSourceFailure,
		"guesses from unknown sources do not lock known ones":    testKnownPasses,
		"the lock of a source applies to that source only":       testSourceLocked,
		"guesses at passwords do not lock codes":                 testCodePasses,
		"guesses at codes do not lock passwords":                 testCodesLocked,
		"a success clears what is not locked":                    testSuccessClears,
		"a success makes a source's failures stale":              testSourceStale,
		"a source of another login is unknown":                   testForeignSource,
		"a session has the lock of its source":                   testSessionSource,
		"recipients are read with a source that is not locked":   testMailSource,
		"the known sources of a login are listed":                testListSources,
		"an unlock clears every counter":                         testUnlockSources,
		"a password reset clears every counter":                  testRenewSources,
		"a password reset has the lock of its source":            testRenewFromSource,
		"sources are deleted with their login":                   testDeleteSources,
		"sources that are not used for 90 days are swept":        testSweptSources,
		"a notice is stored with the failure that is counted":    testNotice,
		"a notice for an unknown login is handled alike":         testUnknownLoginNotice,
		"a spent ID stays spent":                                 testSpend,
		"an answer is kept until it ends":                        testKeptAnswers,
	})
	s.runRepeating(t, cases{
		"there are never too many sources":             raceRemember,
		"an address becomes known once":                raceRememberOne,
		"the lock of a source that came first refuses": raceSourceLock,
		"no failure from a source is lost":             raceSourceFailures,
		"valid sign-ins from one source all pass":      raceSourceLogins,
		"a code is redeemed once from a source":        raceSourceRedeem,
		"an ID is spent once":                          raceSpend,
		"one answer is kept":                           raceKeptAnswers,
	})
}

const home, away = "203.0.113.7", "198.51.100.9"

// from returns bob's principal for an attempt from the address.
func (w *fixture) from(address string) storage.Principal {
	w.t.Helper()
	key := w.key()
	key.Source = address
	return must(w.store.Principal(w.ctx, key))(w.t)
}

func source(address string, seen time.Time) storage.Source {
	return storage.Source{ID: "src_" + address, Address: address, SeenAt: seen}
}

// settled returns the settlement of a sign-in with bob's password. sourceID is the ID of
// the known source, empty for an unknown one.
func (w *fixture) settled(sourceID string) storage.Settlement {
	return storage.Settlement{LoginID: w.login.ID, SourceID: sourceID, PasswordSetAt: w.login.PasswordSetAt, Now: w.now}
}

// addSources adds addresses to the known sources of bob, in order.
func (w *fixture) addSources(addresses ...string) {
	w.t.Helper()
	for i, address := range addresses {
		x, s := w.settled(""), source(address, w.now.Add(time.Duration(i)*time.Second))
		x.Remember = &s
		check(w.t, w.store.SettleLogin(w.ctx, x))
	}
}

// ids returns the IDs of bob's known sources among the addresses.
func (w *fixture) ids(addresses ...string) (ids []string) {
	w.t.Helper()
	for _, address := range addresses {
		if p := w.from(address); p.Source.ID != "" {
			ids = append(ids, p.Source.ID)
		}
	}
	return ids
}

// failed records a failure from the address with the resulting lockout.
func (w *fixture) failed(address string, next storage.Lockout) {
	w.t.Helper()
	check(w.t, w.store.RecordFailure(w.ctx, w.from(address), next, nil))
}

func testRemember(t *testing.T, w *fixture) {
	equal(t, w.from(home).Source, storage.Source{})
	w.addSources(home)
	eve, _ := w.addUser("eve", "")
	got := w.from(home)
	equal(t, got.Source, source(home, w.now))
	equal(t, got.Key.Source, home)
	equal(t, got.Lockout.Source, storage.Counter{})
	for _, address := range []string{"", away, home + "0", "%", home + "\x00"} {
		equal(t, w.from(address).Source, storage.Source{})
	}
	for _, name := range []string{"eve", "nobody"} {
		key := storage.LoginKey{ProfileID: storage.DefaultProfileID, UsernameKey: name, Source: home}
		equal(t, must(w.store.Principal(w.ctx, key))(t).Source, storage.Source{})
	}
	equal(t, len(must(w.store.LoginsOfUser(w.ctx, eve.UID))(t)), 1)
}

func testRememberAgain(t *testing.T, w *fixture) {
	w.addSources(home)
	w.failed(home, storage.Lockout{Failures: 1, Source: storage.Counter{Failures: 1, LastFailureAt: w.now}})
	seen := w.from(home)
	for name, x := range map[string]storage.Settlement{"known": w.settled("src_" + home), "got known meanwhile": w.settled("")} {
		again := storage.Source{ID: "src_other", Address: home, SeenAt: w.now.Add(time.Hour)}
		if name == "known" {
			again.ID = "src_" + home
		}
		x.Remember = &again
		check(t, w.store.SettleLogin(w.ctx, x))
		want := storage.Source{ID: "src_" + home, Address: home, SeenAt: again.SeenAt}
		equal(t, w.from(home).Source, want)
		equal(t, w.from(home).Lockout.Source, storage.Counter{})
	}
	wantErr(t, w.store.RecordFailure(w.ctx, seen, seen.Lockout, nil), storage.ErrStale)
}

func testEvict(t *testing.T, w *fixture) {
	w.addSources("a", "b", "c", "d", "e")
	equal(t, len(w.ids("a", "b", "c", "d", "e")), storage.MaxSources)
	x, s := w.settled("src_a"), source("a", w.now.Add(time.Minute))
	x.Remember = &s // a known source replaces no other one
	check(t, w.store.SettleLogin(w.ctx, x))
	equal(t, len(w.ids("a", "b", "c", "d", "e")), storage.MaxSources)
	x, s = w.settled(""), source("f", w.now.Add(time.Minute))
	x.Remember = &s
	check(t, w.store.SettleLogin(w.ctx, x))
	equal(t, w.ids("a", "b", "c", "d", "e", "f"), []string{"src_a", "src_c", "src_d", "src_e", "src_f"})

	_, eve := w.addUser("eve", "")
	other := source("a", w.now)
	other.ID = "src_of_eve"
	check(t, w.store.SettleLogin(w.ctx, storage.Settlement{
		LoginID: eve.ID, PasswordSetAt: eve.PasswordSetAt, Remember: &other, Now: w.now,
	}))
	equal(t, len(w.ids("a", "c", "d", "e", "f")), storage.MaxSources)
}

func testRememberRefused(t *testing.T, w *fixture) {
	s := source(home, w.now)
	x := w.settled("")
	x.Remember, x.PasswordSetAt = &s, w.now.Add(time.Second)
	wantErr(t, w.store.SettleLogin(w.ctx, x), storage.ErrRefused)
	equal(t, w.from(home).Source, storage.Source{})
	w.lock(w.now.Add(time.Second))
	x.PasswordSetAt = w.login.PasswordSetAt
	wantErr(t, w.store.SettleLogin(w.ctx, x), storage.ErrRefused)
	x.LoginID = "nobody"
	wantErr(t, w.store.SettleLogin(w.ctx, x), storage.ErrRefused)
	equal(t, w.from(home).Source, storage.Source{})
}

func testRememberResumed(t *testing.T, w *fixture) {
	w.addSources(home)
	w.failed(home, storage.Lockout{Failures: 1, Source: storage.Counter{Failures: 1}})
	before := w.from(home)
	for _, address := range []string{home, away} {
		s := source(address, w.now.Add(time.Hour))
		x := w.settled("src_" + home)
		x.Resumed, x.Remember = true, &s
		check(t, w.store.SettleLogin(w.ctx, x))
	}
	equal(t, w.from(home), before)
	equal(t, w.from(away).Source, storage.Source{})
}

func testSourceFailure(t *testing.T, w *fixture) {
	w.addSources(home, away)
	seen := w.from(home)
	next := storage.Lockout{
		Failures: 3, LastFailureAt: w.now, LockedUntil: w.now.Add(time.Second),
		Codes:      storage.Counter{Failures: 2, LastFailureAt: w.now.Add(time.Second), LockedUntil: w.now.Add(time.Minute)},
		Source:     storage.Counter{Failures: 1, LastFailureAt: w.now.Add(time.Minute), LockedUntil: w.now.Add(time.Hour)},
		NotifiedAt: w.now.Add(day),
	}
	check(t, w.store.RecordFailure(w.ctx, seen, next, nil))
	stale := next
	stale.Source.Failures, stale.Codes.Failures = 9, 9
	wantErr(t, w.store.RecordFailure(w.ctx, seen, stale, nil), storage.ErrStale)
	next.Version = seen.Lockout.Version + 1
	got := w.from(home)
	equal(t, got.Lockout, next)
	equal(t, got.Source, source(home, w.now))
	next.Source = storage.Counter{}
	equal(t, w.from(away).Lockout, next)
	equal(t, w.principal().Lockout, next)
}

func testUnknownSourceFailure(t *testing.T, w *fixture) {
	w.addSources(home)
	counted := storage.Counter{Failures: 7, LastFailureAt: w.now}
	for _, address := range []string{away, ""} {
		w.failed(address, storage.Lockout{Failures: 1, Source: counted})
	}
	equal(t, w.from(away).Source, storage.Source{})
	equal(t, w.from(home).Lockout.Source, storage.Counter{})
	key := storage.LoginKey{ProfileID: storage.DefaultProfileID, UsernameKey: "nobody", Source: away}
	p := must(w.store.Principal(w.ctx, key))(t)
	p.Source.ID = "src_" + home // an unknown login has no sources
	check(t, w.store.RecordFailure(w.ctx, p, storage.Lockout{Failures: 1, Source: counted}, nil))
	equal(t, w.from(home).Lockout.Source, storage.Counter{})
}

func testKnownPasses(t *testing.T, w *fixture) {
	w.addSources(home)
	next := locked(w.now, w.now.Add(time.Hour))
	w.failed(away, next)
	wantErr(t, w.store.SettleLogin(w.ctx, w.settled("")), storage.ErrRefused)
	code := w.code("r1")
	stranger := storage.Settlement{LoginID: w.login.ID, CodeID: code.ID, Now: w.now}
	wantErr(t, w.store.SettleLogin(w.ctx, stranger), storage.ErrRefused)

	password := w.settled("src_" + home)
	f := w.family("fam")
	password.BeginFamily = &f
	before := w.from(away).Lockout
	check(t, w.store.SettleLogin(w.ctx, password))
	equal(t, w.from(away).Lockout, before) // the lock stays for unknown sources
	stranger.SourceID = "src_" + home
	check(t, w.store.SettleLogin(w.ctx, stranger))
	equal(t, w.from(away).Lockout, before)
	known, unknown := w.from(home), w.from(away)
	equal(t, []bool{known.Locked(w.now), unknown.Locked(w.now)}, []bool{false, true})
	must(w.store.Family(w.ctx, "fam"))(t)
}

func testSourceLocked(t *testing.T, w *fixture) {
	w.addSources(home, away)
	own := storage.Counter{Failures: 10, LastFailureAt: w.now, LockedUntil: w.now.Add(time.Second)}
	w.failed(home, storage.Lockout{Failures: 1, Source: own})
	code := w.code("r1")
	withCode := storage.Settlement{LoginID: w.login.ID, SourceID: "src_" + home, CodeID: code.ID, Now: w.now}
	before := w.from(home)
	for name, x := range map[string]storage.Settlement{"password": w.settled("src_" + home), "code": withCode} {
		f := w.family("refused-" + name)
		x.BeginFamily = &f
		wantErr(t, w.store.SettleLogin(w.ctx, x), storage.ErrRefused)
		fails(w.store.Family(w.ctx, f.ID))(t, storage.ErrNotFound)
	}
	equal(t, w.from(home), before)
	check(t, w.store.SettleLogin(w.ctx, w.settled("src_"+away)))
	check(t, w.store.SettleLogin(w.ctx, w.settled("")))
	equal(t, w.from(home).Lockout.Source, own)
	x := w.settled("src_" + home)
	x.Now = own.LockedUntil
	check(t, w.store.SettleLogin(w.ctx, x))
	equal(t, w.from(home).Lockout.Source, storage.Counter{})
}

func testCodePasses(t *testing.T, w *fixture) {
	code := w.code("r1")
	guesses := storage.Lockout{Failures: 10, LastFailureAt: w.now, LockedUntil: w.now.Add(time.Hour), Codes: storage.Counter{Failures: 3, LastFailureAt: w.now}}
	w.failed(away, guesses)
	wantErr(t, w.store.SettleLogin(w.ctx, w.settled("")), storage.ErrRefused)
	s := source(home, w.now)
	check(t, w.store.SettleLogin(w.ctx, storage.Settlement{LoginID: w.login.ID, CodeID: code.ID, Remember: &s, Now: w.now}))
	guesses.Codes, guesses.Version = storage.Counter{}, 2
	equal(t, w.from(away).Lockout, guesses)
	check(t, w.store.SettleLogin(w.ctx, w.settled(s.ID))) // the source is known
	wantErr(t, w.store.SettleLogin(w.ctx, w.settled("")), storage.ErrRefused)
}

func testCodesLocked(t *testing.T, w *fixture) {
	code := w.code("r1")
	guessed := storage.Counter{Failures: 10, LastFailureAt: w.now, LockedUntil: w.now.Add(time.Hour)}
	w.failed(away, storage.Lockout{Failures: 10, LastFailureAt: w.now, Codes: guessed})
	x := storage.Settlement{LoginID: w.login.ID, CodeID: code.ID, Now: w.now}
	wantErr(t, w.store.SettleLogin(w.ctx, x), storage.ErrRefused)
	check(t, w.store.SettleLogin(w.ctx, w.settled("")))
	equal(t, w.principal().Lockout, storage.Lockout{Codes: guessed, Version: 2})
	wantErr(t, w.store.SettleLogin(w.ctx, x), storage.ErrRefused)
}

// testSuccessClears settles a success for each counter with and without a lock.
func testSuccessClears(t *testing.T, w *fixture) {
	w.addSources(home)
	free := storage.Counter{Failures: 2, LastFailureAt: w.now, LockedUntil: w.now} // ends at this moment
	lock := storage.Counter{Failures: 10, LastFailureAt: w.now, LockedUntil: w.now.Add(time.Second)}
	for _, all := range []storage.Counter{free, lock} {
		for _, codes := range []storage.Counter{free, lock} {
			next := storage.Lockout{
				Failures: all.Failures, LastFailureAt: all.LastFailureAt, LockedUntil: all.LockedUntil,
				Codes: codes, Source: free, NotifiedAt: w.now,
			}
			w.failed(home, next)
			seen := w.from(home)
			check(t, w.store.SettleLogin(w.ctx, w.settled("src_"+home)))
			want := storage.Lockout{NotifiedAt: w.now, Version: seen.Lockout.Version + 1}
			if all == lock {
				want.Failures, want.LastFailureAt, want.LockedUntil = lock.Failures, lock.LastFailureAt, lock.LockedUntil
			}
			if codes == lock {
				want.Codes = lock
			}
			equal(t, w.from(home).Lockout, want)
			wantErr(t, w.store.RecordFailure(w.ctx, seen, next, nil), storage.ErrStale)
		}
	}
}

// testSourceStale checks a settlement that clears only the failures of the source.
func testSourceStale(t *testing.T, w *fixture) {
	w.addSources(home)
	next := locked(w.now, w.now.Add(time.Hour))
	next.Source = storage.Counter{Failures: 1, LastFailureAt: w.now}
	w.failed(home, next)
	seen := w.from(home)
	check(t, w.store.SettleLogin(w.ctx, w.settled("src_"+home)))
	next.Source.Failures = 2
	wantErr(t, w.store.RecordFailure(w.ctx, seen, next, nil), storage.ErrStale)
	equal(t, w.from(home).Lockout.Source, storage.Counter{})
}

// testForeignSource settles with a source of another login, and with a deleted one. Then
// the lock of the login counts.
func testForeignSource(t *testing.T, w *fixture) {
	_, eve := w.addUser("eve", "")
	hers := source(home, w.now)
	check(t, w.store.SettleLogin(w.ctx, storage.Settlement{LoginID: eve.ID, PasswordSetAt: eve.PasswordSetAt, Remember: &hers, Now: w.now}))
	for _, id := range []string{hers.ID, "src_gone"} {
		check(t, w.store.SettleLogin(w.ctx, w.settled(id)))
	}
	w.failed(away, locked(w.now, w.now.Add(time.Hour)))
	code := w.code("r1")
	for _, id := range []string{hers.ID, "src_gone"} {
		wantErr(t, w.store.SettleLogin(w.ctx, w.settled(id)), storage.ErrRefused)
		resumed := w.settled(id)
		resumed.Resumed = true
		wantErr(t, w.store.SettleLogin(w.ctx, resumed), storage.ErrRefused)
		x := storage.Settlement{LoginID: w.login.ID, SourceID: id, CodeID: code.ID, Now: w.now}
		wantErr(t, w.store.SettleLogin(w.ctx, x), storage.ErrRefused)
	}
	p := w.from(away)
	p.Source = hers // the counter of another login's source must not change
	check(t, w.store.RecordFailure(w.ctx, p, locked(w.now, w.now.Add(day)), nil))
	key := storage.LoginKey{ProfileID: storage.DefaultProfileID, UsernameKey: "eve", Source: home}
	equal(t, must(w.store.Principal(w.ctx, key))(t).Lockout.Source, storage.Counter{})
}

func testListSources(t *testing.T, w *fixture) {
	equal(t, len(must(w.store.Sources(w.ctx, w.login.ID))(t)), 0)
	w.addSources(home, away)
	counter := storage.Counter{Failures: 2, LastFailureAt: w.now, LockedUntil: w.now.Add(time.Hour)}
	w.failed(home, storage.Lockout{Failures: 2, LastFailureAt: w.now, Source: counter})
	equal(t, must(w.store.Sources(w.ctx, w.login.ID))(t), []storage.SourceState{
		{Source: source(away, w.now.Add(time.Second))}, {Source: source(home, w.now), Counter: counter},
	})
	equal(t, len(must(w.store.Sources(w.ctx, "lgn_other"))(t)), 0)
}
