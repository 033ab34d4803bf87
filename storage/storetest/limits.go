package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"latchkey/storage"
)

func testLimits(t *testing.T, s suite) {
	s.run(t, cases{
		"a burst passes, then one after each gap":    testBurst,
		"a refused request charges nothing":          testRefusalIsFree,
		"the budget that recovers last is named":     testWorstBudget,
		"another limit applies from the next charge": testLimitChanges,
		"a request needs room in both limits":        testLongLimit,
		"requests may be charged out of order":       testSlack,
		"full budgets are swept":                     testSweptLimits,
	})
	s.runRepeating(t, cases{
		"a burst is exact for any number of callers":   raceLimit,
		"one of many requests is the last one allowed": raceLastPlace,
		"callers with several budgets do not deadlock": raceBudgets,
	})
}

// budget returns a charge to a budget of five requests, and one more every two minutes.
func budget(key string) storage.Charge {
	return storage.Charge{Budget: "of " + key, Key: key, Gap: 2 * time.Minute, Burst: 5}
}

// ask stores a request with charges at the time at.
func (w *fixture) ask(s Store, id string, at time.Time, charges ...storage.Charge) error {
	return s.AddCodeRequest(w.ctx, storage.CodeRequest{ID: id, CreatedAt: at, ExpiresAt: at.Add(10 * time.Minute)}, charges...)
}

// limited returns the LimitError in err, nil if err is nil.
func limited(t *testing.T, err error) *storage.LimitError {
	t.Helper()
	if err == nil {
		return nil
	}
	var limit *storage.LimitError
	if !errors.As(err, &limit) {
		t.Fatalf("got error %v, want a LimitError", err)
	}
	return limit
}

// requests returns the number of stored requests.
func (w *fixture) requests(at time.Time) int {
	w.t.Helper()
	return len(must(w.store.ClaimCodeRequests(w.ctx, at, at.Add(time.Second), 10_000))(w.t))
}

func testBurst(t *testing.T, w *fixture) {
	for i := range 5 {
		check(t, w.ask(w.store, fmt.Sprint("r", i), w.now, budget("bob")))
	}
	refused := limited(t, w.ask(w.store, "r5", w.now, budget("bob")))
	equal(t, *refused, storage.LimitError{Budget: "of bob", Until: w.now.Add(2 * time.Minute)})
	again := refused.Until
	limited(t, w.ask(w.store, "r5", again.Add(-time.Microsecond), budget("bob")))
	equal(t, w.requests(w.now), 5)
	check(t, w.ask(w.store, "r5", again, budget("bob")))
	equal(t, limited(t, w.ask(w.store, "r6", again, budget("bob"))).Until, again.Add(2*time.Minute))
	check(t, w.ask(w.store, "r6", again, budget("eve")))
	check(t, w.ask(w.store, "r7", again))

	quiet := again.Add(day) // a budget never allows more than its burst
	for i := range 5 {
		check(t, w.ask(w.store, fmt.Sprint("q", i), quiet, budget("bob")))
	}
	if limited(t, w.ask(w.store, "q5", quiet, budget("bob"))) == nil {
		t.Error("a sixth request was accepted")
	}
}

func testRefusalIsFree(t *testing.T, w *fixture) {
	for i := range 5 {
		check(t, w.ask(w.store, fmt.Sprint("a", i), w.now, budget("bob")))
	}
	for i := range 20 {
		refused := limited(t, w.ask(w.store, fmt.Sprint("b", i), w.now, budget("shop"), budget("bob"), budget("here")))
		equal(t, refused.Budget, "of bob")
	}
	for i := range 5 {
		check(t, w.ask(w.store, fmt.Sprint("c", i), w.now, budget("shop"), budget("here")))
	}
	equal(t, limited(t, w.ask(w.store, "d", w.now, budget("shop"))).Budget, "of shop")
}

func testWorstBudget(t *testing.T, w *fixture) {
	slow := storage.Charge{Budget: "slow", Key: "slow", Gap: time.Hour, Burst: 1}
	quick := storage.Charge{Budget: "quick", Key: "quick", Gap: time.Minute, Burst: 1}
	check(t, w.ask(w.store, "r0", w.now, quick, slow))
	want := storage.LimitError{Budget: "slow", Until: w.now.Add(time.Hour)}
	equal(t, *limited(t, w.ask(w.store, "r1", w.now, quick, slow)), want)
	equal(t, *limited(t, w.ask(w.store, "r1", w.now, slow, quick)), want)
}

func testLimitChanges(t *testing.T, w *fixture) {
	wide, tight := budget("bob"), budget("bob")
	tight.Burst = 2
	for i := range 3 {
		check(t, w.ask(w.store, fmt.Sprint("r", i), w.now, wide))
	}
	equal(t, limited(t, w.ask(w.store, "r3", w.now, tight)).Until, w.now.Add(4*time.Minute))
	check(t, w.ask(w.store, "r3", w.now, wide))
}

