package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"latchkey/storage"
)

func testAudit(t *testing.T, s suite) {
	s.run(t, cases{
		"events are stored":                            testAuditKept,
		"later events have higher IDs":                 testAuditIDs,
		"a batch is all or nothing":                    testAuditBatch,
		"old events are swept by batches":              testAuditSwept,
		"usernames with invalid characters are stored": testAuditHostile,
		"events are chained":                           testAuditChained,
		"filters select events":                        testAuditFilter,
		"concurrent writers make one chain":            testAuditRace,
	})
}

// events returns all audit events in the order of their IDs.
func (w *fixture) events() []storage.AuditEvent {
	w.t.Helper()
	return must(w.store.ListAuditEvents(w.ctx, storage.Query{Limit: 10_000}))(w.t).Items
}

func testAuditKept(t *testing.T, w *fixture) {
	want := storage.AuditEvent{
		Time: w.now, Action: "sign_in", Outcome: "locked", ClientID: "web", UserUID: w.user.UID, Username: "Bob ",
		Factor: "otp", TraceID: "trace", Source: "192.0.2.1", Object: "ApiClient/shop", Changed: []string{"AppName", "ClientSecret"}, Took: 1500 * time.Millisecond,
	}
	check(t, w.store.AddAuditEvents(w.ctx, []storage.AuditEvent{want}))
	check(t, w.store.AddAuditEvents(w.ctx, nil))
	got := w.events()
	equal(t, len(got), 1)
	want.ID = got[0].ID
	equal(t, got[0], want)

	before := time.Now().Add(-time.Second)
	check(t, w.store.AddAuditEvents(w.ctx, []storage.AuditEvent{{ID: "its own", Action: "bare"}}))
	bare := w.events()[1]
	if bare.Time.Before(before) || bare.ID == "its own" {
		t.Errorf("an event without a time and with an ID was stored as %+v", bare)
	}
	equal(t, bare, storage.AuditEvent{ID: bare.ID, Action: "bare", Time: bare.Time})
}

func testAuditIDs(t *testing.T, w *fixture) {
	for start := 0; start < 200; start += 50 { // times decrease over three orders of magnitude
		var batch []storage.AuditEvent
		for i := start; i < start+50; i++ {
			at := w.now.Add(-time.Duration(i*i*i) * time.Microsecond)
			batch = append(batch, storage.AuditEvent{Time: at, Action: fmt.Sprint(i)})
		}
		check(t, w.store.AddAuditEvents(w.ctx, batch))
	}
	for i, e := range w.events() {
		equal(t, e.Action, fmt.Sprint(i))
	}
	check(t, w.store.AddAuditEvents(w.ctx, []storage.AuditEvent{{Time: w.now.Add(time.Second)}, {Time: w.now.Add(2 * time.Second)}}))
	var since []string
	check(t, w.store.EachAuditEvent(w.ctx, storage.AuditFilter{Since: w.now.Add(2 * time.Second)}, func(r storage.AuditRecord) error {
		since = append(since, fmt.Sprint(r.Seq))
		return nil
	}))
	equal(t, since, []string{"202"})
}

