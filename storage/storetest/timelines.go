package storetest

import (
	"fmt"
	"testing"
	"time"

	"latchkey/storage"
)

func testTimelines(t *testing.T, s suite) {
	s.run(t, cases{
		"an unresolved request":            testTimelineOpen,
		"attempts are listed":              testTimelineAttempts,
		"a redeemed code":                  testTimelineRedeemed,
		"a retired code":                   testTimelineRetired,
		"a code that a new password ended": testTimelinePassword,
		"messages are listed":              testListMessages,
		"a queued message can be made due": testHurry,
	})
	s.runRepeating(t, cases{
		"a redemption is not lost to a newer code": raceRetire,
	})
}

func (w *fixture) timeline(requestID string) storage.Timeline {
	w.t.Helper()
	return must(w.store.Timeline(w.ctx, requestID))(w.t)
}

func testTimelineOpen(t *testing.T, w *fixture) {
	r := w.request("r1")
	equal(t, w.timeline("r1"), storage.Timeline{Request: r})
	fails(w.store.Timeline(w.ctx, "none"))(t, storage.ErrNotFound)
}

func testTimelineAttempts(t *testing.T, w *fixture) {
	w.code("r1")
	w.verification("r2")
	first := w.now.Add(time.Second)
	w.claim(w.now)
	check(t, w.store.FinishAttempt(w.ctx, storage.Attempt{
		MessageID: "msg-r1", Number: 1, State: storage.MessageQueued, RunAt: first, Error: "answered 503",
		BeganAt: w.now, Now: w.now.Add(40 * time.Millisecond),
	}))
	w.claim(first)
	done := storage.Attempt{
		MessageID: "msg-r1", Number: 2, State: storage.MessageDelivered, BeganAt: first, Now: first.Add(7 * time.Millisecond),
	}
	check(t, w.store.FinishAttempt(w.ctx, done))
	wantErr(t, w.store.FinishAttempt(w.ctx, done), storage.ErrStale)

	got := w.timeline("r1")
	equal(t, got.ResolvedAt, w.now)
	equal(t, got.Attempts, []storage.AttemptRecord{
		{MessageID: "msg-r1", Number: 1, State: storage.MessageQueued, Error: "answered 503", BeganAt: w.now, EndedAt: w.now.Add(40 * time.Millisecond)},
		{MessageID: "msg-r1", Number: 2, State: storage.MessageDelivered, BeganAt: first, EndedAt: done.Now},
	})
	want := w.message("msg-r1", "r1")
	want.Payload, want.State, want.Attempts, want.RunAt, want.EndedAt = storage.Sealed{}, storage.MessageDelivered, 2, first, done.Now
	equal(t, got.Messages, []storage.Message{want})
	equal(t, len(w.timeline("r2").Attempts), 0)
}

// history returns the code of a request from its timeline.
func (w *fixture) history(requestID string) storage.CodeHistory {
	w.t.Helper()
	codes := w.timeline(requestID).Codes
	if len(codes) != 1 {
		w.t.Fatalf("got %d codes, want 1", len(codes))
	}
	return codes[0]
}

func (w *fixture) redeem(codeID string, at time.Time) {
	w.t.Helper()
	check(w.t, w.store.SettleLogin(w.ctx, storage.Settlement{LoginID: w.login.ID, CodeID: codeID, Now: at}))
}

func testTimelineRedeemed(t *testing.T, w *fixture) {
	code := w.code("r1")
	want := storage.CodeHistory{
		ID: code.ID, RequestID: "r1", LoginID: w.login.ID, Username: w.login.Username, UserUID: w.user.UID, IssuedAt: w.now, ExpiresAt: code.ExpiresAt,
	}
	equal(t, w.history("r1"), want)
	want.RedeemedAt = w.now.Add(time.Minute)
	w.redeem(code.ID, want.RedeemedAt)
	equal(t, w.history("r1"), want)
	w.code("r2")
	equal(t, w.history("r1"), want) // also after a newer code of the login replaced it
}

func testTimelineRetired(t *testing.T, w *fixture) {
	w.code("r1")
	w.code("r2")
	old := w.history("r1")
	equal(t, old.RetiredAt, w.now)
	equal(t, old.RedeemedAt, time.Time{})
	newer := w.history("r2")
	if old.Live(w.now) || !newer.Live(w.now) || newer.Live(newer.ExpiresAt) {
		t.Errorf("got older %+v, newer %+v; want only the newer code live", old, newer)
	}
	w.request("r3") // the code of r2 has expired, so it is not retired
	x := w.issuance("r3")
	x.Now = newer.ExpiresAt
	must(w.store.IssueCodes(w.ctx, x))(t)
	equal(t, w.history("r2"), newer)
}

