package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"latchkey/storage"
)

func testCodes(t *testing.T, s suite) {
	s.run(t, cases{
		"a lease from the start":                           testLeasedFromTheStart,
		"a request is claimed as it was stored":            testClaimRequest,
		"claims are oldest first and bounded":              testClaimOrder,
		"claims alternate between sources and clients":     testClaimTurns,
		"requests for unknown users end in one statement":  testEndUnknown,
		"waiting requests are counted by source":           testWaiting,
		"a login with a used-up budget gets nothing":       testIssueLimited,
		"a postponed request waits for its budget":         testPostponed,
		"a lease is exclusive until it ends":               testLease,
		"ended requests are not claimed, expired ones are": testClaimEnded,
		"codes are issued once":                            testIssue,
		"a request resolved late replaces no newer code":   testSuperseded,
		"messages of replaced codes are not sent":          testWithdrawnMessages,
		"an issuance is all or nothing":                    testIssueRollsBack,
		"recipients are found by either key":               testRecipients,
		"a code is issued without a queue":                 testIssueUnqueued,
	})
	s.runRepeating(t, cases{
		"callers share a backlog of one source":       raceTurns,
		"a mailbox gets no more than its burst":       raceMailbox,
		"the newest of many concurrent requests wins": raceNewest,
	})
}

func testClaimRequest(t *testing.T, w *fixture) {
	r := w.request("r1")
	wantErr(t, w.store.AddCodeRequest(w.ctx, r), storage.ErrConflict)
	equal(t, must(w.store.ClaimCodeRequests(w.ctx, w.now, w.now.Add(time.Minute), 10))(t), []storage.CodeRequest{r})
}

// testIssueUnqueued checks that a code that is issued at once replaces the older one, and
// that nothing is left to resolve or to send.
func testIssueUnqueued(t *testing.T, w *fixture) {
	older := w.code("r1")
	check(t, w.store.RecordFailure(w.ctx, w.principal(), storage.Lockout{Failures: 2, LastFailureAt: w.now}, nil))
	code := older
	code.ID = "otc_2"
	check(t, w.store.IssueCode(w.ctx, w.login.ID, code))
	wantErr(t, w.store.SettleLogin(w.ctx, storage.Settlement{LoginID: w.login.ID, CodeID: older.ID, Now: w.now}), storage.ErrRefused)
	p := must(w.store.Recipient(w.ctx, w.key()))(t)
	equal(t, p.Login.Code.ID, "otc_2")
	equal(t, p.Lockout.Failures, 2)
	check(t, w.store.SettleLogin(w.ctx, storage.Settlement{LoginID: w.login.ID, CodeID: "otc_2", Now: w.now}))
	equal(t, len(must(w.store.ClaimCodeRequests(w.ctx, w.now, w.now.Add(time.Minute), 10))(t)), 0)
	equal(t, len(must(w.store.ClaimMessages(w.ctx, w.now, w.now.Add(time.Minute), 10))(t)), 0)

	code.ID = "otc_3"
	wantErr(t, w.store.IssueCode(w.ctx, "nobody", code), storage.ErrNotFound)
	nobody := storage.LoginKey{ProfileID: w.login.ProfileID, UsernameKey: "nobody"}
	equal(t, must(w.store.Recipient(w.ctx, nobody))(t), storage.Principal{Key: nobody})
}

func testClaimOrder(t *testing.T, w *fixture) {
	for i, id := range []string{"c", "a", "b"} {
		created := w.now.Add(time.Duration(i) * time.Second)
		check(t, w.store.AddCodeRequest(w.ctx, storage.CodeRequest{ID: id, CreatedAt: created, ExpiresAt: w.now.Add(day)}))
	}
	claim := func(limit int) (ids []string) {
		for _, r := range must(w.store.ClaimCodeRequests(w.ctx, w.now, w.now.Add(time.Minute), limit))(t) {
			ids = append(ids, r.ID)
		}
		return ids
	}
	equal(t, claim(2), []string{"c", "a"})
	equal(t, claim(2), []string{"b"})
	equal(t, claim(2), nil)
}

func testLease(t *testing.T, w *fixture) {
	w.request("r1")
	over := w.now.Add(30 * time.Second)
	claim := func(at time.Time) int {
		return len(must(w.store.ClaimCodeRequests(w.ctx, at, over, 10))(t))
	}
	equal(t, claim(w.now), 1)
	equal(t, claim(over.Add(-time.Microsecond)), 0)
	equal(t, claim(over), 1)
}

func testClaimEnded(t *testing.T, w *fixture) {
	w.code("ended")
	r := w.request("expired")
	claimed := must(w.store.ClaimCodeRequests(w.ctx, r.ExpiresAt, r.ExpiresAt.Add(day), 10))(t)
	equal(t, claimed, []storage.CodeRequest{r})
}

