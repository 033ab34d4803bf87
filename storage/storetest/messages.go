package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"latchkey/storage"
)

func testMessages(t *testing.T, s suite) {
	s.run(t, cases{
		"a claim counts the attempt":                        testClaimMessage,
		"a message is claimed when due":                     testClaimDue,
		"excepted senders are skipped":                      testClaimExcept,
		"a delivered message loses its payload":             testDelivered,
		"a message is claimed again after a failed attempt": testTryAgain,
		"a lease can be extended":                           testExtendLease,
		"an attempt whose lease was lost is stale":          testLateAttempt,
		"expired messages lose their payload":               testExpire,
	})
}

func (w *fixture) claim(at time.Time) []storage.Message {
	w.t.Helper()
	return must(w.store.ClaimMessages(w.ctx, at, at.Add(30*time.Second), 10))(w.t)
}

func testClaimMessage(t *testing.T, w *fixture) {
	w.code("r1")
	want := w.message("msg-r1", "r1")
	want.Attempts = 1
	equal(t, w.claim(w.now), []storage.Message{want})
	equal(t, len(w.claim(w.now.Add(29*time.Second))), 0)
	want.Attempts = 2
	equal(t, w.claim(w.now.Add(30*time.Second)), []storage.Message{want})
	equal(t, len(w.claim(want.ExpiresAt)), 0)
}

func testClaimDue(t *testing.T, w *fixture) {
	w.request("r1")
	x := w.issuance("r1")
	x.Codes[0].Messages = nil
	for i := range 3 {
		m := w.message(fmt.Sprintf("m%d", i), "r1")
		m.RunAt = w.now.Add(time.Duration(3-i) * time.Second)
		x.Codes[0].Messages = append(x.Codes[0].Messages, m)
	}
	must(w.store.IssueCodes(w.ctx, x))(t)
	equal(t, len(w.claim(w.now)), 0)
	got := must(w.store.ClaimMessages(w.ctx, w.now.Add(3*time.Second), w.now.Add(time.Minute), 2))(t)
	equal(t, []string{got[0].ID, got[1].ID}, []string{"m2", "m1"})
}

func testClaimExcept(t *testing.T, w *fixture) {
	w.request("r1")
	x := w.issuance("r1")
	x.Codes[0].Messages = nil
	for i, sender := range []string{"slow", "slow", "dead", "mail", "slow", "text"} {
		m := w.message(fmt.Sprintf("m%d", i), "r1")
		m.SenderID = sender
		x.Codes[0].Messages = append(x.Codes[0].Messages, m)
	}
	must(w.store.IssueCodes(w.ctx, x))(t)
	claim := func(limit int, except ...string) (ids []string) {
		for _, m := range must(w.store.ClaimMessages(w.ctx, w.now, w.now.Add(time.Minute), limit, except...))(t) {
			ids = append(ids, m.ID)
		}
		slices.Sort(ids)
		return ids
	}
	equal(t, claim(2, "slow", "dead"), []string{"m3", "m5"})
	equal(t, claim(10, "slow", "nobody"), []string{"m2"})
	equal(t, claim(10), []string{"m0", "m1", "m4"})
}

func testDelivered(t *testing.T, w *fixture) {
	for _, state := range []storage.MessageState{storage.MessageDelivered, storage.MessageDead, storage.MessageExpired} {
		id := string(state)
		w.code(id)
		w.claim(w.now)
		done := storage.Attempt{
			MessageID: "msg-" + id, Number: 1, State: state, Error: "because", Now: w.now.Add(time.Second),
		}
		check(t, w.store.FinishAttempt(w.ctx, done))
		want := w.message("msg-"+id, id)
		want.Payload, want.State, want.Attempts = storage.Sealed{}, state, 1
		want.LastError, want.EndedAt = "because", done.Now
		equal(t, must(w.store.Message(w.ctx, "msg-"+id))(t), want)
		wantErr(t, w.store.FinishAttempt(w.ctx, done), storage.ErrStale)
	}
	equal(t, len(w.claim(w.now.Add(time.Minute))), 0)
}

func testTryAgain(t *testing.T, w *fixture) {
	w.code("r1")
	w.claim(w.now)
	again := w.now.Add(4 * time.Second)
	check(t, w.store.FinishAttempt(w.ctx, storage.Attempt{
		MessageID: "msg-r1", Number: 1, State: storage.MessageQueued, RunAt: again, Error: "503", Now: w.now,
	}))
	equal(t, len(w.claim(again.Add(-time.Microsecond))), 0)
	want := w.message("msg-r1", "r1")
	want.RunAt, want.Attempts, want.LastError = again, 2, "503"
	equal(t, w.claim(again), []storage.Message{want}) // before the first lease ends
}

func testExtendLease(t *testing.T, w *fixture) {
	w.code("r1")
	w.claim(w.now)
	check(t, w.store.ExtendLease(w.ctx, "msg-r1", 1, w.now.Add(time.Minute)))
	equal(t, len(w.claim(w.now.Add(59*time.Second))), 0)
	equal(t, len(w.claim(w.now.Add(time.Minute))), 1) // by another worker
	until := w.now.Add(time.Hour)
	wantErr(t, w.store.ExtendLease(w.ctx, "msg-r1", 1, until), storage.ErrStale)
	wantErr(t, w.store.ExtendLease(w.ctx, "none", 1, until), storage.ErrStale)
	check(t, w.store.FinishAttempt(w.ctx, storage.Attempt{MessageID: "msg-r1", Number: 2, State: storage.MessageDelivered, Now: w.now}))
	wantErr(t, w.store.ExtendLease(w.ctx, "msg-r1", 2, until), storage.ErrStale)
}

func testLateAttempt(t *testing.T, w *fixture) {
	w.code("r1")
	w.claim(w.now)
	w.claim(w.now.Add(time.Minute)) // claimed by another worker
	late := storage.Attempt{MessageID: "msg-r1", Number: 1, State: storage.MessageDelivered, Now: w.now}
	wantErr(t, w.store.FinishAttempt(w.ctx, late), storage.ErrStale)
	late.MessageID = "none"
	wantErr(t, w.store.FinishAttempt(w.ctx, late), storage.ErrStale)
}

func testExpire(t *testing.T, w *fixture) {
	w.code("r1")
	w.verification("r2")
	end := w.now.Add(10 * time.Minute)
	got := must(w.store.ClaimMessages(w.ctx, end.Add(-time.Second), end.Add(time.Second), 1))(t) // one is being delivered when it expires
	equal(t, len(must(w.store.ExpireMessages(w.ctx, end.Add(-time.Second), 10))(t)), 0)
	equal(t, len(must(w.store.ExpireMessages(w.ctx, end, 10))(t)), 1)
	equal(t, must(w.store.Message(w.ctx, got[0].ID))(t).State, storage.MessageQueued)
	equal(t, len(must(w.store.ExpireMessages(w.ctx, end.Add(time.Second), 0))(t)), 0)
	equal(t, len(must(w.store.ExpireMessages(w.ctx, end.Add(time.Second), 10))(t)), 1)
	for _, id := range []string{"r1", "r2"} {
		m := must(w.store.Message(w.ctx, "msg-"+id))(t)
		if m.State != storage.MessageExpired || m.Payload.Data != nil || m.EndedAt.Before(end) {
			t.Errorf("got the message %+v, want it expired and without a payload", m)
		}
	}
}