func testTimelinePassword(t *testing.T, w *fixture) {
	w.code("r1")
	at := w.now.Add(time.Minute)
	check(t, w.store.SetPassword(w.ctx, w.login.ID, "hash", at, false))
	equal(t, w.history("r1").RetiredAt, time.Time{})
	check(t, w.store.SetPassword(w.ctx, w.login.ID, "hash", at, true))
	equal(t, w.history("r1").RetiredAt, at)
	wantErr(t, w.store.SetPassword(w.ctx, "nobody", "hash", at, true), storage.ErrNotFound)
}

func testListMessages(t *testing.T, w *fixture) {
	w.request("r1")
	x := w.issuance("r1")
	x.Codes[0].Messages = nil
	for i, sender := range []string{"mail", "text", "mail"} {
		m := w.message(fmt.Sprint("m", i), "r1")
		m.SenderID, m.CreatedAt = sender, w.now.Add(time.Duration(i)*time.Second)
		x.Codes[0].Messages = append(x.Codes[0].Messages, m)
	}
	must(w.store.IssueCodes(w.ctx, x))(t)
	w.claim(w.now)
	check(t, w.store.FinishAttempt(w.ctx, storage.Attempt{MessageID: "m2", Number: 1, State: storage.MessageDead, Error: "400", Now: w.now}))
	list := func(f storage.MessageFilter) (ids []string) {
		for _, m := range must(w.store.Messages(w.ctx, f))(t) {
			ids = append(ids, m.ID)
			if m.Payload.Data != nil {
				t.Error("a listed message has a payload")
			}
		}
		return ids
	}
	equal(t, list(storage.MessageFilter{Limit: 10}), []string{"m2", "m1", "m0"})
	equal(t, list(storage.MessageFilter{Limit: 2}), []string{"m2", "m1"})
	equal(t, list(storage.MessageFilter{Limit: 10, SenderID: "mail"}), []string{"m2", "m0"})
	equal(t, list(storage.MessageFilter{Limit: 10, State: storage.MessageDead}), []string{"m2"})
	equal(t, list(storage.MessageFilter{Limit: 10, State: storage.MessageQueued, SenderID: "mail"}), []string{"m0"})
}

func testHurry(t *testing.T, w *fixture) {
	w.code("r1")
	wantErr(t, w.store.HurryMessage(w.ctx, "none", w.now), storage.ErrStale)
	w.claim(w.now)
	wantErr(t, w.store.HurryMessage(w.ctx, "msg-r1", w.now), storage.ErrStale) // it is being delivered
	check(t, w.store.FinishAttempt(w.ctx, storage.Attempt{
		MessageID: "msg-r1", Number: 1, State: storage.MessageQueued, RunAt: w.now.Add(time.Minute), Error: "503", Now: w.now,
	}))
	equal(t, len(w.claim(w.now.Add(time.Second))), 0)
	check(t, w.store.HurryMessage(w.ctx, "msg-r1", w.now.Add(time.Second)))
	equal(t, len(w.claim(w.now.Add(time.Second))), 1)
	wantErr(t, w.store.HurryMessage(w.ctx, "msg-r1", w.now.Add(time.Hour)), storage.ErrStale) // expired
}

// raceRetire redeems a code while another one replaces it. The code is either redeemed
// or retired, and the timeline says which.
func raceRetire(t *testing.T, w *fixture) {
	replica := w.replicas()
	code := w.code("r")
	for round := range 40 {
		next := fmt.Sprint("r", round)
		w.request(next)
		x := w.issuance(next)
		errs := concurrently(2, func(i int) error {
			if i == round%2 {
				_, err := replica(i).IssueCodes(w.ctx, x)
				return err
			}
			return replica(i).SettleLogin(w.ctx, storage.Settlement{LoginID: w.login.ID, CodeID: code.ID, Now: w.now})
		})
		check(t, errs[round%2])
		history := w.history(code.RequestID)
		if redeemed := errs[1-round%2] == nil; redeemed == history.RedeemedAt.IsZero() || redeemed != history.RetiredAt.IsZero() {
			t.Fatalf("redeemed: %v, but the timeline says %+v", redeemed, history)
		}
		code = x.Codes[0].Code
	}
}
