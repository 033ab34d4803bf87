package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"latchkey/storage"
)

func testAudit(t *testing.T, fresh func(*testing.T) Database) {
	cases{
		"events are kept":                testAuditKept,
		"ids rise with time":             testAuditIDs,
		"a batch is all or nothing":      testAuditBatch,
		"old events are swept":           testAuditSwept,
		"what was presented may be text": testAuditHostile,
	}.run(t, fresh)
}

// events lists all audit events in the order of their ids.
func (w *world) events() []storage.AuditEvent {
	w.t.Helper()
	return must(w.store.ListAuditEvents(w.ctx, storage.Query{Limit: 10_000}))(w.t).Items
}

func testAuditKept(t *testing.T, w *world) {
	want := storage.AuditEvent{
		Time: w.now, Action: "sign_in", Outcome: "locked", ClientID: "web", UserUID: w.user.UID, Username: "Bob ",
		Factor: "otp", TraceID: "trace", Source: "192.0.2.1", Object: "ApiClient/shop", Took: 1500 * time.Millisecond,
	}
	check(t, w.store.AddAuditEvents(w.ctx, []storage.AuditEvent{want}))
	check(t, w.store.AddAuditEvents(w.ctx, nil))
	got := w.events()
	equal(t, len(got), 1)
	want.ID = got[0].ID
	equal(t, got[0], want)

	before := time.Now().Add(-time.Second)
	check(t, w.store.AddAuditEvents(w.ctx, []storage.AuditEvent{{ID: "zzz", Action: "bare"}}))
	bare := w.events()[1]
	if bare.Time.Before(before) {
		t.Errorf("an event without a time got %v", bare.Time)
	}
	equal(t, bare, storage.AuditEvent{ID: "zzz", Action: "bare", Time: bare.Time})
}

func testAuditIDs(t *testing.T, w *world) {
	var batch []storage.AuditEvent
	for i := range 200 { // the times fall, over three orders of magnitude
		at := w.now.Add(-time.Duration(i*i*i) * time.Microsecond)
		batch = append(batch, storage.AuditEvent{Time: at, Action: fmt.Sprint(i)})
	}
	check(t, w.store.AddAuditEvents(w.ctx, batch))
	got := w.events()
	equal(t, len(got), len(batch))
	if !slices.IsSortedFunc(got, func(a, b storage.AuditEvent) int { return a.Time.Compare(b.Time) }) {
		t.Error("events in the order of their ids are not in the order of their times")
	}
}

func testAuditBatch(t *testing.T, w *world) {
	check(t, w.store.AddAuditEvents(w.ctx, make([]storage.AuditEvent, 1001)))
	equal(t, len(w.events()), 1001)
	for _, n := range []int{2, 1001} {
		batch := make([]storage.AuditEvent, n)
		batch[0].ID, batch[n-1].ID = "same", "same"
		wantErr(t, w.store.AddAuditEvents(w.ctx, batch), storage.ErrConflict)
	}
	equal(t, len(w.events()), 1001)
}

func testAuditSwept(t *testing.T, w *world) {
	check(t, w.store.AddAuditEvents(w.ctx, []storage.AuditEvent{
		{Time: w.now.Add(-90*day - time.Second), Action: "old"},
		{Time: w.now.Add(-90*day - time.Minute), Action: "older"},
		{Time: w.now.Add(-90*day + time.Second), Action: "kept"},
	}))
	equal(t, must(w.store.Sweep(w.ctx, w.now, 1))(t), 1)
	equal(t, must(w.store.Sweep(w.ctx, w.now, 10))(t), 1)
	equal(t, must(w.store.Sweep(w.ctx, w.now, 10))(t), 0)
	got := w.events()
	equal(t, len(got), 1)
	equal(t, got[0].Action, "kept")
}

// testAuditHostile writes down what no text of PostgreSQL can hold.
func testAuditHostile(t *testing.T, w *world) {
	check(t, w.store.AddAuditEvents(w.ctx, []storage.AuditEvent{{Username: "a\x00b\xff"}}))
	equal(t, w.events()[0].Username, "a\uFFFDb\uFFFD")
}
