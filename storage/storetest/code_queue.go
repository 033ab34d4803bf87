package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey/storage"
)

// askFrom stores a request from a source and client at the time at.
func (w *fixture) askFrom(id, source, clientID string, at time.Time) {
	w.t.Helper()
	check(w.t, w.store.AddCodeRequest(w.ctx, storage.CodeRequest{
		ID: id, Source: source, ClientID: clientID, CreatedAt: at, ExpiresAt: at.Add(day),
	}))
}

// claimed claims requests and returns their IDs in order.
func (w *fixture) claimed(at time.Time, limit int) []string {
	w.t.Helper()
	var ids []string
	for _, r := range must(w.store.ClaimCodeRequests(w.ctx, at, at.Add(time.Minute), limit))(w.t) {
		ids = append(ids, r.ID)
	}
	return ids
}

func testClaimTurns(t *testing.T, w *fixture) {
	for i := range 50 {
		w.askFrom(fmt.Sprintf("a%02d", i), "198.51.100.1", "web", w.now.Add(time.Duration(i)*time.Second))
	}
	later := w.now.Add(time.Hour)
	w.askFrom("b0", "198.51.100.2", "web", later)
	w.askFrom("c0", "198.51.100.1", "other", later.Add(time.Second))
	w.askFrom("b1", "198.51.100.2", "web", later.Add(2*time.Second))
	equal(t, w.claimed(later, 4), []string{"a00", "b0", "c0", "a01"})
	equal(t, w.claimed(later, 4), []string{"a02", "b1", "a03", "a04"})
}

// raceTurns runs concurrent claims of requests from two sources. Each request must be
// claimed once, and the requests of the smaller backlog must not come last.
func raceTurns(t *testing.T, w *fixture) {
	for i := range 200 {
		w.askFrom(fmt.Sprintf("a%03d", i), "198.51.100.1", "web", w.now)
	}
	for i := range 20 {
		w.askFrom(fmt.Sprintf("b%03d", i), "198.51.100.2", "web", w.now.Add(time.Minute))
	}
	replica := w.replicas()
	claims := make([][]string, 40)
	at := w.now.Add(time.Minute)
	errs := concurrently(len(claims), func(i int) error {
		requests, err := replica(i).ClaimCodeRequests(w.ctx, at, at.Add(time.Minute), 5)
		for _, r := range requests {
			claims[i] = append(claims[i], r.ID)
		}
		return err
	})
	equal(t, countErrors(errs), map[string]int{"": len(claims)})
	all := slices.Concat(claims...)
	slices.Sort(all)
	if unique := slices.Compact(slices.Clone(all)); len(unique) != len(all) {
		t.Fatalf("got %d claims of %d requests, want the same", len(all), len(unique))
	}
	for range 3 { // concurrent callers may have skipped requests that others had locked
		all = append(all, w.claimed(at, 20)...)
	}
	small := slices.DeleteFunc(all, func(id string) bool { return !strings.HasPrefix(id, "b") })
	equal(t, len(small), 20)
}

func testEndUnknown(t *testing.T, w *fixture) {
	w.addUser("eve", "eve@example.com")
	names := []storage.RequestNames{
		{ID: "bob", UsernameKey: "bob"},
		{ID: "bob elsewhere", UsernameKey: "bob", ProfileID: "elsewhere"},
		{ID: "nobody", UsernameKey: "nobody"},
		{ID: "mail of bob", EmailKey: "bob@example.com"},
		{ID: "mail of nobody", EmailKey: "nobody@example.com"},
		{ID: "mail elsewhere", EmailKey: "bob@example.com", ProfileID: "elsewhere"},
		{ID: "nobody, mail of bob", UsernameKey: "nobody", EmailKey: "bob@example.com"},
		{ID: "bob, mail of nobody", UsernameKey: "bob", EmailKey: "nobody@example.com"},
		{ID: "none"},
	}
	for i := range names {
		if names[i].ProfileID == "" {
			names[i].ProfileID = w.login.ProfileID
		}
		w.askFrom(names[i].ID, "192.0.2.1", "web", w.now)
	}
	ended := must(w.store.EndUnknownRequests(w.ctx, names))(t)
	slices.Sort(ended)
	equal(t, ended, []string{"bob elsewhere", "mail elsewhere", "mail of nobody", "nobody", "nobody, mail of bob", "none"})
	equal(t, must(w.store.EndUnknownRequests(w.ctx, names))(t), nil)
	left := w.claimed(w.now, 100)
	slices.Sort(left)
	equal(t, left, []string{"bob", "bob, mail of nobody", "mail of bob"})
	must(w.store.IssueCodes(w.ctx, storage.Issuance{RequestID: "bob", Now: w.now}))(t)
	again := []storage.RequestNames{{ID: "bob", ProfileID: w.login.ProfileID, UsernameKey: "nobody"}}
	equal(t, must(w.store.EndUnknownRequests(w.ctx, again))(t), nil) // it ended before
}

