package storetest

import (
	"testing"
	"time"

	"latchkey/storage"
)

func testFigures(t *testing.T, s suite) {
	s.run(t, cases{
		"requests are found by IDs and names":           testFindRequests,
		"the funnel counts what happened in the period": testCodeFunnel,
		"the activity of senders":                       testSenderActivity,
		"a test message is sent by nobody else":         testTestMessage,
	})
}

// attempt claims the messages that are due and stores the outcome of each.
func (w *fixture) attempt(at time.Time, state storage.MessageState, reason string) {
	w.t.Helper()
	for _, m := range w.claim(at) {
		check(w.t, w.store.FinishAttempt(w.ctx, storage.Attempt{
			MessageID: m.ID, Number: m.Attempts, State: state, RunAt: at.Add(time.Minute), Error: reason, BeganAt: at, Now: at.Add(time.Second),
		}))
	}
}

func testFindRequests(t *testing.T, w *fixture) {
	ask := func(id, username, email, userUID string) {
		w.now = w.now.Add(time.Second)
		check(t, w.store.AddCodeRequest(w.ctx, storage.CodeRequest{
			ID: id, Type: storage.MessageOneTimePassword, ProfileID: storage.DefaultProfileID, Username: username, Email: email, UserUID: userUID,
			TraceID: "trace-" + id, CreatedAt: w.now, ExpiresAt: w.now.Add(time.Hour),
		}))
	}
	w.code("reached")
	ask("by-name", "BOB", "", "")
	ask("by-email", "", "BOB@example.com", "")
	ask("by-uid", "", "", "usr_jim")
	ask("other", "bobby", "bobby@example.com", "")
	ask("empty", "", "", "")
	find := func(words storage.RequestWords, limit int) []string {
		t.Helper()
		return must(w.store.FindRequests(w.ctx, words, limit))(t)
	}
	equal(t, find(storage.RequestWords{Names: []string{"bob"}}, 10), []string{"by-name", "reached"})
	equal(t, find(storage.RequestWords{Names: []string{"Bob", "bob@EXAMPLE.com"}, UserUIDs: []string{"usr_jim"}}, 10), []string{"by-uid", "by-email", "by-name", "reached"})
	equal(t, find(storage.RequestWords{Names: []string{"bob", "bob@example.com"}}, 1), []string{"by-email"})
	equal(t, find(storage.RequestWords{ID: "other"}, 10), []string{"other"})
	equal(t, find(storage.RequestWords{ID: "trace-by-name"}, 10), []string{"by-name"})
	equal(t, len(find(storage.RequestWords{ID: "bob", Names: []string{"bo%", "b_b", "bo*"}}, 10)), 0)
	for _, r := range must(w.store.ListRequests(w.ctx, storage.Query{Limit: 10}))(t).Items {
		want := w.timeline(r.Request.ID)
		want.Attempts = nil
		equal(t, r, want)
	}
}

func testCodeFunnel(t *testing.T, w *fixture) {
	start := w.now
	funnel := func() (hour, day storage.CodeFunnel) {
		t.Helper()
		all := must(w.store.CodeFunnel(w.ctx, w.now, time.Hour, 24*time.Hour))(t)
		equal(t, []time.Time{all[0].Since, all[1].Since}, []time.Time{w.now.Add(-time.Hour), w.now.Add(-24 * time.Hour)})
		all[0].Since, all[1].Since = time.Time{}, time.Time{}
		return all[0], all[1]
	}
	// Two hours ago: one code expires unused, one is replaced, and one message dies.
	w.code("replaced")
	w.attempt(w.now, storage.MessageDelivered, "")
	w.code("unused")
	w.attempt(w.now, storage.MessageDead, "answered 410")
	w.now = start.Add(2 * time.Hour)
	w.code("used")
	w.attempt(w.now, storage.MessageDelivered, "")
	w.redeem("code-used", w.now.Add(time.Minute))
	check(t, w.store.AddCodeRequest(w.ctx, storage.CodeRequest{
		ID: "logout", Type: storage.MessageLogout, CreatedAt: w.now, ExpiresAt: w.now.Add(time.Hour),
	}))
	guess := func(outcome, factor string, count int64) storage.AuditEvent {
		return storage.AuditEvent{Time: w.now, Action: "sign_in", Outcome: outcome, Factor: factor, Count: count}
	}
	check(t, w.store.AddAuditEvents(w.ctx, []storage.AuditEvent{
		guess("wrong_credentials", "otp", 0), guess("wrong_credentials", "otp", 4), guess("wrong_credentials", "", 0), guess("success", "otp", 0),
	}))
	w.now = w.now.Add(2 * time.Minute)
	hour, day := funnel()
	equal(t, hour, storage.CodeFunnel{Requested: 1, Delivered: 1, Redeemed: 1, Guessed: 5})
	equal(t, day, storage.CodeFunnel{Requested: 3, Delivered: 2, Dead: 1, Redeemed: 1, Expired: 1, Guessed: 5})
	w.now = w.now.Add(48 * time.Hour)
	hour, day = funnel()
	equal(t, hour, storage.CodeFunnel{})
	equal(t, day, storage.CodeFunnel{})
}