// testAuditFilter selects a few of many events, which are more than one statement examines.
// EachAuditEvent and the list must select the same ones.
func testAuditFilter(t *testing.T, w *fixture) {
	const events, each = 5000, 1000
	for start := 0; start < events; start += 1000 {
		batch := make([]storage.AuditEvent, 1000)
		for i := range batch {
			n := start + i
			batch[i] = storage.AuditEvent{Time: w.now.Add(time.Duration(n) * time.Second), Action: "noise"}
			if n%each == 0 {
				batch[i] = storage.AuditEvent{Time: batch[i].Time, Action: "sign_in", UserUID: fmt.Sprint("u", n)}
			}
		}
		check(t, w.store.AddAuditEvents(w.ctx, batch))
	}
	user := storage.Condition{Fields: []string{"UserUID"}, Tests: []storage.Test{{Op: storage.OpEqual, Value: "u3000"}, {Op: storage.OpEqual, Value: "u4000"}}}
	for _, c := range []struct {
		filter storage.AuditFilter
		want   []string
	}{
		{storage.AuditFilter{Actions: []string{"sign_in", "other"}}, []string{"u0", "u1000", "u2000", "u3000", "u4000"}},
		{storage.AuditFilter{Actions: []string{"sign_in"}, Since: w.now.Add(2000 * time.Second)}, []string{"u2000", "u3000", "u4000"}},
		{storage.AuditFilter{Actions: []string{"sign_in"}, Until: w.now.Add(2000 * time.Second)}, []string{"u0", "u1000"}},
		{storage.AuditFilter{Where: []storage.Condition{user}}, []string{"u3000", "u4000"}},
		{storage.AuditFilter{Where: []storage.Condition{user}, Since: w.now.Add(3000*time.Second + time.Microsecond)}, []string{"u4000"}},
		{storage.AuditFilter{Actions: []string{"none"}}, nil},
	} {
		var read, listed []string
		check(t, w.store.EachAuditEvent(w.ctx, c.filter, func(r storage.AuditRecord) error {
			read = append(read, r.UserUID)
			return nil
		}))
		equal(t, read, c.want)
		for _, e := range must(w.store.ListAuditEvents(w.ctx, storage.Query{Where: c.filter.Conditions(), Limit: 100}))(t).Items {
			listed = append(listed, e.UserUID)
		}
		equal(t, listed, c.want)
	}
	unknown := storage.AuditFilter{Where: []storage.Condition{{Fields: []string{"MAC"}, Tests: []storage.Test{{Op: storage.OpEqual}}}}}
	wantErr(t, w.store.EachAuditEvent(w.ctx, unknown, func(storage.AuditRecord) error { return nil }), storage.ErrQuery)
	stop := errors.New("stop")
	wantErr(t, w.store.EachAuditEvent(w.ctx, storage.AuditFilter{}, func(storage.AuditRecord) error { return stop }), stop)
	var reads []int64
	v := must(w.store.VerifyAudit(w.ctx, storage.AuditHead{}, func(read, all int64) error {
		equal(t, all, int64(events))
		reads = append(reads, read)
		return nil
	}))(t)
	equal(t, v.Break, (*storage.AuditBreak)(nil))
	if len(reads) < 2 || reads[len(reads)-1] != events {
		t.Errorf("progress %d", reads)
	}
	fails(w.store.VerifyAudit(w.ctx, storage.AuditHead{}, func(int64, int64) error { return stop }))(t, stop)
}

func testAuditBatch(t *testing.T, w *fixture) {
	check(t, w.store.AddAuditEvents(w.ctx, make([]storage.AuditEvent, 1001)))
	equal(t, len(w.events()), 1001)
	undone := errors.New("undone")
	wantErr(t, w.store.InTx(w.ctx, func(ctx context.Context) error {
		check(t, w.store.AddAuditEvents(ctx, make([]storage.AuditEvent, 1001)))
		return undone
	}), undone)
	equal(t, len(w.events()), 1001)
	check(t, w.store.AddAuditEvents(w.ctx, make([]storage.AuditEvent, 2)))
	w.checkChain(1003)
	for events, want := range map[int64]int64{1: 2, 2: 2, 3: 1003, 2000: 1003} { // in whole batches
		equal(t, must(w.store.VerifyRecentAudit(w.ctx, events))(t).Events, want)
	}
}

// checkChain checks that the chain is intact and has the number of events.
func (w *fixture) checkChain(events int64) storage.AuditVerdict {
	w.t.Helper()
	v := must(w.store.VerifyAudit(w.ctx, storage.AuditHead{}, nil))(w.t)
	if v.Break != nil || v.Events != events {
		w.t.Fatalf("got %d events, want %d; break %+v", v.Events, events, v.Break)
	}
	return v
}

// testAuditChained checks the end of the chain after each change.
func testAuditChained(t *testing.T, w *fixture) {
	equal(t, must(w.store.AuditHead(w.ctx))(t), storage.AuditHead{})
	equal(t, must(w.store.AuditState(w.ctx))(t), storage.AuditVerdict{})
	if v := must(w.store.VerifyAudit(w.ctx, storage.AuditHead{}, nil))(t); v.Break == nil || v.Break.Seq != 1 {
		t.Errorf("empty chain: got %+v, want a break at 1", v)
	}
	var heads []storage.AuditHead
	for n := range 5 {
		check(t, w.store.AddAuditEvents(w.ctx, []storage.AuditEvent{{Time: w.now.Add(time.Duration(n) * day), Action: "a"}}))
		heads = append(heads, must(w.store.AuditHead(w.ctx))(t))
		equal(t, w.checkChain(int64(n+1)).Head, heads[n])
	}
	recent := must(w.store.VerifyRecentAudit(w.ctx, 2))(t)
	equal(t, recent.Break, (*storage.AuditBreak)(nil))
	equal(t, []int64{recent.Swept, recent.Events, recent.Head.Seq}, []int64{3, 2, 5})
	equal(t, must(w.store.VerifyRecentAudit(w.ctx, 100))(t).Events, 5)
	for n, head := range heads {
		equal(t, head.Seq, int64(n+1))
		equal(t, must(w.store.VerifyAudit(w.ctx, head, nil))(t).Break, (*storage.AuditBreak)(nil))
		head.MAC = heads[(n+1)%5].MAC
		equal(t, must(w.store.VerifyAudit(w.ctx, head, nil))(t).Break.Seq, head.Seq)
	}
	equal(t, must(w.store.VerifyAudit(w.ctx, storage.AuditHead{Seq: 6, MAC: heads[0].MAC}, nil))(t).Break.Seq, 6)

	equal(t, must(w.store.Sweep(w.ctx, w.now.Add(92*day+time.Second), 10))(t), 3)
	v := w.checkChain(2)
	equal(t, v.Swept, 3)
	equal(t, must(w.store.AuditState(w.ctx))(t), v)
	equal(t, must(w.store.VerifyAudit(w.ctx, heads[2], nil))(t).Break, (*storage.AuditBreak)(nil))
	equal(t, must(w.store.VerifyAudit(w.ctx, heads[1], nil))(t).Break.Seq, 2) // deleted, so it cannot be compared
	equal(t, must(w.store.Sweep(w.ctx, w.now.Add(200*day), 10))(t), 2)
	equal(t, w.checkChain(0).Head, heads[4])
	check(t, w.store.AddAuditEvents(w.ctx, []storage.AuditEvent{{Action: "a"}}))
	equal(t, w.checkChain(1).Head.Seq, 6)

	equal(t, must(w.store.RestartAudit(w.ctx, storage.AuditEvent{Action: "restarted"}))(t), 1)
	v = w.checkChain(1)
	equal(t, v.Outside, 1)
	equal(t, v.Head.Seq, 7)
}

