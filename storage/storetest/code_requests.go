package storetest

import (
	"testing"
	"time"

	"latchkey/storage"
)

func testCodes(t *testing.T, fresh func(*testing.T) Database) {
	cases{
		"a request is claimed as it was stored":            testClaimRequest,
		"claims are oldest first and bounded":              testClaimOrder,
		"claims alternate between sources and clients":     testClaimTurns,
		"callers share a backlog of one source":            raceTurns,
		"requests for unknown users end in one statement":  testEndUnknown,
		"waiting requests are counted by source":           testWaiting,
		"a login with a used-up budget gets nothing":       testIssueLimited,
		"a postponed request waits for its budget":         testPostponed,
		"a mailbox gets no more than its burst":            raceMailbox,
		"a lease is exclusive until it ends":               testLease,
		"ended requests are not claimed, expired ones are": testClaimEnded,
		"codes are issued once":                            testIssue,
		"an issuance is all or nothing":                    testIssueRollsBack,
		"recipients are found by either key":               testRecipients,
	}.run(t, fresh)
}

func testClaimRequest(t *testing.T, w *fixture) {
	r := w.request("r1")
	wantErr(t, w.store.AddCodeRequest(w.ctx, r), storage.ErrConflict)
	equal(t, must(w.store.ClaimCodeRequests(w.ctx, w.now, w.now.Add(time.Minute), 10))(t), []storage.CodeRequest{r})
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