func testSenderActivity(t *testing.T, w *fixture) {
	equal(t, len(must(w.store.SenderActivity(w.ctx, w.now))(t)), 0)
	w.code("r1")
	w.attempt(w.now, storage.MessageDelivered, "")
	w.code("r2")
	w.attempt(w.now.Add(time.Minute), storage.MessageQueued, "answered 500")
	w.attempt(w.now.Add(3*time.Minute), storage.MessageQueued, "answered 503")
	equal(t, must(w.store.SenderActivity(w.ctx, w.now))(t), []storage.SenderActivity{{
		SenderID: "hook", Queued: 1, OldestQueued: w.now, Accepted: 1, Failed: 2, FailedSince: 2,
		AcceptedAt: w.now.Add(time.Second), FailedAt: w.now.Add(3*time.Minute + time.Second), Error: "answered 503",
	}})
	equal(t, must(w.store.SenderActivity(w.ctx, w.now.Add(time.Hour)))(t), []storage.SenderActivity{{SenderID: "hook", Queued: 1, OldestQueued: w.now}})
	equal(t, must(w.store.DeadMessages(w.ctx, w.now))(t), storage.DeadMessages{})
	w.attempt(w.now.Add(5*time.Minute), storage.MessageDead, "answered 410")
	last := w.now.Add(5*time.Minute + time.Second)
	equal(t, must(w.store.DeadMessages(w.ctx, w.now))(t), storage.DeadMessages{Count: 1, Last: last, Senders: []string{"hook"}})
	equal(t, must(w.store.DeadMessages(w.ctx, last.Add(time.Second)))(t), storage.DeadMessages{})
}

func testTestMessage(t *testing.T, w *fixture) {
	m := storage.Message{
		ID: "msg-test", SenderID: "hook", Type: storage.MessageOneTimePassword, UserUID: "usr_test", TraceID: "trace",
		CreatedAt: w.now, ExpiresAt: w.now.Add(time.Minute),
	}
	check(t, w.store.AddTestMessage(w.ctx, m))
	for _, at := range []time.Time{w.now, w.now.Add(time.Minute - 1), w.now.Add(time.Minute), w.now.Add(time.Hour)} {
		equal(t, len(must(w.store.ClaimMessages(w.ctx, at, at.Add(time.Minute), 10))(t)), 0)
	}
	check(t, w.store.FinishAttempt(w.ctx, storage.Attempt{
		MessageID: "msg-test", Number: 1, State: storage.MessageDead, Error: "answered 410", BeganAt: w.now, Now: w.now.Add(time.Second),
	}))
	equal(t, must(w.store.Message(w.ctx, "msg-test"))(t).State, storage.MessageDead)
	equal(t, must(w.store.DeadMessages(w.ctx, w.now))(t), storage.DeadMessages{})
	m.ID = "msg-left"
	check(t, w.store.AddTestMessage(w.ctx, m))
	equal(t, len(must(w.store.ExpireMessages(w.ctx, w.now.Add(time.Minute), 10))(t)), 1)
}