// testAuditRace runs four concurrent writers, while other callers sweep and verify the
// chain.
func testAuditRace(t *testing.T, w *fixture) {
	const writers, batches = 4, 200
	check(t, w.store.AddAuditEvents(w.ctx, []storage.AuditEvent{{Action: "first"}}))
	stores := make([]Store, writers)
	for i := range stores {
		stores[i] = w.open(t)
	}
	var writing, looking sync.WaitGroup
	done := make(chan struct{})
	looking.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if v, err := w.store.VerifyAudit(w.ctx, storage.AuditHead{}, nil); err != nil || v.Break != nil {
				t.Errorf("concurrent VerifyAudit: %+v, %v", v.Break, err)
				return
			}
			if _, err := w.store.Sweep(w.ctx, w.now, 7); err != nil {
				t.Errorf("concurrent sweep: %v", err)
				return
			}
		}
	})
	for i, store := range stores {
		writing.Go(func() {
			for n := range batches {
				at := w.now
				if n < batches/2 {
					at = w.now.Add(-91 * day) // old enough to be swept
				}
				batch := []storage.AuditEvent{{Time: at, Action: fmt.Sprint(i), Object: fmt.Sprint(n, 0)}, {Time: at, Action: fmt.Sprint(i), Object: fmt.Sprint(n, 1)}}
				if err := store.AddAuditEvents(w.ctx, batch); err != nil {
					t.Errorf("writer %d: %v", i, err)
				}
			}
		})
	}
	writing.Wait()
	close(done)
	looking.Wait()
	v := must(w.store.VerifyAudit(w.ctx, storage.AuditHead{}, nil))(t)
	if v.Break != nil || v.Swept+v.Events != 1+writers*batches*2 {
		t.Errorf("got verdict %+v, break %+v, want all events and no break", v, v.Break)
	}
}

func testAuditSwept(t *testing.T, w *fixture) {
	old, kept := w.now.Add(-90*day-time.Second), w.now.Add(-90*day+time.Second)
	for _, batch := range [][]storage.AuditEvent{
		{{Time: old, Action: "old"}},
		{{Time: old, Action: "old"}, {Time: old.Add(-time.Minute), Action: "older"}},
		{{Time: old, Action: "old"}, {Time: kept, Action: "kept"}}, // a batch is deleted as a whole
		{{Time: old, Action: "old"}},
	} {
		check(t, w.store.AddAuditEvents(w.ctx, batch))
	}
	equal(t, must(w.store.Sweep(w.ctx, w.now, 1))(t), 1)
	equal(t, must(w.store.Sweep(w.ctx, w.now, 1))(t), 2) // one batch at least
	equal(t, must(w.store.Sweep(w.ctx, w.now, 10))(t), 0)
	equal(t, len(w.events()), 3)
	equal(t, w.checkChain(3).Swept, 3)
	equal(t, must(w.store.Sweep(w.ctx, w.now.Add(day), 10))(t), 3)
	equal(t, w.checkChain(0).Swept, 6)
}

// testAuditHostile records text that PostgreSQL cannot store.
func testAuditHostile(t *testing.T, w *fixture) {
	check(t, w.store.AddAuditEvents(w.ctx, []storage.AuditEvent{{Username: "a\x00b\xff"}}))
	equal(t, w.events()[0].Username, "a\uFFFDb\uFFFD")
	w.checkChain(1)
}