func testLongLimit(t *testing.T, w *fixture) {
	both := budget("bob")
	both.LongGap, both.LongBurst = time.Hour, 7
	at, passed := w.now, 0
	for i := range 12 { // the first five at once, then one every two minutes until the long limit is used up
		if i >= 5 {
			at = at.Add(2 * time.Minute)
		}
		refused := limited(t, w.ask(w.store, fmt.Sprint("r", i), at, both))
		if refused == nil {
			passed++
			continue
		}
		equal(t, *refused, storage.LimitError{Budget: "of bob", Until: w.now.Add(time.Hour)})
	}
	equal(t, passed, 7)
	check(t, w.ask(w.store, "later", w.now.Add(time.Hour), both))
	short := budget("bob")
	check(t, w.ask(w.store, "without", w.now.Add(time.Hour), short))

	check(t, w.ask(w.store, "eve", w.now, storage.Charge{Key: "eve", Gap: time.Minute, Burst: 1, LongGap: 9 * time.Hour, LongBurst: 1}))
	w.now = w.now.Truncate(time.Hour)
	check(t, swept(w, w.now.Add(8*time.Hour)))
	if limited(t, w.ask(w.store, "eve again", w.now.Add(8*time.Hour), storage.Charge{Key: "eve", Gap: time.Minute, Burst: 1, LongGap: 9 * time.Hour, LongBurst: 1})) == nil {
		t.Error("the sweep deleted a long limit that was in use")
	}
}

func testSlack(t *testing.T, w *fixture) {
	slack := budget("bob")
	slack.Slack = time.Minute
	for i := range 5 { // each request is older than the one charged before it
		check(t, w.store.Charge(w.ctx, w.now.Add(-time.Duration(i)*10*time.Second), slack))
	}
	wantLimit(t, w.store.Charge(w.ctx, w.now.Add(59*time.Second), slack))
	check(t, w.store.Charge(w.ctx, w.now.Add(time.Minute), slack)) // half a gap early
	wantLimit(t, w.store.Charge(w.ctx, w.now.Add(2*time.Minute), slack))
	check(t, w.store.Charge(w.ctx, w.now.Add(3*time.Minute), slack))
}

func wantLimit(t *testing.T, err error) {
	t.Helper()
	if limited(t, err) == nil {
		t.Error("the charge passed, want a LimitError")
	}
}

// swept runs Sweep at the time at.
func swept(w *fixture, at time.Time) error {
	_, err := w.store.Sweep(w.ctx, at, 1000)
	return err
}

func testSweptLimits(t *testing.T, w *fixture) {
	w.now = w.now.Truncate(time.Hour)
	check(t, w.ask(w.store, "r0", w.now, budget("bob")))
	check(t, w.ask(w.store, "r1", w.now, storage.Charge{Key: "slow", Gap: 5 * time.Hour, Burst: 1}))
	equal(t, must(w.store.Sweep(w.ctx, w.now.Add(59*time.Minute), 100))(t), 0)
	equal(t, must(w.store.Sweep(w.ctx, w.now.Add(time.Hour), 100))(t), 1)
	limited(t, w.ask(w.store, "r2", w.now.Add(time.Hour), storage.Charge{Key: "slow", Gap: 5 * time.Hour, Burst: 1}))
	equal(t, must(w.store.Sweep(w.ctx, w.now.Add(5*time.Hour), 100))(t), 1)
}

func raceLimit(t *testing.T, w *fixture) {
	replica := w.replicas()
	errs := concurrently(300, func(i int) error {
		return w.ask(replica(i), fmt.Sprint("r", i), w.now, budget("bob"), storage.Charge{Key: "wide", Gap: 1000, Burst: 1000})
	})
	passed := 0
	for _, err := range errs {
		if limited(t, err) == nil {
			passed++
		}
	}
	equal(t, passed, 5)
	equal(t, w.requests(w.now), 5)
}

// raceLastPlace runs concurrent charges to a budget that allows one more request.
func raceLastPlace(t *testing.T, w *fixture) {
	replica := w.replicas()
	for round := range 150 {
		one := storage.Charge{Budget: "one", Key: fmt.Sprint("k", round), Gap: time.Hour, Burst: 1}
		passed := 0
		for _, err := range concurrently(8, func(i int) error { return w.ask(replica(i), fmt.Sprintf("r-%d-%d", round, i), w.now, one) }) {
			if limited(t, err) == nil {
				passed++
			}
		}
		if passed != 1 {
			t.Fatalf("got %d accepted charges in round %d, want 1", passed, round)
		}
	}
}

// raceBudgets runs concurrent charges to several budgets in the same order.
func raceBudgets(t *testing.T, w *fixture) {
	replica := w.replicas()
	wide := func(key string) storage.Charge {
		return storage.Charge{Budget: key, Key: key, Gap: time.Microsecond, Burst: 1000}
	}
	errs := concurrently(200, func(i int) error {
		return w.ask(replica(i), fmt.Sprint("r", i), w.now, wide(fmt.Sprint("1-", i%3)), wide("2"), wide(fmt.Sprint("3-", i%5)))
	})
	equal(t, countErrors(errs), map[string]int{"": 200})
	equal(t, w.requests(w.now), 200)
}
