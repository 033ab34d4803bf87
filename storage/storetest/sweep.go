package storetest

import (
	"fmt"
	"testing"
	"time"

	"latchkey/storage"
)

func testSweep(t *testing.T, fresh func(*testing.T) Database) {
	cases{
		"ended records are swept":                  testSwept,
		"live records are kept":                    testKept,
		"a sweep is bounded":                       testSweepBounded,
		"old failures of unknown logins are swept": testSweptUnknownLogins,
	}.run(t, fresh)
}

func testSwept(t *testing.T, w *fixture) {
	w.code("r1")
	w.claim(w.now)
	check(t, w.store.FinishAttempt(w.ctx, storage.Attempt{
		MessageID: "msg-r1", Number: 1, State: storage.MessageDelivered, Now: w.now,
	}))
	w.begin("revoked")
	check(t, w.store.RevokeFamily(w.ctx, "revoked", w.now))
	w.begin("expired")
	check(t, w.store.RevokeToken(w.ctx, "j", w.now.Add(time.Hour)))

	soon := w.now.Add(59 * time.Minute)
	equal(t, must(w.store.Sweep(w.ctx, soon, 100))(t), 0)
	// The message and its attempt, the revoked family and the revoked token; then the
	// request and its code; then the other family.
	equal(t, must(w.store.Sweep(w.ctx, w.now.Add(day+time.Second), 100))(t), 4)
	equal(t, must(w.store.Sweep(w.ctx, w.now.Add(day+time.Hour), 100))(t), 2)
	equal(t, must(w.store.Sweep(w.ctx, w.now.Add(31*day+time.Second), 100))(t), 1)
	for _, id := range []string{"revoked", "expired"} {
		fails(w.store.Family(w.ctx, id))(t, storage.ErrNotFound)
	}
	fails(w.store.Message(w.ctx, "msg-r1"))(t, storage.ErrNotFound)
	if must(w.store.TokenStatus(w.ctx, storage.TokenRef{JTI: "j"}))(t).Revoked {
		t.Error("the revocation of an expired token was not swept")
	}
}

func testKept(t *testing.T, w *fixture) {
	w.code("r1") // with a queued message
	w.begin("live")
	check(t, w.store.RevokeToken(w.ctx, "j", w.now.Add(40*day)))
	w.request("r2")
	equal(t, must(w.store.Sweep(w.ctx, w.now, 100))(t), 0)
	must(w.store.Sweep(w.ctx, w.now.Add(29*day), 100))(t)
	must(w.store.Message(w.ctx, "msg-r1"))(t)
	must(w.store.Family(w.ctx, "live"))(t)
	if !must(w.store.TokenStatus(w.ctx, storage.TokenRef{JTI: "j"}))(t).Revoked {
		t.Error("the revocation of a live token was swept")
	}
	w.principal()
}

func testSweepBounded(t *testing.T, w *fixture) {
	for i := range 7 {
		w.request(fmt.Sprint("r", i))
		check(t, w.store.RevokeToken(w.ctx, fmt.Sprint("j", i), w.now))
	}
	later := w.now.Add(3 * day)
	for _, want := range []int{5, 5, 4, 0} {
		equal(t, must(w.store.Sweep(w.ctx, later, 5))(t), want)
	}
}

func testSweptUnknownLogins(t *testing.T, w *fixture) {
	fail := func(name string, l storage.Lockout) func() bool {
		key := storage.LoginKey{ProfileID: "default", UsernameKey: name}
		check(t, w.store.RecordFailure(w.ctx, must(w.store.Principal(w.ctx, key))(t), l, nil))
		return func() bool { return must(w.store.Principal(w.ctx, key))(t).Lockout.Failures != 0 }
	}
	quiet := fail("quiet", storage.Lockout{Failures: 1, LastFailureAt: w.now.Add(-48*time.Hour - time.Second)})
	recent := fail("recent", storage.Lockout{Failures: 1, LastFailureAt: w.now.Add(-47 * time.Hour)})
	locked := fail("locked", storage.Lockout{
		Failures: 1, LastFailureAt: w.now.Add(-90 * day), LockedUntil: w.now.Add(time.Second),
	})
	equal(t, must(w.store.Sweep(w.ctx, w.now, 100))(t), 1)
	if quiet() || !recent() || !locked() {
		t.Fatalf("kept: quiet %v, recent %v, locked %v", quiet(), recent(), locked())
	}
}
