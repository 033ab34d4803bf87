package deliver_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/otp/deliver"
	"latchkey/storage"
)

// A process that dies over a message leaves it to the others, and can settle
// nothing when it comes back to life.
func TestLostLeaseIsTakenOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPost()
		p.put(t, "m1", time.Minute)
		now := time.Now()
		dead, err := p.ClaimMessages(t.Context(), now, now.Add(30*time.Second), 1)
		if err != nil || len(dead) != 1 {
			t.Fatal(dead, err)
		}
		_, stop := p.start(t, 0)
		time.Sleep(29 * time.Second)
		synctest.Wait()
		if p.receiver.count() != 0 {
			t.Error("sent under somebody else's lease")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		stop()
		if m := p.message("m1"); m.State != storage.MessageDelivered || m.Attempts != 2 {
			t.Errorf("message %+v", m)
		}
		ghost := storage.Attempt{MessageID: "m1", Number: dead[0].Attempts, State: storage.MessageDead}
		if err := p.FinishAttempt(t.Context(), ghost); !errors.Is(err, storage.ErrStale) {
			t.Errorf("the ghost settled: %v", err)
		}
	})
}

// An attempt that takes longer than a lease keeps its message: two workers
// deliver one copy.
func TestSlowAttemptKeepsItsLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPost()
		p.receiver.answer = func(ctx context.Context, _ deliver.Envelope) error {
			select {
			case <-time.After(70 * time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		p.put(t, "m1", 10*time.Minute)
		_, stopOne := p.start(t, 0)
		_, stopOther := p.start(t, 0)
		time.Sleep(80 * time.Second)
		synctest.Wait()
		stopOne()
		stopOther()
		if m := p.message("m1"); m.State != storage.MessageDelivered || p.receiver.count() != 1 {
			t.Errorf("%d attempts, message %+v", p.receiver.count(), m)
		}
	})
}

// An attempt whose message another worker has claimed is ended.
func TestAttemptEndsWithItsLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPost()
		p.receiver.answer = func(ctx context.Context, _ deliver.Envelope) error {
			p.change(func(q *queue) { q.messages[0].Attempts++ })
			<-ctx.Done()
			return ctx.Err()
		}
		p.put(t, "m1", 10*time.Minute)
		began := time.Now()
		_, stop := p.start(t, 0)
		synctest.Wait()
		stop()
		if took := time.Since(began); took > 11*time.Second {
			t.Errorf("the attempt went on for %v", took)
		}
	})
}

// A worker that stops gives a slow attempt 15 seconds, and the message back.
func TestStopEndsSlowAttempts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPost()
		p.receiver.answer = func(ctx context.Context, _ deliver.Envelope) error {
			<-ctx.Done()
			return ctx.Err()
		}
		p.put(t, "m1", 10*time.Minute)
		_, stop := p.start(t, 0)
		synctest.Wait()
		began := time.Now()
		stop()
		if took := time.Since(began); took != 15*time.Second {
			t.Errorf("stopping took %v", took)
		}
		if m := p.message("m1"); m.State != storage.MessageQueued || !p.find("m1").leaseUntil.IsZero() {
			t.Errorf("message %+v", m)
		}
	})
}

// The lease is lost in the middle of an attempt: whoever took over settles,
// and this worker tells nothing.
func TestStaleSettlementIsSilent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPost()
		p.receiver.answer = func(context.Context, deliver.Envelope) error {
			p.change(func(q *queue) { q.messages[0].Attempts++ })
			return nil
		}
		p.put(t, "m1", time.Minute)
		_, stop := p.start(t, 0)
		synctest.Wait()
		stop()
		if p.settleStale != 1 || len(p.diary.events) != 0 || p.log.Len() != 0 {
			t.Errorf("%d stale settlements, events %v, log %q", p.settleStale, p.diary.lines(), p.log)
		}
	})
}

// The receiver has the message but the database cannot be told at once: it is
// told later, and the receiver gets no second copy.
func TestSettlementOutlastsTheDatabase(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPost()
		p.put(t, "m1", time.Minute)
		p.finishAway = true
		_, stop := p.start(t, 0)
		time.Sleep(10 * time.Second)
		p.change(func(q *queue) { q.finishAway = false })
		time.Sleep(40 * time.Second)
		synctest.Wait()
		stop()
		if m := p.message("m1"); m.State != storage.MessageDelivered || p.receiver.count() != 1 {
			t.Errorf("%d copies, message %+v", p.receiver.count(), m)
		}
	})
}

func TestDatabaseAwayIsLoggedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPost()
		p.put(t, "m1", 5*time.Minute)
		p.away = true
		_, stop := p.start(t, 0)
		time.Sleep(time.Minute)
		p.change(func(q *queue) { q.away = false })
		time.Sleep(10 * time.Second)
		synctest.Wait()
		stop()
		if m := p.message("m1"); m.State != storage.MessageDelivered {
			t.Errorf("message %+v", m)
		}
		if n := strings.Count(p.log.String(), "claiming fails"); n != 1 {
			t.Errorf("the outage was logged %d times:\n%s", n, p.log)
		}
	})
}

func TestTwoWorkersDeliverOneCopyEach(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPost()
		for i := range 200 {
			p.put(t, fmt.Sprint("m", i), time.Minute)
		}
		_, stop1 := p.start(t, 8)
		_, stop2 := p.start(t, 8)
		synctest.Wait()
		stop1()
		stop2()
		copies := map[string]int{}
		for _, e := range p.receiver.got {
			copies[e.Message.ID]++
		}
		if len(copies) != 200 || len(p.receiver.got) != 200 {
			t.Errorf("%d messages in %d copies, want 200 in 200", len(copies), len(p.receiver.got))
		}
	})
}