func testWaiting(t *testing.T, w *fixture) {
	equal(t, len(must(w.store.WaitingRequests(w.ctx, w.now, w.now))(t)), 0)
	w.askFrom("a0", "192.0.2.1", "web", w.now)
	w.askFrom("a1", "192.0.2.1", "web", w.now.Add(time.Second))
	w.askFrom("b0", "192.0.2.2", "", w.now.Add(time.Second))
	waiting := must(w.store.WaitingRequests(w.ctx, w.now.Add(time.Minute), w.now))(t)
	slices.SortFunc(waiting, func(a, b storage.WaitingRequests) int { return strings.Compare(a.Source, b.Source) })
	equal(t, waiting, []storage.WaitingRequests{
		{Source: "192.0.2.1", ClientID: "web", Count: 2, New: 1, Since: w.now},
		{Source: "192.0.2.2", Count: 1, New: 1, Since: w.now.Add(time.Second)},
	})
	over := w.now.Add(time.Hour)
	equal(t, len(must(w.store.ClaimCodeRequests(w.ctx, w.now.Add(time.Minute), over, 2))(t)), 2)
	equal(t, len(must(w.store.WaitingRequests(w.ctx, over.Add(-time.Second), over))(t)), 1)
	for _, x := range must(w.store.WaitingRequests(w.ctx, over, w.now))(t) { // the lease has ended
		if x.Source == "192.0.2.2" {
			equal(t, x.Since, over)
		}
	}
}

// charged returns an issuance that charges bob's login and a mailbox.
func (w *fixture) charged(requestID string, mailbox storage.Charge) storage.Issuance {
	x := w.issuance(requestID)
	x.Charges, x.ChargedAt = map[string][]storage.Charge{w.login.ID: {mailbox, budget("login")}}, w.now
	return x
}

func testIssueLimited(t *testing.T, w *fixture) {
	one := storage.Charge{Budget: "mailbox", Key: "mailbox", Gap: time.Hour, Burst: 1}
	w.request("r1")
	equal(t, must(w.store.IssueCodes(w.ctx, w.charged("r1", one)))(t).Limited, storage.Limited{})
	code := w.principal().Login.Code
	w.request("r2")
	limit := must(w.store.IssueCodes(w.ctx, w.charged("r2", one)))(t).Limited
	equal(t, limit, storage.Limited{w.login.ID: {Budget: "mailbox", Until: w.now.Add(time.Hour)}})
	equal(t, w.principal().Login.Code, code) // the older code stays
	fails(w.store.Message(w.ctx, "msg-r2"))(t, storage.ErrNotFound)
	fails(w.store.IssueCodes(w.ctx, w.charged("r2", one)))(t, storage.ErrStale) // the request has ended
	for i := range 4 {                                                          // the refused request did not charge the login's budget
		check(t, w.ask(w.store, fmt.Sprint("l", i), w.now, budget("login")))
	}
	if limited(t, w.ask(w.store, "l4", w.now, budget("login"))) == nil {
		t.Error("the login's budget was not charged")
	}
}

func testPostponed(t *testing.T, w *fixture) {
	one := storage.Charge{Budget: "mailbox", Key: "mailbox", Gap: 5 * time.Minute, Burst: 1}
	check(t, w.ask(w.store, "other", w.now, one))
	must(w.store.IssueCodes(w.ctx, storage.Issuance{RequestID: "other", Now: w.now}))(t)
	w.request("r1") // valid for ten minutes
	x := w.charged("r1", one)
	x.Postpone = true
	equal(t, len(must(w.store.IssueCodes(w.ctx, x))(t).Limited), 1)
	until := w.now.Add(5 * time.Minute)
	equal(t, w.claimed(until.Add(-time.Microsecond), 5), nil)
	equal(t, w.claimed(until, 5), []string{"r1"})

	slow := storage.Charge{Budget: "slow", Key: "slow", Gap: time.Hour, Burst: 1}
	check(t, w.ask(w.store, "another", w.now, slow))
	must(w.store.IssueCodes(w.ctx, storage.Issuance{RequestID: "another", Now: w.now}))(t)
	w.request("r2")
	x = w.charged("r2", slow)
	x.Postpone = true
	must(w.store.IssueCodes(w.ctx, x))(t)
	equal(t, w.claimed(w.now.Add(2*time.Hour), 5), []string{"r1"}) // r2 has expired
}

// raceMailbox resolves concurrent requests for logins that share a mailbox.
func raceMailbox(t *testing.T, w *fixture) {
	replica := w.replicas()
	const requests = 100
	for i := range requests {
		w.request(fmt.Sprint("r", i))
	}
	results := make([]storage.IssueResult, requests)
	errs := concurrently(requests, func(i int) (err error) {
		x := w.charged(fmt.Sprint("r", i), budget("mailbox"))
		// Messages without codes: of codes, those of older requests would be superseded.
		x.Notices, x.Codes = []storage.IssuedNotice{{LoginID: w.login.ID, Messages: x.Codes[0].Messages}}, nil
		results[i], err = replica(i).IssueCodes(w.ctx, x)
		return err
	})
	equal(t, countErrors(errs), map[string]int{"": requests})
	issued := slices.DeleteFunc(results, func(r storage.IssueResult) bool { return len(r.Limited) > 0 })
	equal(t, len(issued), 5)
	equal(t, len(must(w.store.ClaimMessages(w.ctx, w.now, w.now.Add(time.Minute), requests))(t)), 5)
}