func testIssue(t *testing.T, w *fixture) {
	w.request("r1")
	x := w.issuance("r1")
	must(w.store.IssueCodes(w.ctx, x))(t)
	equal(t, w.principal().Login.Code, x.Codes[0].Code)
	equal(t, must(w.store.Message(w.ctx, "msg-r1"))(t), x.Codes[0].Messages[0])
	fails(w.store.IssueCodes(w.ctx, x))(t, storage.ErrStale)
	fails(w.store.IssueCodes(w.ctx, w.issuance("never-stored")))(t, storage.ErrStale)

	newer := w.code("r2")
	equal(t, w.principal().Login.Code, newer)

	w.request("r3") // resolved without a recipient
	must(w.store.IssueCodes(w.ctx, storage.Issuance{RequestID: "r3", Now: w.now}))(t)
	fails(w.store.IssueCodes(w.ctx, storage.Issuance{RequestID: "r3", Now: w.now}))(t, storage.ErrStale)
}

// testSuperseded resolves an older request after a newer one, because the replica that had
// claimed it was frozen or killed. The older request must have no effect, whether its code is a
// one-time password or a verification code, and whether the newer code has been used or has
// expired.
func testSuperseded(t *testing.T, w *fixture) {
	afterwards := map[string]func(){
		"live": func() {},
		"redeemed": func() {
			if code := w.principal().Login.Code; code.Live(w.now) {
				w.redeem(code.ID, w.now)
			}
		},
		"ended": func() { check(t, w.store.SetPassword(w.ctx, w.login.ID, "hash", w.now, true)) },
	}
	for name, end := range afterwards {
		older, newer := "older-"+name, "newer-"+name
		for _, kind := range []string{"otp-", "verification-"} {
			issuance := w.issuance
			if kind == "verification-" {
				issuance = w.verificationIssuance
			}
			w.request(kind + older)
			w.request(kind + newer)
			must(w.store.IssueCodes(w.ctx, issuance(kind+newer)))(t)
			end()
			code := w.principal().Login.Code
			late := issuance(kind + older)
			late.Charges, late.ChargedAt = map[string][]storage.Charge{w.login.ID: {budget(kind + name)}}, w.now
			result := must(w.store.IssueCodes(w.ctx, late))(t)
			equal(t, result.Superseded, map[string]bool{w.login.ID: true})
			equal(t, w.principal().Login.Code, code)
			got := w.timeline(kind + older)
			if !got.Superseded || got.ResolvedAt.IsZero() || len(got.Codes)+len(got.Messages) > 0 {
				t.Errorf("%s, the newer code is %s: got %+v, want it superseded", kind, name, got)
			}
			if w.timeline(kind + newer).Superseded {
				t.Errorf("%s, the newer code is %s: the newer request counts as superseded", kind, name)
			}
			for i := range 5 { // the superseded request charged nothing
				check(t, w.ask(w.store, fmt.Sprint(kind, name, i), w.now, budget(kind+name)))
			}
		}
	}
	next := w.code("next") // a request after all of them gets a code
	equal(t, w.principal().Login.Code, next)
}

// testWithdrawnMessages ends codes before their messages are sent, by a newer code or by a new
// password. No attempt may begin afterwards, and the message expires. If an attempt is already
// running, it is completed if it succeeds, and is not repeated otherwise.
func testWithdrawnMessages(t *testing.T, w *fixture) {
	kinds := map[string]func(id string){
		"otp":          func(id string) { w.code(id) },
		"verification": func(id string) { w.verification(id) },
	}
	issued := 0
	for kind, issue := range kinds {
		ends := map[string]func(){
			"newer":    func() { issued++; issue(fmt.Sprint("newer-", issued)) },
			"password": func() { check(t, w.store.SetPassword(w.ctx, w.login.ID, "hash", w.now, true)) },
		}
		for name, end := range ends {
			for _, state := range []storage.MessageState{"", storage.MessageQueued, storage.MessageDelivered} {
				id := kind + name + string(state)
				issue(id)
				if state != "" {
					equal(t, len(w.claim(w.now)), 1)
				}
				end()
				want := storage.MessageExpired
				if state != "" {
					attempt := storage.Attempt{MessageID: "msg-" + id, Number: 1, State: state, RunAt: w.now, Now: w.now}
					check(t, w.store.FinishAttempt(w.ctx, attempt))
				}
				if state == storage.MessageDelivered {
					want = state
				}
				for _, m := range w.claim(w.now) {
					if m.ID == "msg-"+id {
						t.Errorf("%s: the message is sent", id)
					}
				}
				must(w.store.ExpireMessages(w.ctx, w.now, 10))(t)
				m := must(w.store.Message(w.ctx, "msg-"+id))(t)
				if m.State != want || m.Payload.Data != nil || want == storage.MessageExpired && m.Unsent() != storage.MessageWithdrawn {
					t.Errorf("%s: got %+v, want state %v", id, m, want)
				}
				check(t, w.store.SetPassword(w.ctx, w.login.ID, "hash", w.now, true)) // begin the next round without a code
				must(w.store.ExpireMessages(w.ctx, w.now.Add(time.Minute), 10))(t)
			}
		}
	}
}

