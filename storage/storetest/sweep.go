package storetest

import (
	"fmt"
	"testing"
	"time"

	"latchkey/storage"
)

func testSweep(t *testing.T, s suite) {
	s.run(t, cases{
		"ended records are swept":                  testSwept,
		"live records are kept":                    testKept,
		"a sweep is bounded for each table":        testSweepBounded,
		"no table waits for another":               testSweepFair,
		"attempts end with their message":          testSweptAttempts,
		"overdue rows are reported":                testOverdue,
		"old failures of unknown logins are swept": testSweptUnknownLogins,
	})
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
	// The message with its attempt, the revoked family and the revoked token end first. Then
	// the request with its code ends, then the other family.
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
	for _, want := range []int{10, 4, 0} {
		equal(t, must(w.store.Sweep(w.ctx, later, 5))(t), want)
	}
}

// testSweepFair sweeps in batches that the first tables fill.
func testSweepFair(t *testing.T, w *fixture) {
	for i := range 40 {
		w.request(fmt.Sprint("r", i))
	}
	for i := range 10 {
		check(t, w.store.SpendID(w.ctx, []byte{byte(i)}, w.now))
	}
	later := w.now.Add(3 * day)
	for range 5 {
		equal(t, must(w.store.Sweep(w.ctx, later, 2))(t), 4)
	}
	for i := range 10 {
		equal(t, must(w.store.IsSpent(w.ctx, []byte{byte(i)}))(t), false)
	}
}

func testSweptAttempts(t *testing.T, w *fixture) {
	w.code("r1")
	w.claim(w.now)
	check(t, w.store.FinishAttempt(w.ctx, storage.Attempt{
		MessageID: "msg-r1", Number: 1, State: storage.MessageQueued, RunAt: w.now.Add(2 * time.Minute), Now: w.now,
	}))
	attempts := func() int { return must(w.store.ListDeliveries(w.ctx, "", storage.Query{Limit: 10}))(t).Total }
	must(w.store.Sweep(w.ctx, w.now.Add(9*day), 100))(t) // the request and its code
	equal(t, attempts(), 1)                              // the attempt of a message that waits
	w.claim(w.now.Add(2 * time.Minute))
	check(t, w.store.FinishAttempt(w.ctx, storage.Attempt{
		MessageID: "msg-r1", Number: 2, State: storage.MessageDelivered, Now: w.now.Add(3 * time.Minute),
	}))
	equal(t, must(w.store.Sweep(w.ctx, w.now.Add(day+2*time.Minute), 100))(t), 0)
	equal(t, attempts(), 2)
	// The message is deleted before its second attempt.
	for _, want := range []int{2, 1, 0} {
		equal(t, must(w.store.Sweep(w.ctx, w.now.Add(day+4*time.Minute), 1))(t), want)
	}
}

func testOverdue(t *testing.T, w *fixture) {
	overdue := func(at time.Time, table string) time.Duration {
		t.Helper()
		return must(w.store.Overdue(w.ctx, at))(t)[table]
	}
	expires := w.request("r1").ExpiresAt
	check(t, w.store.SpendID(w.ctx, []byte{1}, w.now))
	w.begin("f1")
	check(t, w.store.RevokeFamily(w.ctx, "f1", w.now))
	check(t, w.store.AddAuditEvents(w.ctx, []storage.AuditEvent{{Time: w.now, Action: "a"}}))
	for table, due := range map[string]time.Time{
		"code_requests": expires.Add(day),
		"spent_ids":     w.now,
		"families":      w.now.Add(day),
		"audit_events":  w.now.Add(90 * day),
		"messages":      w.now.Add(1000 * day),
	} {
		equal(t, overdue(due.Add(-time.Minute), table), 0)
		equal(t, overdue(due, table), 0)
		if table != "messages" {
			equal(t, overdue(due.Add(3*time.Second), table), 3*time.Second)
		}
	}
	must(w.store.Sweep(w.ctx, w.now.Add(100*day), 100))(t)
	for table, since := range must(w.store.Overdue(w.ctx, w.now.Add(100*day)))(t) {
		if since != 0 {
			t.Errorf("rows of %s are overdue for %s after a sweep", table, since)
		}
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
		t.Fatalf("got kept: quiet %v, recent %v, locked %v; want false, true, true", quiet(), recent(), locked())
	}
}