// raceNewest resolves many requests for one login at the same time. In any order, the code of
// the newest request stays. The timeline of each other request says that its code was retired,
// or that the request was superseded.
func raceNewest(t *testing.T, w *fixture) {
	replica := w.replicas()
	const requests = 8
	for round := range 10 {
		id := func(i int) string { return fmt.Sprintf("r%d-%d", round, i) }
		for i := range requests {
			check(t, replica(i).AddCodeRequest(w.ctx, storage.CodeRequest{
				ID: id(i), Type: storage.MessageOneTimePassword, CreatedAt: w.now, ExpiresAt: w.now.Add(10 * time.Minute),
			}))
		}
		retired := make([]bool, requests)
		errs := concurrently(requests, func(i int) error {
			result, err := replica(i).IssueCodes(w.ctx, w.issuance(id(i)))
			retired[i] = result.Retired[w.login.ID]
			return err
		})
		equal(t, countErrors(errs), map[string]int{"": requests})
		equal(t, w.principal().Login.Code.RequestID, id(requests-1))
		replacements := 0
		for i := range requests - 1 {
			got := w.timeline(id(i))
			if got.Superseded == (len(got.Codes) == 1) || len(got.Codes) == 1 && got.Codes[0].RetiredAt.IsZero() {
				t.Errorf("request %d of %d: got %+v, want it superseded or its code retired", i, requests, got)
			}
			replacements += len(got.Codes)
		}
		if round == 0 && len(slices.DeleteFunc(retired, func(r bool) bool { return !r })) != replacements {
			t.Errorf("got the retired codes %v, want %d", retired, replacements)
		}
	}
}

func testIssueRollsBack(t *testing.T, w *fixture) {
	old := w.code("r1")
	w.request("r2")
	x := w.issuance("r2")
	x.Codes = append(x.Codes, storage.IssuedCode{LoginID: "nobody", Code: x.Codes[0].Code})
	fails(w.store.IssueCodes(w.ctx, x))(t, storage.ErrNotFound)
	equal(t, w.principal().Login.Code, old)
	fails(w.store.Message(w.ctx, "msg-r2"))(t, storage.ErrNotFound)
	must(w.store.IssueCodes(w.ctx, w.issuance("r2")))(t) // the request has not ended
}

func testRecipients(t *testing.T, w *fixture) {
	w.addUser("bobby", "bob@example.com")
	w.addUser("eve", "eve@example.com")
	w.addUser("silent", "")
	names := func(username, email string) (found []string) {
		r := storage.CodeRequest{ProfileID: storage.DefaultProfileID}
		for _, p := range must(w.store.Recipients(w.ctx, r, username, email))(t) {
			if !p.Known || p.User.UID == "" || p.Key.UsernameKey != p.Login.UsernameKey {
				t.Errorf("incomplete recipient %+v", p)
			}
			found = append(found, p.Login.UsernameKey)
		}
		return found
	}
	equal(t, names("bob", ""), []string{"bob"})
	equal(t, names("bob", "bob@example.com"), []string{"bob"})
	equal(t, names("bob", "eve@example.com"), nil)
	equal(t, names("", "bob@example.com"), []string{"bob", "bobby"})
	equal(t, names("", ""), nil)
	equal(t, names("nobody", ""), nil)
	other := must(w.store.Recipients(w.ctx, storage.CodeRequest{ProfileID: "x"}, "bob", ""))(t)
	equal(t, len(other), 0)
	bob := must(w.store.Recipients(w.ctx, storage.CodeRequest{ProfileID: "default"}, "bob", ""))(t)
	equal(t, bob, []storage.Principal{w.principal()})
}

// testLeasedFromTheStart tests that a request and a message that are stored with a lease are
// not claimed before the lease ends.
func testLeasedFromTheStart(t *testing.T, w *fixture) {
	until := w.now.Add(30 * time.Second)
	r := w.request("claimed")
	r.ID, r.LeaseUntil = "leased", until
	check(t, w.store.AddCodeRequest(w.ctx, r))
	claimed := func(now time.Time) (ids []string) {
		for _, r := range must(w.store.ClaimCodeRequests(w.ctx, now, now.Add(time.Second), 10))(t) {
			ids = append(ids, r.ID)
		}
		return ids
	}
	equal(t, claimed(w.now), []string{"claimed"})
	equal(t, claimed(until), []string{"claimed", "leased"})

	x := w.issuance("leased")
	m := &x.Codes[0].Messages[0]
	m.Attempts, m.LeaseUntil = 1, until
	must(w.store.IssueCodes(w.ctx, x))(t)
	equal(t, len(must(w.store.ClaimMessages(w.ctx, w.now, until, 10))(t)), 0)
	check(t, w.store.FinishAttempt(w.ctx, storage.Attempt{MessageID: m.ID, Number: 1, State: storage.MessageQueued, RunAt: w.now, Now: w.now}))
	again := must(w.store.ClaimMessages(w.ctx, w.now, until, 10))(t)
	if len(again) != 1 || again[0].Attempts != 2 {
		t.Fatalf("after the attempt: got %+v, want one message with 2 attempts", again)
	}
}
